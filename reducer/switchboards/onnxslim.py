"""OnnxSlim's fusion patterns and optimizations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from reducer.switchboards.rewriting import RewriterBoard


class OnnxSlimBoard(RewriterBoard):
    """Switched by skip_fusion_patterns and skip_optimizations."""

    backend: ClassVar[str] = "onnxslim"
    tool: ClassVar[str] = "onnxslim"
    project: ClassVar[str] = "onnxslim"

    def how(self, off: Sequence[str]) -> str:
        return f"onnxslim.slim(model, skip_fusion_patterns / skip_optimizations={list(off)!r})"
