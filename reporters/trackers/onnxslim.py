"""inisis/OnnxSlim: bug_report.md."""

from __future__ import annotations

from typing import ClassVar

from reporters.trackers.base import Facts, FormField, Tracker


class OnnxSlim(Tracker):
    """It wants the versions in one line."""

    name: ClassVar[str] = "onnxslim"
    repository: ClassVar[str] = "inisis/OnnxSlim"
    form: ClassVar[str] = "bug_report.md"
    projects: ClassVar[tuple[str, ...]] = ("onnxslim",)
    packages: ClassVar[tuple[str, ...]] = ("onnxslim", "onnx", "onnxruntime", "numpy", "python")
    fields: ClassVar[tuple[FormField, ...]] = (
        FormField("**Describe the bug**"),
        FormField("**To Reproduce**", group=True),
        FormField("Steps to reproduce the bug:"),
        FormField("**Expected behavior**"),
        FormField("**Screenshots**"),
        FormField("**Environment:**"),
        FormField("**Additional context**"),
    )

    def labels(self, facts: Facts) -> tuple[str, ...]:
        """The template sets it by itself."""
        return ("bug",)
