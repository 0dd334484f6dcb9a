"""ONNX Runtime through its Python binding, one thread, silent."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from reducer.backends.base import Backend, Options, Runner
from reducer.values import Tensors

LEVELS = {
    "none": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "layout": "ORT_ENABLE_LAYOUT",
    "all": "ORT_ENABLE_ALL",
}


class OnnxRuntime(Backend):
    """Options: `opt_level` (a key of LEVELS), `provider` (full or short name)."""

    name: ClassVar[str] = "onnxruntime"
    requires: ClassVar[tuple[str, ...]] = ("onnxruntime",)

    def open(self, program: bytes | Path, options: Options) -> Runner:
        session = make_session(program, options)
        names = [output.name for output in session.get_outputs()]
        types = {item.name: item.type for item in session.get_inputs()}

        def run(feeds: Tensors) -> Tensors:
            fed = {name: value for name, value in feeds.items() if name in types}
            if any(_is_narrow(value) for value in fed.values()):
                return _run_with_ort_values(session, names, fed)
            return dict(zip(names, session.run(names, {k: _plain(v) for k, v in fed.items()}), strict=True))

        return run


def make_session(program: bytes | Path, options: Options) -> Any:
    """An InferenceSession with the options of this backend."""
    import onnxruntime as ort

    settings = ort.SessionOptions()
    level = LEVELS.get(options.get("opt_level", "all"), "ORT_ENABLE_ALL")
    settings.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    settings.log_severity_level = 4
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    provider = options.get("provider", "CPUExecutionProvider")
    return ort.InferenceSession(program if isinstance(program, bytes) else str(program), settings, providers=[provider])


def _is_narrow(value: Any) -> bool:
    return getattr(getattr(value, "dtype", None), "kind", "") == "V"


def _plain(value: Any) -> Any:
    """Strings as object arrays, which is what the binding takes."""
    return value.astype(object) if getattr(getattr(value, "dtype", None), "kind", "") == "U" else value


def _run_with_ort_values(session: Any, names: list[str], feeds: Tensors) -> Tensors:
    """bfloat16 and float8 have no numpy type of their own in the binding: pass raw bits with the ONNX type."""
    import numpy as np
    import onnxruntime as ort
    from onnx import helper

    fed = {}
    for name, value in feeds.items():
        if _is_narrow(value):
            bits = np.array(value).view(np.dtype(f"u{value.dtype.itemsize}"))
            elem = helper.np_dtype_to_tensor_dtype(value.dtype)
            fed[name] = ort.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, elem)
        else:
            fed[name] = ort.OrtValue.ortvalue_from_numpy(np.array(value))
    outputs = session.run_with_ort_values(names, fed)
    return {name: output.numpy() for name, output in zip(names, outputs, strict=True)}
