"""OpenVINO on the CPU: its ONNX front end and its own optimizations."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from reducer.backends.base import Backend, Options, Runner
from reducer.values import Tensors


class OpenVino(Backend):
    """Reading and compiling is `load`; outputs come back under the names of the model."""

    name: ClassVar[str] = "openvino"
    package: ClassVar[str] = "openvino"
    requires: ClassVar[tuple[str, ...]] = ("openvino",)

    def open(self, program: bytes | Path, options: Options) -> Runner:
        import openvino

        core = openvino.Core()
        # Its default of bfloat16 or float16 inference on some CPUs is no bug of a model.
        config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
        model = core.read_model(program if isinstance(program, bytes) else str(program))
        compiled = core.compile_model(model, "CPU", config)
        names = {name for port in compiled.inputs for name in port.names}

        def run(feeds: Tensors) -> Tensors:
            made = compiled({name: value for name, value in feeds.items() if name in names})
            return {name: _own(made[port]) for port in compiled.outputs for name in sorted(port.names)[:1]}

        return run


def _own(value: Any) -> Any:
    """A copy: the buffer belongs to the next inference."""
    import numpy as np

    return np.array(value)
