"""Drop single layers of a Keras model, last first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from reducer.errors import EditConflict
from reducer.passes.base import Edit, ReductionPass, Stage
from reducer.programs.base import NodeId
from reducer.programs.layers import LayersProgram


@dataclass(frozen=True)
class DropLayer(Edit[LayersProgram]):
    """Without this layer."""

    layer: NodeId

    def apply(self, program: LayersProgram) -> LayersProgram:
        if self.layer not in program.keep or len(program.keep) == 1:
            raise EditConflict("the layer is gone already, or the last one")
        return program.restrict(program.keep - {self.layer}, {})


class DropLayers(ReductionPass[LayersProgram]):
    """One layer at a time."""

    name: ClassVar[str] = "drop single layers"
    stage: ClassVar[Stage] = Stage.CUT
    rank: ClassVar[int] = 10
    kinds: ClassVar[tuple[str, ...]] = ("keras",)

    def propose(self, program: LayersProgram) -> Iterable[DropLayer]:
        return [DropLayer(layer) for layer in reversed(program.units())]
