"""What nobody reads goes: graph inputs, initializers, local functions, and the declared types of inner tensors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from reducer.drafts import Draft, DraftEdit
from reducer.passes.base import ReductionPass, Stage
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_size import is_small


@dataclass(frozen=True)
class DropUnused(DraftEdit):
    """Without unread tensors and functions; with `types` without the types of inner tensors, too."""

    types: bool

    def change(self, draft: Draft) -> None:
        draft.sweep()
        if self.types:
            for graph in draft.graphs():
                del graph.value_info[:]


class DropUnusedPass(ReductionPass[OnnxProgram]):
    """Everything at once, then all but the types."""

    name: ClassVar[str] = "drop what nobody reads"
    stage: ClassVar[Stage] = Stage.SIMPLIFY
    rank: ClassVar[int] = 5

    def propose(self, program: OnnxProgram) -> Iterable[DropUnused]:
        return [DropUnused(True), DropUnused(False)] if is_small(program) else []
