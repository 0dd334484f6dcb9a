"""pnnx/pnnx: no template, the converter to ncnn."""

from __future__ import annotations

from typing import ClassVar

from reporters.trackers.base import BlankTracker, Facts


class Pnnx(BlankTracker):
    """A blank issue."""

    name: ClassVar[str] = "pnnx"
    repository: ClassVar[str] = "pnnx/pnnx"
    projects: ClassVar[tuple[str, ...]] = ("pnnx",)
    packages: ClassVar[tuple[str, ...]] = ("pnnx", "onnx", "torch", "numpy", "python")
    regression: ClassVar[str] = ""

    def labels(self, facts: Facts) -> tuple[str, ...]:
        """None is known there."""
        return ()
