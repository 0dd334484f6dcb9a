"""microsoft/onnxruntime: the form 08-general.yml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from reporters.trackers.base import OTHER, Facts, FormField, Tracker, field

# To the letter: GitHub knows no other options.
PLATFORMS = ("Windows", "Linux", "Mac", "Android", "iOS", "Web Browser", OTHER)
INSTALLATIONS = ("Built from Source", "Released Package", OTHER)
APIS = ("Python", "C++", "C#", "C", "Java", "JavaScript", "Obj-C", "WinML", OTHER)
ARCHITECTURES = ("X64", "X86", "ARM64", "ARM32", "IBM Power", OTHER)
PROVIDERS = ("Default CPU", "CoreML", "CUDA", "DirectML", "oneDNN", "OpenVINO", "TensorRT", "NNAPI", "ACL", "ArmNN",
             "MIGraphX", "Rockchip NPU", "SNPE", "TVM", "Vitis AI", OTHER)  # fmt: skip
_PLATFORM = {"Linux": "Linux", "Darwin": "Mac", "Windows": "Windows"}
_ARCH = {
    "x86_64": "X64", "AMD64": "X64", "i386": "X86", "i686": "X86", "x86": "X86", "aarch64": "ARM64", "arm64": "ARM64",
    "ARM64": "ARM64", "armv7l": "ARM32", "ppc64le": "IBM Power",
}  # fmt: skip
_PROVIDER = {
    "CPU": "Default CPU", "CoreML": "CoreML", "CUDA": "CUDA", "Dml": "DirectML", "Dnnl": "oneDNN",
    "OpenVINO": "OpenVINO", "Tensorrt": "TensorRT", "Nnapi": "NNAPI", "ACL": "ACL", "ArmNN": "ArmNN",
    "MIGraphX": "MIGraphX", "Rknpu": "Rockchip NPU", "SNPE": "SNPE", "Tvm": "TVM", "VitisAI": "Vitis AI",
}  # fmt: skip
_LABEL = {"CUDA": "ep:CUDA", "Dml": "ep:DML", "OpenVINO": "ep:OpenVINO", "Tensorrt": "ep:TensorRT",
          "CoreML": "ep:CoreML", "QNN": "ep:QNN", "MIGraphX": "ep:MIGraphX", "Dnnl": "ep:oneDNN"}  # fmt: skip


class OnnxRuntime(Tracker):
    """The general form; it has no field of its own for a trace: that goes into the first one."""

    name: ClassVar[str] = "onnxruntime"
    repository: ClassVar[str] = "microsoft/onnxruntime"
    form: ClassVar[str] = "08-general.yml"
    projects: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    regression: ClassVar[str] = "onnxruntime"
    fields: ClassVar[tuple[FormField, ...]] = (
        field("Describe the issue", "issue-descript", required=True),
        field("To reproduce", "reproducibility", required=True),
        field("Urgency", "urgency"),
        field("Platform", "platform", required=True, options=PLATFORMS),
        field("OS Version", "os-dist", required=True),
        field("ONNX Runtime Installation", "ort-installation", required=True, options=INSTALLATIONS),
        field("ONNX Runtime Version or Commit ID", "ort-version", required=True),
        field("ONNX Runtime API", "inf-api", required=True, options=APIS),
        field("Architecture", "arch", required=True, options=ARCHITECTURES),
        field("Execution Provider", "ep", required=True, options=PROVIDERS, multiple=True),
        field("Execution Provider Library Version", "ep-version"),
    )

    def labels(self, facts: Facts) -> tuple[str, ...]:
        """The part of the runtime, the provider, and `regression` when versions prove one."""
        quantized = any("QuantizeLinear" in op or op.startswith("QLinear") for op in facts.reduced.op_types)
        found = ["regression"] if facts.regressed else []
        found.append(_LABEL.get(facts.provider, "core runtime"))
        return (*found, "quantization") if quantized else tuple(found)

    def answers(self, facts: Facts) -> Mapping[str, Any]:
        """The options of the drop-down lists."""
        environment = facts.finding.environment
        provider = facts.provider
        return {
            "platform": _PLATFORM.get(str(environment.get("os")), OTHER),
            "arch": _ARCH.get(str(environment.get("arch")), OTHER),
            "provider": _PROVIDER.get(provider, OTHER),
            "provider_name": f"{provider}ExecutionProvider",
        }
