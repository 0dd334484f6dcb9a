"""Leave out arguments of a torch operator that have a default: what must stay is what the failure needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from reducer.passes.base import Edit, ReductionPass, Stage
from reducer.programs.fx import FxProgram, Tweak


@dataclass(frozen=True)
class Change(Edit[FxProgram]):
    """One edit as the worker makes it (see reducer/worker/pytorch/candidate.py)."""

    tweak: Tweak

    def apply(self, program: FxProgram) -> FxProgram:
        return program.edited(self.tweak)


class DefaultArguments(ReductionPass[FxProgram]):
    """Every argument that is not at its default, the last one first."""

    name: ClassVar[str] = "arguments at their defaults"
    stage: ClassVar[Stage] = Stage.SIMPLIFY
    rank: ClassVar[int] = 10
    kinds: ClassVar[tuple[str, ...]] = ("torch",)

    def propose(self, program: FxProgram) -> Iterable[Change]:
        edits: list[Tweak] = [("default", node.id, name) for node in program.kept for name in node.arguments]
        return [Change(edit) for edit in edits if edit not in program.edits]
