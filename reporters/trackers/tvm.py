"""apache/tvm: bug-report.md; blank issues are not accepted there."""

from __future__ import annotations

from typing import ClassVar

from reporters.trackers.base import Facts, FormField, Tracker


class Tvm(Tracker):
    """Bugs only; questions go to its forum."""

    name: ClassVar[str] = "tvm"
    repository: ClassVar[str] = "apache/tvm"
    form: ClassVar[str] = "bug-report.md"
    title_prefix: ClassVar[str] = "[Bug] "
    projects: ClassVar[tuple[str, ...]] = ("tvm",)
    packages: ClassVar[tuple[str, ...]] = ("tvm", "onnx", "onnxruntime", "numpy", "python")
    fields: ClassVar[tuple[FormField, ...]] = (
        FormField("### Expected behavior"),
        FormField("### Actual behavior"),
        FormField("### Environment"),
        FormField("### Steps to reproduce"),
        FormField("### Triage"),
    )

    def labels(self, facts: Facts) -> tuple[str, ...]:
        """The template sets both by itself."""
        return ("needs-triage", "type: bug")
