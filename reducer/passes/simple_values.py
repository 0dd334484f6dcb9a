"""Weights and feeds become zeros, ones, a splat, a range or seeded normal numbers: the simplest that still fails.

Integers stay between the least and the greatest that stood there before: they may be sizes, axes or indices, and an
illegal one would fail in a way of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from reducer.drafts import Draft, DraftEdit, Slot, readable
from reducer.errors import EditConflict
from reducer.passes.base import ReductionPass, Stage
from reducer.programs.fed import MOST_READ_BYTES, NORMAL, ONES, PATTERNS, RANGE, SPLAT, ZEROS, Array, cost_of, patterned
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_size import is_small
from reducer.values import is_float

_ORDER = (ZEROS, ONES, NORMAL, RANGE, SPLAT)


@dataclass(frozen=True)
class PutPattern(DraftEdit):
    """These slots (None: all) follow the pattern, where that is simpler and legal."""

    pattern: str
    slots: tuple[Slot, ...] | None = None

    def change(self, draft: Draft) -> None:
        changed = False
        for slot in draft.slots() if self.slots is None else self.slots:
            try:
                old = draft.array(slot)
            except EditConflict:
                continue
            new = simplified(old, self.pattern) if old.nbytes <= MOST_READ_BYTES else None
            if new is not None:
                draft.put(slot, new)
                changed = True
        if not changed:
            raise EditConflict("nothing to replace")

    def __str__(self) -> str:
        where = "all tensors" if self.slots is None else ", ".join(slot.name for slot in self.slots)
        return f"numbers of {where}: {self.pattern}"


def simplified(old: Array, pattern: str) -> Array | None:
    """The tensor of that pattern, or None where it is not simpler or not legal."""
    first = _splat_of(old) if pattern == SPLAT else 0
    new = patterned(pattern, old.dtype, old.shape, first)
    if old.size == 0 or cost_of(new) >= cost_of(old) or not may_replace(old, new):
        return None
    return new


def may_replace(old: Array, new: Array) -> bool:
    """Whether `new` is legal wherever `old` was, as far as one can know without the operator."""
    if is_float(old.dtype) or old.dtype.kind in "bcOUS":
        return True
    return int(np.min(new)) >= int(np.min(old)) and int(np.max(new)) <= int(np.max(old))


def _splat_of(old: Array) -> object:
    if old.size == 0 or old.dtype.kind in "OUS":
        return 0
    return old.ravel()[0] if is_float(old.dtype) or old.dtype.kind in "bc" else np.min(old)


class SimpleValuesAtOnce(ReductionPass[OnnxProgram]):
    """All tensors at once, before shapes: what is left of them then needs no copy of the original numbers."""

    name: ClassVar[str] = "simple numbers at once"
    stage: ClassVar[Stage] = Stage.SIMPLIFY
    rank: ClassVar[int] = 25
    changes_values: ClassVar[bool] = True
    changes_numbers: ClassVar[bool] = True

    def propose(self, program: OnnxProgram) -> Iterable[PutPattern]:
        return [PutPattern(pattern) for pattern in (ZEROS, ONES, NORMAL)] if is_small(program) else []


class SimpleValues(ReductionPass[OnnxProgram]):
    """One by one, what costs most first."""

    name: ClassVar[str] = "simple numbers"
    stage: ClassVar[Stage] = Stage.SIMPLIFY
    rank: ClassVar[int] = 60
    patience: ClassVar[int] = 30
    changes_values: ClassVar[bool] = True
    changes_numbers: ClassVar[bool] = True

    def propose(self, program: OnnxProgram) -> Iterable[PutPattern]:
        if not is_small(program):
            return []
        slots = [(slot, cost_of(old)) for slot, old in readable(Draft.of(program), lambda _, old: cost_of(old) > 0)]
        edits: list[PutPattern] = []
        for slot, cost in sorted(slots, key=lambda pair: -pair[1]):
            edits += [PutPattern(p, (slot,)) for p in _ORDER if PATTERNS.index(p) < cost]
        return edits
