"""onnx/onnx: bug.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from reporters.trackers.base import CONVERTERS, Facts, FormField, Tracker

_MODULE = {
    "onnx-checker": "module: checker",
    "onnx-shape-inference": "module: shape inference",
    "reference": "module: reference implementation",
    "version-converter": "module: version converter",
    "inliner": "module: inliner",
    "onnx-parser": "module: parser",
}


class Onnx(Tracker):
    """Its first question sends conversion bugs to the converters."""

    name: ClassVar[str] = "onnx"
    repository: ClassVar[str] = "onnx/onnx"
    form: ClassVar[str] = "bug.md"
    projects: ClassVar[tuple[str, ...]] = ("onnx",)
    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime", "numpy", "python")
    regression: ClassVar[str] = "onnx"
    fields: ClassVar[tuple[FormField, ...]] = (
        FormField("# Bug Report", group=True),
        FormField("### Is the issue related to model conversion?"),
        FormField("### Describe the bug"),
        FormField("### System information"),
        FormField("### Reproduction instructions"),
        FormField("### Expected behavior"),
        FormField("### Notes"),
    )

    def labels(self, facts: Facts) -> tuple[str, ...]:
        """`bug` and the module."""
        backend = facts.failure.witnesses or facts.failure.backend
        module = next((label for name, label in _MODULE.items() if backend.startswith(name)), "")
        return ("bug", module) if module else ("bug",)

    def answers(self, facts: Facts) -> Mapping[str, Any]:
        """Whether a converter made what is wrong."""
        return {"conversion": any(s.project in CONVERTERS for s in facts.finding.suspects[:1])}
