"""Constants that a function captures become constants of its own, where the failure does not need the capture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from reducer.errors import EditConflict
from reducer.passes.base import Edit, ReductionPass, Stage
from reducer.programs.graphdef import GraphProgram


@dataclass(frozen=True)
class MakeInside(Edit[GraphProgram]):
    """The function makes this constant itself."""

    tensor: str

    def apply(self, program: GraphProgram) -> GraphProgram:
        if self.tensor not in program.captures:
            raise EditConflict("no such capture")
        return replace(program, captured=program.captured - {self.tensor})


class MakeConstantsInside(ReductionPass[GraphProgram]):
    """Captured constants, last first."""

    name: ClassVar[str] = "make captured constants inside the TensorFlow function"
    stage: ClassVar[Stage] = Stage.CUT
    rank: ClassVar[int] = 60
    kinds: ClassVar[tuple[str, ...]] = ("tensorflow",)

    def propose(self, program: GraphProgram) -> Iterable[MakeInside]:
        return [MakeInside(name) for name in reversed(program.captures)]
