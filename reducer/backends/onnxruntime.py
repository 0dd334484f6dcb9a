"""ONNX Runtime through its Python binding, one thread, silent."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from reducer.backends.base import Backend, Options, Runner
from reducer.values import Tensors, dtype_named, is_narrow

LEVELS = {
    "none": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "layout": "ORT_ENABLE_LAYOUT",
    "all": "ORT_ENABLE_ALL",
}


# Limits of the Python binding, not findings about a model. It can hand out no packed types at all; others it
# holds only as raw bits: ONNX Runtime's name of the type -> the one of ml_dtypes.
UNFETCHABLE = ("tensor(int4", "tensor(uint4", "tensor(int2", "tensor(uint2", "tensor(float4", "tensor(float8e8m0")
NARROW = {
    "tensor(bfloat16)": "bfloat16",
    "tensor(float8e4m3fn)": "float8_e4m3fn",
    "tensor(float8e4m3fnuz)": "float8_e4m3fnuz",
    "tensor(float8e5m2)": "float8_e5m2",
    "tensor(float8e5m2fnuz)": "float8_e5m2fnuz",
}


class OnnxRuntime(Backend):
    """Options: `opt_level` (a key of LEVELS), `provider` (full or short name), `custom_ops` (paths of libraries),
    `disabled_optimizers` (names joined by ";"), `threads`, and with the prefix `config:` any session configuration
    entry."""

    name: ClassVar[str] = "onnxruntime"
    requires: ClassVar[tuple[str, ...]] = ("onnxruntime",)

    def open(self, program: bytes | Path, options: Options) -> Runner:
        session = make_session(program, options)
        outputs = {output.name: output.type for output in session.get_outputs()}
        names = [name for name, kind in outputs.items() if not kind.startswith(UNFETCHABLE)]
        inputs = {item.name for item in session.get_inputs()}
        raw_outputs = any(kind in NARROW for kind in outputs.values())

        def run(feeds: Tensors) -> Tensors:
            fed = {name: value for name, value in feeds.items() if name in inputs}
            if not names:
                return {}  # every output is of a type that the binding cannot hand out
            if raw_outputs or any(_is_narrow(value) for value in fed.values()):
                return _run_with_ort_values(session, {name: outputs[name] for name in names}, fed)
            return dict(zip(names, session.run(names, {k: _plain(v) for k, v in fed.items()})))

        return run


def make_session(program: bytes | Path, options: Options) -> Any:
    """An InferenceSession with the options of this backend."""
    import onnxruntime as ort

    settings = session_options(options)
    provider = options.get("provider", "CPUExecutionProvider")
    disabled = [name for name in options.get("disabled_optimizers", "").split(";") if name]
    extra = {"disabled_optimizers": disabled} if disabled else {}
    source = program if isinstance(program, bytes) else str(program)
    return ort.InferenceSession(source, settings, providers=[provider], **extra)


def session_options(options: Options) -> Any:
    """SessionOptions as the options of this backend say; loads the custom-op libraries that they name."""
    import onnxruntime as ort

    settings = ort.SessionOptions()
    level = LEVELS.get(options.get("opt_level", "all"), "ORT_ENABLE_ALL")
    settings.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    settings.log_severity_level = 4
    settings.intra_op_num_threads = settings.inter_op_num_threads = int(options.get("threads", "1"))
    for key, value in options.items():
        if key.startswith("config:"):
            settings.add_session_config_entry(key.removeprefix("config:"), value)
    for library in filter(None, options.get("custom_ops", "").split(os.pathsep)):
        settings.register_custom_ops_library(library)
    return settings


def _is_narrow(value: Any) -> bool:
    return hasattr(value, "dtype") and is_narrow(value.dtype)


def _plain(value: Any) -> Any:
    """Strings as object arrays, which is what the binding takes."""
    return value.astype(object) if getattr(getattr(value, "dtype", None), "kind", "") == "U" else value


def _run_with_ort_values(session: Any, outputs: dict[str, str], feeds: Tensors) -> Tensors:
    """bfloat16 and float8 pass the binding as raw bits with the ONNX type said beside them."""
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
            fed[name] = ort.OrtValue.ortvalue_from_numpy(np.array(_plain(value)))
    made = session.run_with_ort_values(list(outputs), fed)
    return {name: _fetched(value, NARROW.get(outputs[name])) for name, value in zip(outputs, made)}


def _fetched(value: Any, narrow: str | None) -> Any:
    """The value as an array of its own; raw bits are copied from where the runtime keeps them."""
    if narrow is None:
        return value.numpy()
    import ctypes

    import numpy as np

    dtype = dtype_named(narrow)
    shape = tuple(value.shape())
    count = int(np.prod(shape)) * dtype.itemsize
    raw = ctypes.string_at(value.data_ptr(), count) if count else b""
    return np.frombuffer(raw, dtype=dtype).reshape(shape)
