"""The ladder of a conversion (child side): convert, check, load, run, compare with TensorFlow's own outputs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from reducer.backends.onnxruntime import OnnxRuntime
from reducer.difference import excerpt, measured
from reducer.values import to_npz
from reducer.worker.comparison import HOPELESS, worst_difference
from reducer.worker.main import Context
from reducer.worker.tf_convert import Conversion
from reducer.worker.tflite_steps import as_real

Report = dict[str, Any]


def climb(
    context: Context, conversion: Conversion, case: tuple[Sequence[Any], Sequence[Any]], settings: dict[str, Any]
) -> Report:
    """Check, load, run and compare what was converted. `case` is (feeds, expected outputs), by position.

    settings: {"runtime": options of the onnxruntime backend, "compare": as tasks.climb takes it, "check": bool,
    "run": bool, "nchw_in", "nchw_out", "leave": folder for the converted model, if wanted, "steps": those of quantized
    outputs}. Reply: {"rungs": [{stage,
    backend, outcome, message, seconds}], "failure": {stage, backend, error, message, frame} or None, "difference",
    "differences", "seen", "log", "bytes"}: the gravest difference, and that of every output that differs; with
    settings["measure"] also "measured", the facts of the gravest one.
    """
    report: Report = {"rungs": [], "failure": None, "difference": None, "differences": [], "seen": 0.0}
    report["log"] = conversion.log.to_wire()
    if conversion.error is not None or conversion.model is None:
        _note(report, "convert", "tf2onnx", conversion.error or {}, 0.0)
        return report
    _note(report, "convert", "tf2onnx", None, 0.0)
    report["bytes"] = len(conversion.model)
    if settings.get("leave"):
        _leave(Path(settings["leave"]), conversion, case, settings)
    if settings.get("check"):
        _check(context, report, conversion.model)
    made = _open_and_run(context, report, conversion, (case[0], settings))
    if made is not None:
        _compare(report, conversion, made, (case[1], settings))
    return report


def _leave(
    folder: Path, conversion: Conversion, case: tuple[Sequence[Any], Sequence[Any]], settings: dict[str, Any]
) -> None:
    """Write model.onnx, feeds.npz and expected.npz, by the names of the model, before anything can go wrong with it."""
    assert conversion.model is not None
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(conversion.model)
    np.savez(folder / "feeds.npz", **to_npz(_named_feeds(conversion, case[0], settings)))  # type: ignore[arg-type]
    np.savez(folder / "expected.npz", **to_npz(_named_outputs(conversion, case[1], settings)))  # type: ignore[arg-type]


def _note(report: Report, stage: str, backend: str, failed: dict[str, str] | None, start: float) -> None:
    rung: Report = {"stage": stage, "backend": backend, "outcome": "failed" if failed else "passed", "message": None}
    rung["seconds"] = round(time.perf_counter() - start, 4) if start else None
    if failed:
        rung["message"] = failed.get("message", "")
        # The checker's complaint is a rung of its own; what the runtime does with the model decides.
        if stage != "check":
            report["failure"] = {"stage": stage, "backend": backend, "frame": "", **failed}
    report["rungs"].append(rung)


def _check(context: Context, report: Report, model: bytes) -> None:
    import onnx

    context.stage("check")
    start, failed = time.perf_counter(), None
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # noqa: BLE001 - a system under test
        failed = {"error": type(error).__name__, "message": str(error)[:3000]}
    _note(report, "check", "onnx-checker", failed, start)


def _open_and_run(
    context: Context, report: Report, conversion: Conversion, case: tuple[Sequence[Any], dict[str, Any]]
) -> dict[str, Any] | None:
    feeds, settings = case
    stage, start = "load", time.perf_counter()
    assert conversion.model is not None
    try:
        context.stage(stage)
        run = OnnxRuntime().open(conversion.model, settings.get("runtime") or {})
        _note(report, stage, "onnxruntime", None, start)
        if not settings.get("run", True):
            return None
        stage, start = "run", time.perf_counter()
        context.stage(stage)
        made = dict(run(_named_feeds(conversion, feeds, settings)))
        _note(report, stage, "onnxruntime", None, start)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - a system under test
        failed = {"error": type(error).__name__, "message": str(error)[:3000] or repr(error)}
        _note(report, stage, "onnxruntime", failed, start)
        return None
    return made


def _named_feeds(conversion: Conversion, feeds: Sequence[Any], settings: dict[str, Any]) -> dict[str, Any]:
    tensors = conversion.tensors[0] or conversion.inputs
    return {
        name: _turned(value, tensor, settings.get("nchw_in"))
        for name, tensor, value in zip(conversion.inputs, tensors, feeds, strict=False)
    }


def _named_outputs(
    conversion: Conversion, expected: Sequence[Any], settings: dict[str, Any], made: Sequence[str] = ()
) -> dict[str, Any]:
    """The right outputs that are known, as the model calls them."""
    order = conversion.outputs or tuple(made)
    tensors = conversion.tensors[1] or order
    return {
        name: _turned(value, tensor, settings.get("nchw_out"))
        for name, tensor, value in zip(order, tensors, expected, strict=False)
        if value is not None
    }


def _turned(value: Any, tensor: str, nchw: Sequence[str] | None) -> Any:
    """NHWC as NCHW where the converter was told to."""
    array = np.asarray(value)
    if array.ndim != 4 or tensor not in (nchw or ()):
        return array
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2))


def _compare(
    report: Report, conversion: Conversion, made: dict[str, Any], case: tuple[Sequence[Any], dict[str, Any]]
) -> None:
    expected, settings = case
    right = _named_outputs(conversion, expected, settings, tuple(made))
    compare = settings["compare"]
    table, default = compare["tolerances"], compare["default"]

    def tolerance(dtype: str) -> tuple[float, float]:
        rtol, atol = table.get(dtype, default)
        return rtol, atol

    left = {name: made[name] for name in right if name in made}
    left, right = as_real(left, right, settings.get("steps") or {})
    worst: dict[str, Any] | None = {"kind": "count", "output": "", "excess": HOPELESS, "abs": None, "rel": None}
    seen = 0.0
    if len(left) == len(right):
        found = worst_difference(left, right, [n for n in right if n not in compare.get("skip", ())], tolerance)
        worst, seen = found["worst"], found["seen"]
        each = [worst_difference(left, right, [n], tolerance)["worst"] for n in right] if worst else []
        report["differences"] = [one for one in each if one is not None]
    report["difference"], report["seen"] = worst, seen
    if worst and settings.get("measure") and worst["output"] in left:
        name = worst["output"]
        report["measured"] = asdict(measured(name, right[name], left[name]))
        report["excerpts"] = [excerpt(right[name]), excerpt(left[name])]
    outcome = "differs" if worst else "passed"
    message = f"{worst['kind']} of {worst['output']!r}" if worst else f"largest difference {seen:.3g}"
    report["rungs"].append(
        {"stage": "compare", "backend": "tensorflow", "outcome": outcome, "message": message, "seconds": None}
    )


def as_arrays(values: Sequence[Any]) -> list[Any]:
    """TensorFlow results as arrays: never numpy scalars; bytes as text, which is how ONNX Runtime gives strings."""
    return [as_array(value) for value in values]


def as_array(value: Any) -> Any:
    """One result as an array of the same rank."""
    array = np.asarray(value)
    if array.dtype.kind in "OS":
        flat = [item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item) for item in array.ravel()]
        return np.array(flat, dtype=object).reshape(array.shape)
    return array
