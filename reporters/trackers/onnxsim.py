"""onnxsim/onnxsim (before: daquexian/onnx-simplifier): bug_report.md."""

from __future__ import annotations

from typing import ClassVar

from reporters.trackers.base import Facts, FormField, Tracker


class OnnxSim(Tracker):
    """Two questions; the second one wants the model, and gets it as text."""

    name: ClassVar[str] = "onnxsim"
    repository: ClassVar[str] = "onnxsim/onnxsim"
    form: ClassVar[str] = "bug_report.md"
    title_prefix: ClassVar[str] = "[BUG] "
    projects: ClassVar[tuple[str, ...]] = ("onnxsim", "onnx-simplifier")
    packages: ClassVar[tuple[str, ...]] = ("onnxsim", "onnx", "onnxruntime", "numpy", "python")
    fields: ClassVar[tuple[FormField, ...]] = (FormField("**Describe the bug**"), FormField("**Model**"))

    def labels(self, facts: Facts) -> tuple[str, ...]:
        """None is known there."""
        return ()

    def checks(self, facts: Facts) -> tuple[str, ...]:
        """The repository has moved; its form was read under the old name."""
        return ("The form was read at daquexian/onnx-simplifier, from where this repository moved: compare headings.",)
