"""Smaller inputs of a torch program: equal sizes together, with the sizes in arguments; then single dims."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from reducer.passes.base import ReductionPass, Stage
from reducer.passes.fx_arguments import Change
from reducer.programs.fx import FxProgram, Tweak

MOST_SIZES = 6
MOST_DIMS = 12
# 1 first: the smallest that has a shape at all; 2 is the smallest that does not broadcast; then halves.
SMALL = (1, 2)


class ShrinkSizes(ReductionPass[FxProgram]):
    """Every size, the largest first, to 1, to 2, to a half of it, wherever it stands."""

    name: ClassVar[str] = "shrink equal sizes"
    stage: ClassVar[Stage] = Stage.SIMPLIFY
    rank: ClassVar[int] = 20
    kinds: ClassVar[tuple[str, ...]] = ("torch",)

    def propose(self, program: FxProgram) -> Iterable[Change]:
        sizes = sorted({size for shape in program.shapes.values() for size in shape if size > 1}, reverse=True)
        edits: list[Tweak] = []
        for old in sizes[:MOST_SIZES]:
            edits += [("resize", old, new) for new in dict.fromkeys((*SMALL, (old + 1) // 2)) if new < old]
        return [Change(edit) for edit in edits]


class ShrinkDims(ReductionPass[FxProgram]):
    """Single dims of single inputs."""

    name: ClassVar[str] = "shrink single dims"
    stage: ClassVar[Stage] = Stage.SIMPLIFY
    rank: ClassVar[int] = 30
    kinds: ClassVar[tuple[str, ...]] = ("torch",)

    def propose(self, program: FxProgram) -> Iterable[Change]:
        dims = [(n, d, size) for n, shape in program.shapes.items() for d, size in enumerate(shape) if size > 1]
        dims.sort(key=lambda item: -item[2])
        return [Change(("narrow", n, d, new)) for n, d, size in dims[:MOST_DIMS] for new in SMALL if new < size]
