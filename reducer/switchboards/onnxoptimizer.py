"""onnx-optimizer's passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from reducer.switchboards.rewriting import RewriterBoard


class OnnxOptimizerBoard(RewriterBoard):
    """Switched by leaving a pass out of the list."""

    backend: ClassVar[str] = "onnxoptimizer"
    tool: ClassVar[str] = "onnxoptimizer"
    project: ClassVar[str] = "onnxoptimizer"

    def how(self, off: Sequence[str]) -> str:
        return f"onnxoptimizer.optimize(model, all passes but {list(off)!r})"
