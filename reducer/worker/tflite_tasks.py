"""Tasks on a TFLite model and on candidates cut out of it (child side); named and answered as in tf_candidates."""

from __future__ import annotations

import inspect
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from reducer.backends.onnxruntime import OnnxRuntime
from reducer.values import ValueRef, append_values
from reducer.worker.comparison import differing_kinds
from reducer.worker.main import Context
from reducer.worker.tf_convert import Conversion, How, attempt, seen_rewriters, without_rewriters
from reducer.worker.tf_ladder import climb
from reducer.worker.tf_subject import quiet
from reducer.worker.tflite_graph import TfliteCandidate
from reducer.worker.tflite_model import Unreadable, opened, runs
from reducer.worker.tflite_steps import within_a_step
from reducer.worker.tflite_table import table_of

Reply = tuple[dict[str, Any], tuple[bytes, ...]]
INVALID = (ValueError, TypeError, RuntimeError, IndexError, Unreadable)


def record(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """{"graph": path, "feeds": wires, "store"} -> the table of the main graph, or {"refused": why}."""
    quiet()
    context.stage("record")
    feeds = [ValueRef.from_wire(wire).read() for wire in arguments["feeds"]]
    try:
        return table_of(arguments["graph"], feeds, Path(arguments["store"])), ()
    except INVALID as error:
        return {"refused": _told(error)}, ()


def judge(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """Build a candidate, convert it, climb the ladder.

    arguments: order, how, settings. Reply: {"report", "inputs", "outputs"} or
    {"invalid": why}, and the flatbuffer as a blob; with `keep` {"expected", "text"} and the ONNX model as well.
    """
    quiet()
    context.stage("build")
    keep, settings = arguments.get("keep"), arguments["settings"]
    try:
        candidate = TfliteCandidate(arguments["order"])
        expected, run = [], runs(candidate.order["graph"])
        if run:
            # What TFLite itself refuses is no candidate, even where the failure needs no run.
            opened(candidate.content)
            needed = settings.get("run", True) or candidate.order["recompute"] or keep
            expected = candidate.expected() if needed else []
        settings = {**settings, "steps": candidate.steps(), "run": run and settings.get("run", True)}
        settings.update({side: candidate.called_here(settings.get(side, ())) for side in ("nchw_in", "nchw_out")})
    except INVALID as error:
        return {"invalid": _told(error)}, ()
    context.stage("convert")
    conversion = converted(candidate, How.from_wire(arguments["how"]))
    report = climb(context, conversion, (candidate.feeds, expected), settings)
    reply = {"report": report, "inputs": candidate.inputs, "outputs": candidate.outputs}
    reply["names"] = candidate.names
    if not keep:
        return reply, (candidate.content,)
    values = {n: v for n, v in zip(candidate.outputs, expected, strict=run) if v is not None}
    report["expected"] = {name: ref.to_wire() for name, ref in append_values(Path(keep), values).items()}
    told = {"text": candidate.text(), "labels": candidate.tensor_labels(), "nchw": settings["nchw_in"]}
    told["steps"] = settings["steps"]
    return {**reply, **told}, (candidate.content, conversion.model or b"")


def build(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """{"order"} -> {"inputs", "outputs", "names", "text"} and the flatbuffer as a blob, unconverted."""
    quiet()
    candidate = TfliteCandidate(arguments["order"])
    told = {"inputs": candidate.inputs, "outputs": candidate.outputs, "names": candidate.names}
    return {**told, "text": candidate.text()}, (candidate.content,)


def converted(candidate: TfliteCandidate, how: How) -> Conversion:
    """The candidate through tf2onnx's public from_tflite; with other optimizers through its core."""
    from tf2onnx import convert
    from tf2onnx.optimizer import _get_optimizers

    names = candidate.inputs, candidate.outputs
    nchw = {
        "inputs_as_nchw": [name for name in candidate.called_here(how.nchw_in) if name in names[0]] or None,
        "outputs_as_nchw": [name for name in candidate.called_here(how.nchw_out) if name in names[1]] or None,
    }
    options: dict[str, Any] = {name: value for name, value in {"opset": how.opset, **nchw}.items() if value is not None}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(candidate.content)

        def run() -> Any:
            with without_rewriters(how.without):
                if how.optimizers is None:
                    return convert.from_tflite(str(path), **options)
                known = _get_optimizers()
                chosen = {name: known[name] for name in how.optimizers if name in known}
                return convert._convert_common(
                    None, tflite_path=str(path), name="model", continue_on_error=True, optimizers=chosen, **options
                )

        conversion = attempt(run)
    return by_name(conversion, names)


def by_name(conversion: Conversion, names: tuple[list[str], list[str]]) -> Conversion:
    """With inputs and outputs in the order of the source where the ONNX model has the same names."""
    inputs, outputs = conversion.inputs, conversion.outputs
    if set(inputs) <= set(names[0]) and len(set(names[0])) == len(names[0]):
        inputs = tuple(names[0])  # one that is not there any more is not fed
    if sorted(outputs) == sorted(names[1]):
        outputs = tuple(names[1])
    return replace(conversion, inputs=inputs, outputs=outputs)


def rewriters(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """Convert once and name what took part: {"rewriters": [...], "optimizers": [...]} in their order."""
    quiet()
    from tf2onnx.optimizer import _get_optimizers

    seen: list[str] = []
    with seen_rewriters(seen):
        converted(TfliteCandidate(arguments["order"]), How.from_wire(arguments["how"]))
    return {"rewriters": seen, "optimizers": list(_get_optimizers())}, ()


def handlers(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """{"ops": [...], "opset"} -> {"handlers": {op: "file:Class.function"}}: what makes a TensorFlow or ONNX operator
    of it, then what converts that one; an op without a handler is left out."""
    from tf2onnx import constants, handler, tfonnx, utils

    del tfonnx  # imported for its side effect: handlers register themselves
    first = handler.tfl_op.create_tfl_to_tf_mapping()
    second = handler.tf_op.create_mapping(utils.find_opset(arguments.get("opset")), [constants.TENSORFLOW_OPSET])
    found = {}
    for op in arguments["ops"]:
        made = op
        if op in first:
            found[op] = _place(first[op][0])
            made = (first[op][1] or {}).get("tf_op") or op
        if made in second and made not in found:
            found[made] = _place(second[made][0])
    return {"handlers": found}, ()


def _place(function: Any) -> str:
    file = (inspect.getsourcefile(function) or "").replace("\\", "/").rpartition("/tf2onnx/")[2]
    return f"tf2onnx/{file}:{function.__qualname__}"


def differing(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """Convert once with many tensors as outputs (order["outputs"]) and say which differ from what TFLite makes.

    Reply: {"differing": {name: kind}, "error": why nothing can be said, or empty}.
    """
    quiet()
    settings = arguments["settings"]
    try:
        candidate = TfliteCandidate(arguments["order"])
        right = candidate.expected()
        context.stage("convert")
        conversion = converted(candidate, How.from_wire(arguments["how"]))
        if conversion.model is None:
            raise ValueError("the graph with all its tensors as outputs does not convert")
        context.stage("load")
        run = OnnxRuntime().open(conversion.model, settings["runtime"])
        made = dict(run(dict(zip(conversion.inputs, candidate.feeds, strict=False))))
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - systems under test
        return {"differing": {}, "error": _told(error)}, ()
    known = {n: v for n, v in zip(candidate.outputs, right, strict=True) if v is not None and n in made}
    made = within_a_step(made, known, candidate.steps())
    labels = dict(zip(candidate.outputs, arguments["order"]["outputs"], strict=True))
    kinds = differing_kinds(made, known, settings["compare"])
    return {"differing": {labels[name]: kind for name, kind in kinds.items()}, "error": ""}, ()


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
