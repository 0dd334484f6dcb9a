"""onnx.checker.check_model: is the model legal ONNX?"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from reducer.backends.base import Backend, Options, Runner, no_run


class OnnxChecker(Backend):
    """The checker without full_check: inference is a rung of its own."""

    name: ClassVar[str] = "onnx-checker"
    requires: ClassVar[tuple[str, ...]] = ("onnx",)
    open_stage: ClassVar[str] = "check"
    runs: ClassVar[bool] = False

    def open(self, program: bytes | Path, options: Options) -> Runner:
        import onnx

        # As text: releases before 1.15 take no Path.
        onnx.checker.check_model(program if isinstance(program, bytes) else str(program))
        return no_run
