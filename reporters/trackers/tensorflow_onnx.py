"""onnx/tensorflow-onnx: bug-performance-issue.md, and operators.md for operators that it does not know."""

from __future__ import annotations

from typing import ClassVar

from reporters.trackers.base import Facts, FormField, Tracker


def _unsupported(facts: Facts) -> bool:
    text = f"{facts.failure.signature.detail} {facts.failure.message}".lower()
    return facts.failure.stage == "convert" and ("not supported" in text or "unsupported" in text)


class TensorFlowOnnx(Tracker):
    """Bugs of the converter. It advises the newest tf2onnx and the highest opset."""

    name: ClassVar[str] = "tensorflow-onnx"
    repository: ClassVar[str] = "onnx/tensorflow-onnx"
    form: ClassVar[str] = "bug-performance-issue.md"
    projects: ClassVar[tuple[str, ...]] = ("tf2onnx", "tensorflow-onnx")
    producers: ClassVar[tuple[str, ...]] = ("tf2onnx",)
    packages: ClassVar[tuple[str, ...]] = ("tf2onnx", "tensorflow", "onnx", "onnxruntime", "numpy", "python")
    regression: ClassVar[str] = "tf2onnx"
    fields: ClassVar[tuple[FormField, ...]] = (
        FormField("**Describe the bug**"),
        FormField("**Urgency**"),
        FormField("**System information**", group=True),
        FormField("- OS Platform and Distribution (e.g., Linux Ubuntu 18.04*):"),
        FormField("- TensorFlow Version:"),
        FormField("- Python version:"),
        FormField("- ONNX version (if applicable, e.g. 1.11*):"),
        FormField("- ONNXRuntime version (if applicable, e.g. 1.11*):"),
        FormField("**To Reproduce**"),
        FormField("**Screenshots**"),
        FormField("**Additional context**"),
    )

    def labels(self, facts: Facts) -> tuple[str, ...]:
        """The template sets `bug` by itself."""
        return ("bug",)

    def suits(self, facts: Facts) -> bool:
        """All but operators that are not supported."""
        return not _unsupported(facts)

    def checks(self, facts: Facts) -> tuple[str, ...]:
        """What the template asks to try first."""
        return ("Try tf2onnx from its main branch and the highest `--opset` that it takes.",)


class TensorFlowOnnxOperators(Tracker):
    """Operators that the converter does not know."""

    name: ClassVar[str] = "tensorflow-onnx-operators"
    repository: ClassVar[str] = "onnx/tensorflow-onnx"
    form: ClassVar[str] = "operators.md"
    packages: ClassVar[tuple[str, ...]] = TensorFlowOnnx.packages
    regression: ClassVar[str] = "tf2onnx"
    rank: ClassVar[int] = 1
    fields: ClassVar[tuple[FormField, ...]] = (
        FormField("# New Operator", group=True),
        FormField("### Describe the operator"),
        FormField("### Do you know this operator be constructed using existing ONNX operators?"),
        FormField("### Is this operator used by any model currently? Which one?"),
        FormField("### Are you willing to contribute it? (Y/N)"),
        FormField("### Notes"),
    )

    def labels(self, facts: Facts) -> tuple[str, ...]:
        """The template sets it by itself."""
        return ("unsupported ops",)

    def suits(self, facts: Facts) -> bool:
        """Only these."""
        return _unsupported(facts)

    def checks(self, facts: Facts) -> tuple[str, ...]:
        """What only the user can say."""
        return ("Answer under the third and fourth heading what only you can know.",)
