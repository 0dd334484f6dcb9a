"""Ranks down: axes of size 1 go, in all inputs, weights and feeds at once or one tensor at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from reducer.drafts import Draft, DraftEdit, dims_of, readable, set_dims
from reducer.errors import EditConflict
from reducer.passes.base import ReductionPass, Stage
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_size import is_small


@dataclass(frozen=True)
class DropAxes(DraftEdit):
    """Drop leading axes of size 1 until at most `rank` axes are left, in all tensors or in `name` alone; counted
    from the back instead of from the front when `trailing`."""

    rank: int
    name: str = ""
    trailing: bool = False

    def change(self, draft: Draft) -> None:
        changed = False
        for slot, array in readable(draft, lambda slot, _: not slot.attribute and slot.graph <= 0):
            gone = self._gone(slot.name, list(array.shape))
            if gone:
                shape = array.shape[:-gone] if self.trailing else array.shape[gone:]
                draft.put(slot, array.reshape(shape))
                changed = True
        for value in draft.model.graph.input:
            dims = dims_of(value)
            gone = self._gone(value.name, dims) if dims is not None else 0
            if dims is not None and gone:
                set_dims(value, dims[:-gone] if self.trailing else dims[gone:])
                changed = True
        if not changed:
            raise EditConflict("no axis to drop")
        draft.forget_shapes()

    def _gone(self, name: str, dims: list[object] | list[int]) -> int:
        """How many axes go."""
        if self.name and name != self.name:
            return 0
        count, ordered = 0, list(reversed(dims)) if self.trailing else list(dims)
        while len(dims) - count > self.rank and ordered[count] == 1:
            count += 1
        return count

    def __str__(self) -> str:
        return f"rank of {self.name or 'all tensors'}: {self.rank}"


class LowerRank(ReductionPass[OnnxProgram]):
    """Rank 0, 1, 2 ... of all tensors, then of each."""

    name: ClassVar[str] = "lower ranks"
    stage: ClassVar[Stage] = Stage.SIMPLIFY
    rank: ClassVar[int] = 45
    patience: ClassVar[int] = 24
    changes_values: ClassVar[bool] = True
    changes_numbers: ClassVar[bool] = True

    def propose(self, program: OnnxProgram) -> Iterable[DropAxes]:
        if not is_small(program):
            return []
        draft = Draft.of(program)
        ranks = {
            slot.name: len(array.shape)
            for slot, array in readable(draft, lambda slot, _: not slot.attribute and slot.graph <= 0)
        }
        ranks.update({v.name: len(dims) for v in draft.model.graph.input if (dims := dims_of(v)) is not None})
        most = min(max(ranks.values(), default=0), 6)
        edits = [DropAxes(rank, trailing=back) for rank in range(most) for back in (False, True)]
        for name, rank in ranks.items() if len(ranks) > 1 else []:
            edits += [DropAxes(lower, name) for lower in range(min(rank, 6))]
        return edits
