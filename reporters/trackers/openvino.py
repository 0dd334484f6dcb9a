"""openvinotoolkit/openvino: the form bug.yml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from reporters.trackers.base import Facts, FormField, Tracker, field

ELSE = "Other (Please specify in description)"
SYSTEMS = ("Ubuntu 18.04 (LTS)", "Ubuntu 20.04 (LTS)", "Windows System", "Red Hat Enterprise Linux 8",
           "Android System", "Raspbian Stretch OS", "macOS Systems for Intel CPU", "macOS Systems for Apple Silicon",
           "WebAssembly", ELSE)  # fmt: skip
DEVICES = ("CPU", "GPU", "NPU", "AUTO", "HETERO", "BATCH")
FRAMEWORKS = ("TensorFlow 1", "Keras (TensorFlow 2)", "Caffe", "ONNX", "PyTorch", "PaddlePaddle")


class OpenVino(Tracker):
    """Its check boxes are promises of the human who files: they stay empty."""

    name: ClassVar[str] = "openvino"
    repository: ClassVar[str] = "openvinotoolkit/openvino"
    form: ClassVar[str] = "bug.yml"
    title_prefix: ClassVar[str] = "[Bug]: "
    projects: ClassVar[tuple[str, ...]] = ("openvino",)
    packages: ClassVar[tuple[str, ...]] = ("openvino", "onnx", "onnxruntime", "numpy", "python")
    fields: ClassVar[tuple[FormField, ...]] = (
        field("OpenVINO Version", "ov_version", required=True),
        field("Operating System", "os", required=True, options=SYSTEMS),
        field("Device used for inference", "device_use", required=True, options=DEVICES),
        field("Framework", "framework", options=FRAMEWORKS),
        field("Model used", "model_name"),
        field("Issue description", "bug_description", required=True),
        field("Step-by-step reproduction", "step_by_step"),
        field("Relevant log output", "logs"),
        field("Issue submission checklist", "terms", required=True, multiple=True),
    )

    def labels(self, facts: Facts) -> tuple[str, ...]:
        """The form sets the first two by itself."""
        return ("bug", "support_request", "category: ONNX FE")

    def answers(self, facts: Facts) -> Mapping[str, Any]:
        """The options of the drop-down lists."""
        return {"system": self._system(facts), "device": "CPU"}

    def _system(self, facts: Facts) -> str:
        system, told = str(facts.finding.environment.get("os")), str(facts.finding.environment.get("os_version"))
        if system == "Darwin":
            arm = str(facts.finding.environment.get("arch")) in ("arm64", "aarch64")
            return "macOS Systems for Apple Silicon" if arm else "macOS Systems for Intel CPU"
        known = {"Ubuntu 18.04": SYSTEMS[0], "Ubuntu 20.04": SYSTEMS[1], "Red Hat Enterprise Linux 8": SYSTEMS[3]}
        found = next((option for start, option in known.items() if told.startswith(start)), ELSE)
        return "Windows System" if system == "Windows" else found

    def checks(self, facts: Facts) -> tuple[str, ...]:
        """The boxes."""
        return ("Tick the three boxes of the checklist only if they are true: you have searched the open issues and "
                "the documentation, and the script is in the report.",)  # fmt: skip
