"""What an edit and a reduction pass are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from enum import IntEnum
from typing import ClassVar, Generic, TypeVar

from reducer.programs.base import Program

P = TypeVar("P", bound=Program)


class Stage(IntEnum):
    """When a pass runs: fewer nodes first, then inside bodies that could not be lifted, then simpler, then a form
    that equal bugs share."""

    CUT = 1
    INSIDE = 2
    SIMPLIFY = 3
    CANONICALISE = 4


class Edit(ABC, Generic[P]):
    """One frozen, name-addressed change of a program."""

    @abstractmethod
    def apply(self, program: P) -> P:
        """The changed program. Raises EditConflict where the edit does not fit."""


class ReductionPass(ABC, Generic[P]):
    """Proposes edits of one kind, pure and deterministic, most promising first.

    Every edit gives a valid program or EditConflict, and a strictly smaller one unless `may_grow`. `rank` orders
    the passes of one stage. The edits of an `eager` pass nearly always keep the failure: they are made to every
    candidate in advance and cost no call of their own. After `patience` misses in a row (0: never) the rest of the
    proposals is left. `changes_values`: the outputs for the same inputs, or the inputs, become others, which is not
    for failures that known right outputs tell. `changes_numbers`: weights and feeds do (`--keep-weights`).
    """

    name: ClassVar[str]
    stage: ClassVar[Stage]
    rank: ClassVar[int] = 50
    # Kinds of program (Session.kind) that the pass works on.
    kinds: ClassVar[tuple[str, ...]] = ("onnx",)
    may_grow: ClassVar[bool] = False
    eager: ClassVar[bool] = False
    patience: ClassVar[int] = 0
    changes_values: ClassVar[bool] = False
    changes_numbers: ClassVar[bool] = False

    @abstractmethod
    def propose(self, program: P) -> Iterable[Edit[P]]:
        """Edits that might keep the failure."""
