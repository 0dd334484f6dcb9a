"""onnx/optimizer: no template, graph rewriting passes."""

from __future__ import annotations

from typing import ClassVar

from reporters.trackers.base import BlankTracker, Facts


class OnnxOptimizer(BlankTracker):
    """A blank issue."""

    name: ClassVar[str] = "optimizer"
    repository: ClassVar[str] = "onnx/optimizer"
    projects: ClassVar[tuple[str, ...]] = ("onnxoptimizer", "optimizer")
    packages: ClassVar[tuple[str, ...]] = ("onnxoptimizer", "onnx", "onnxruntime", "numpy", "python")
    regression: ClassVar[str] = ""

    def labels(self, facts: Facts) -> tuple[str, ...]:
        """None is known there."""
        return ()
