"""Outputs down to one: each output alone first, then without each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from reducer.errors import EditConflict
from reducer.passes.base import Edit, ReductionPass, Stage
from reducer.programs.onnx import OnnxProgram


@dataclass(frozen=True)
class KeepOutputs(Edit[OnnxProgram]):
    """Only these graph outputs."""

    names: tuple[str, ...]

    def apply(self, program: OnnxProgram) -> OnnxProgram:
        names = tuple(name for name in self.names if name in program.interface.outputs)
        if not names:
            raise EditConflict("none of these outputs is left")
        return program.with_outputs(names)


class DropOutput(ReductionPass[OnnxProgram]):
    """Proposes single outputs, last first, then all but one."""

    name: ClassVar[str] = "drop outputs"
    stage: ClassVar[Stage] = Stage.SIMPLIFY
    rank: ClassVar[int] = 10

    def propose(self, program: OnnxProgram) -> Iterable[KeepOutputs]:
        outputs = program.interface.outputs
        if len(outputs) < 2:
            return []
        alone = [KeepOutputs((name,)) for name in reversed(outputs)]
        without = [KeepOutputs(tuple(n for n in outputs if n != name)) for name in reversed(outputs)]
        return [*alone, *without] if len(outputs) > 2 else alone
