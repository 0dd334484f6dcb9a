"""Drop one node; the edges it fed become inputs, or constants where they always were. From the outputs back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from reducer.errors import EditConflict
from reducer.passes.base import Edit, ReductionPass, Stage
from reducer.programs.base import CutMode, NodeId
from reducer.programs.onnx import OnnxProgram


@dataclass(frozen=True)
class DropNodes(Edit[OnnxProgram]):
    """Without these nodes. `mode` overrides what the edges that they fed become."""

    nodes: frozenset[NodeId]
    mode: CutMode | None = None

    def apply(self, program: OnnxProgram) -> OnnxProgram:
        if not self.nodes <= program.keep:
            raise EditConflict("the node is gone already")
        cuts = {}
        if self.mode is not None:
            names = [name for node in self.nodes for name in program.record(node).outputs if name]
            cuts = dict.fromkeys(names, self.mode)
        return program.restrict(program.keep - self.nodes, cuts)


class DropNode(ReductionPass[OnnxProgram]):
    """Single nodes, last first: types behind a fault are often unknown, those before it are not."""

    name: ClassVar[str] = "drop single nodes"
    stage: ClassVar[Stage] = Stage.CUT
    rank: ClassVar[int] = 10

    def propose(self, program: OnnxProgram) -> Iterable[DropNodes]:
        return [DropNodes(frozenset({node})) for node in reversed(program.units())]
