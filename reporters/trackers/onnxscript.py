"""microsoft/onnxscript: no template, the optimizer, the rewriter and the torch library of the exporter."""

from __future__ import annotations

from typing import ClassVar

from reporters.trackers.base import BlankTracker, Facts


class Onnxscript(BlankTracker):
    """A blank issue."""

    name: ClassVar[str] = "onnxscript"
    repository: ClassVar[str] = "microsoft/onnxscript"
    projects: ClassVar[tuple[str, ...]] = ("onnxscript",)
    packages: ClassVar[tuple[str, ...]] = ("onnxscript", "torch", "onnx", "onnxruntime", "numpy", "python")
    regression: ClassVar[str] = "onnxscript"

    def labels(self, facts: Facts) -> tuple[str, ...]:
        """`bug` and the part, where the failing backend names it."""
        optimizer = "optimizer" in facts.failure.backend or facts.failure.stage == "optimize"
        return ("bug", "module: optimizer") if optimizer else ("bug",)
