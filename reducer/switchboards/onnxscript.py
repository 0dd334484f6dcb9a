"""onnxscript's rewrite rules and folding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from reducer.switchboards.rewriting import RewriterBoard


class OnnxScriptBoard(RewriterBoard):
    """Switched by leaving a rule out of the default set."""

    backend: ClassVar[str] = "onnxscript-optimizer"
    tool: ClassVar[str] = "onnxscript-optimizer"
    project: ClassVar[str] = "onnxscript"

    def how(self, off: Sequence[str]) -> str:
        return f"onnxscript.rewriter: the default rules without {list(off)!r}"
