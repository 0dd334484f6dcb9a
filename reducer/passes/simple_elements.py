"""Short tensors element by element: to 0, to 1, or to a rounder number."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from reducer.drafts import Draft, DraftEdit, Slot, readable
from reducer.errors import EditConflict
from reducer.passes.base import ReductionPass, Stage
from reducer.passes.simple_values import may_replace
from reducer.programs.fed import Array, cost_of
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_size import is_small
from reducer.values import is_float

MOST_ELEMENTS = 16


@dataclass(frozen=True)
class PutElement(DraftEdit):
    """The element at `index` (flat; None: every one) becomes `value` (None: rounded)."""

    slot: Slot
    index: int | None
    value: float | None

    def change(self, draft: Draft) -> None:
        old = draft.array(self.slot)
        new = old.copy().reshape(-1)
        chosen = range(new.size) if self.index is None else [self.index]
        for index in chosen:
            if index >= new.size:
                raise EditConflict("the tensor got shorter")
            new[index] = _rounded(float(new[index])) if self.value is None else self.value
        if cost_of(new) >= cost_of(old) or not may_replace(old, new):
            raise EditConflict("not simpler, or not legal")
        draft.put(self.slot, new.reshape(old.shape))

    def __str__(self) -> str:
        return f"{self.slot.name}[{'all' if self.index is None else self.index}]: {self.value or 'rounded'}"


def _rounded(number: float) -> float:
    """One significant digit."""
    return float(f"{number:.1g}") if math.isfinite(number) else number


class SimpleElements(ReductionPass[OnnxProgram]):
    """All rounded, then each element."""

    name: ClassVar[str] = "simple elements"
    stage: ClassVar[Stage] = Stage.SIMPLIFY
    rank: ClassVar[int] = 65
    patience: ClassVar[int] = 32
    changes_values: ClassVar[bool] = True
    changes_numbers: ClassVar[bool] = True

    def propose(self, program: OnnxProgram) -> Iterable[PutElement]:
        if not is_small(program):
            return []

        def short(_: Slot, array: Array) -> bool:
            return 1 <= array.size <= MOST_ELEMENTS and array.dtype.kind not in "bcOUS" and cost_of(array) > 1

        edits = []
        for slot, array in readable(Draft.of(program), short):
            if is_float(array.dtype):
                edits.append(PutElement(slot, None, None))
            for index in range(array.size):
                edits += [PutElement(slot, index, 0.0), PutElement(slot, index, 1.0)]
                edits += [PutElement(slot, index, None)] if is_float(array.dtype) else []
        return edits
