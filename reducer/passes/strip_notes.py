"""Drop doc strings, metadata, producer and names of graphs: nothing that a runtime computes with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from reducer.passes.base import Edit, ReductionPass, Stage
from reducer.programs.onnx import OnnxProgram


@dataclass(frozen=True)
class Strip(Edit[OnnxProgram]):
    """The bare program."""

    def apply(self, program: OnnxProgram) -> OnnxProgram:
        return replace(program, bare=True)


class StripNotes(ReductionPass[OnnxProgram]):
    """One edit, before the sweeps: it changes every later candidate."""

    name: ClassVar[str] = "strip notes"
    stage: ClassVar[Stage] = Stage.CUT
    rank: ClassVar[int] = 5
    eager: ClassVar[bool] = True

    def propose(self, program: OnnxProgram) -> Iterable[Strip]:
        return [] if program.bare else [Strip()]
