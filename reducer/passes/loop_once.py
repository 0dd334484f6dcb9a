"""Loops run once: the trip count becomes 1, a condition that is no part of the failure is omitted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from reducer.drafts import Draft, DraftEdit, Slot
from reducer.errors import EditConflict
from reducer.passes.base import ReductionPass, Stage
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_size import is_small

_COUNT, _CONDITION = 0, 1


@dataclass(frozen=True)
class RunOnce(DraftEdit):
    """The loop `node` has the constant trip count 1; with `unconditional` it has no condition to start with."""

    node: str
    unconditional: bool = False

    def change(self, draft: Draft) -> None:
        for graph in draft.graphs():
            for node in graph.node:
                if node.name == self.node and node.op_type == "Loop" and len(node.input) > _CONDITION:
                    self._once(draft, node.input[_COUNT])
                    if self.unconditional:
                        node.input[_CONDITION] = ""
                    draft.sweep()
                    return
        raise EditConflict("the loop is gone")

    def _once(self, draft: Draft, count: str) -> None:
        """Whoever else reads the same constant sees 1, too: the oracle tells whether that matters."""
        for slot in [Slot(-1, count), *(Slot(index, count) for index in range(len(draft.graphs())))]:
            try:
                old = draft.array(slot)
            except EditConflict:
                continue
            if old.size == 1 and int(old.ravel()[0]) > 1:
                draft.put(slot, np.ones_like(old))

    def __str__(self) -> str:
        return f"{self.node} runs once"


class LoopOnce(ReductionPass[OnnxProgram]):
    """Each Loop, without its condition first."""

    name: ClassVar[str] = "loops run once"
    stage: ClassVar[Stage] = Stage.INSIDE
    rank: ClassVar[int] = 70
    changes_values: ClassVar[bool] = True

    def propose(self, program: OnnxProgram) -> Iterable[RunOnce]:
        if not is_small(program) or not any(ref.op_type == "Loop" for ref in program.nodes()):
            return []
        loops = [node.name for graph in Draft.of(program).graphs() for node in graph.node if node.op_type == "Loop"]
        return [RunOnce(name, unconditional) for name in loops for unconditional in (True, False)]
