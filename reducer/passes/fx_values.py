"""Plain numbers and float32 instead of what was recorded: a script then needs no literals, and keeps no secrets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from reducer.passes.base import ReductionPass, Stage
from reducer.passes.fx_arguments import Change
from reducer.programs.fx import FxProgram, Tweak

KINDS = ("ones", "arange", "seeded")
NARROW = ("torch.float16", "torch.bfloat16", "torch.float64")


class PlainValues(ReductionPass[FxProgram]):
    """All inputs at once, then one by one: ones, 0 1 2 ..., seeded random numbers."""

    name: ClassVar[str] = "plain values"
    stage: ClassVar[Stage] = Stage.SIMPLIFY
    rank: ClassVar[int] = 40
    kinds: ClassVar[tuple[str, ...]] = ("torch",)

    def propose(self, program: FxProgram) -> Iterable[Change]:
        edits: list[Tweak] = [("values", "*", kind) for kind in KINDS if program.inputs]
        if len(program.inputs) > 1:
            edits += [("values", item.name, kind) for item in program.inputs for kind in KINDS]
        return [Change(edit) for edit in edits if edit not in program.edits]


class PlainTypes(ReductionPass[FxProgram]):
    """Other floats as float32."""

    name: ClassVar[str] = "float32 inputs"
    stage: ClassVar[Stage] = Stage.SIMPLIFY
    rank: ClassVar[int] = 15
    kinds: ClassVar[tuple[str, ...]] = ("torch",)

    def propose(self, program: FxProgram) -> Iterable[Change]:
        used = {item.dtype for item in program.inputs}
        return [Change(("dtype", dtype)) for dtype in NARROW if dtype in used and ("dtype", dtype) not in program.edits]
