"""NVIDIA/TensorRT: bug_report.md."""

from __future__ import annotations

from typing import ClassVar

from reporters.trackers.base import Facts, FormField, Tracker


class TensorRt(Tracker):
    """It wants a title of a fixed pattern, and asks whether the model runs elsewhere."""

    name: ClassVar[str] = "tensorrt"
    repository: ClassVar[str] = "NVIDIA/TensorRT"
    form: ClassVar[str] = "bug_report.md"
    projects: ClassVar[tuple[str, ...]] = ("tensorrt",)
    packages: ClassVar[tuple[str, ...]] = ("tensorrt", "onnx", "onnxruntime", "numpy", "python")
    fields: ClassVar[tuple[FormField, ...]] = (
        FormField("## Description"),
        FormField("## Environment", group=True),
        FormField("**TensorRT Version**:"),
        FormField("**NVIDIA GPU**:"),
        FormField("**NVIDIA Driver Version**:"),
        FormField("**CUDA Version**:"),
        FormField("**CUDNN Version**:"),
        FormField("Operating System:"),
        FormField("Python Version (if applicable):"),
        FormField("Tensorflow Version (if applicable):"),
        FormField("PyTorch Version (if applicable):"),
        FormField("Baremetal or Container (if so, version):"),
        FormField("## Relevant Files", group=True),
        FormField("**Model link**:"),
        FormField("## Steps To Reproduce", group=True),
        FormField("**Commands or scripts**:"),
        FormField("**Have you tried the latest release?**:"),
        FormField("**Can this model run on other frameworks?**"),
    )

    def labels(self, facts: Facts) -> tuple[str, ...]:
        """A bot of theirs labels."""
        return ()

    def title(self, title: str, facts: Facts) -> str:
        """Their pattern: what fails, of which version, when running what, on which device."""
        what = facts.failure.signature.kind
        ops = ", ".join(list(facts.reduced.op_types)[:3])
        gpu = facts.finding.environment.get("gpu") or "(which GPU?)"
        return f"{what} failure of TensorRT {facts.of('tensorrt')} when running {ops} on GPU {gpu}"

    def checks(self, facts: Facts) -> tuple[str, ...]:
        """What this program cannot know."""
        return ("Fill in GPU, driver, CUDA and cuDNN versions, in the title too; answer whether you tried the latest "
                "release.",)  # fmt: skip
