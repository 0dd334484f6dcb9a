"""onnx-simplifier's passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from reducer.switchboards.rewriting import RewriterBoard


class OnnxSimBoard(RewriterBoard):
    """Switched by skipped_optimizers, skip_constant_folding and skip_shape_inference."""

    backend: ClassVar[str] = "onnxsim"
    tool: ClassVar[str] = "onnxsim"
    project: ClassVar[str] = "onnxsim"

    def how(self, off: Sequence[str]) -> str:
        return f"onnxsim.simplify(model, skipped_optimizers={list(off)!r})"
