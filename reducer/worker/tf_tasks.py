"""Tasks that open and observe a TensorFlow source; in the child only. Each takes (context, arguments, blobs)."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reducer.values import ValueRef, append_values
from reducer.worker.main import Context
from reducer.worker.tf_convert import Captured, Conversion, How, attempt, capturing
from reducer.worker.tf_graph import table_of
from reducer.worker.tf_inputs import feeds_of, in_order
from reducer.worker.tf_ladder import as_arrays, climb
from reducer.worker.tf_sources import open_source
from reducer.worker.tf_subject import Refused, Subject, quiet
from reducer.worker.tflite_subject import saved_model
from reducer.worker.tflite_tasks import by_name

Reply = tuple[dict[str, Any], tuple[bytes, ...]]


def ready(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """Versions of what is needed; raises ImportError without it."""
    import keras
    import tensorflow as tf
    import tf2onnx

    return {"tensorflow": tf.__version__, "keras": keras.__version__, "tf2onnx": tf2onnx.__version__}, ()


def observe(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """Open the source, run it in TensorFlow, convert it through its entry point and climb the ladder.

    arguments: path, form, entry or None, signature, folder, how, settings (of tf_ladder.climb), inputs (npz path or
    None), seed, dims. Reply: {"refused": [message, hint]} or {"report", "entry", "raises", "inputs": [{name, dtype,
    shape, value}], "expected", "graph": {path, inputs, outputs, nodes} or None, "keras"}.
    """
    quiet()
    context.stage("open")
    try:
        how = How.from_wire(arguments["how"])
        check_opset(how.opset)
        subject = open_source(arguments)
        entry = chosen_entry(subject, arguments.get("entry"))
        feeds = feeds_of(subject, arguments)
        # Converted first: a call of a Keras model would number the names in the graph of the next.
        context.stage("convert")
        start = time.perf_counter()
        conversion, seen = through(subject, entry, how, stop=bool(arguments.get("freeze_only")))
        context.stage("reference")
        expected = steady(subject, feeds)
    except Refused as refused:
        return {"refused": [str(refused), refused.hint]}, ()
    inputs, ordered = in_order(seen, subject, feeds, expected)
    report = climb(context, conversion, ordered, {**arguments["settings"], **subject.traits})
    seconds = time.perf_counter() - start
    store = Path(arguments["folder"]) / "source_values.bin"
    fed = append_values(store, {i.name: v for i, v in zip(inputs, ordered[0], strict=True)})
    named = [{"name": i.name, "dtype": i.dtype, "shape": i.shape, "value": fed[i.name].to_wire()} for i in inputs]
    return {
        "report": report,
        "seconds": seconds,
        "entry": entry,
        "raises": entry in subject.raises,
        "inputs": named,
        "given": subject.given is not None or bool(arguments.get("inputs")),
        "graph": saved_model(arguments["path"], Path(arguments["folder"]))
        if seen.tflite
        else saved_graph(seen, Path(arguments["folder"]), len(subject.inputs)),
        "keras": type(subject.keras_model).__name__ if entry == "from_keras" else "",
        "bytes": report.get("bytes", 0),
    }, ()


def check_opset(opset: int | None) -> None:
    """Raise Refused for an opset that this tf2onnx cannot write."""
    import tf2onnx
    from tf2onnx import constants

    known = sorted(constants.OPSET_TO_IR_VERSION)
    if opset is not None and opset not in known:
        raise Refused(
            f"tf2onnx {tf2onnx.__version__} cannot write opset {opset}", f"--opset takes {known[0]} to {known[-1]}"
        )


def chosen_entry(subject: Subject, wanted: str | None) -> str:
    """The entry point asked for, else the usual one. Raises Refused."""
    if wanted is None:
        return next(iter(subject.entries))
    if wanted not in subject.entries:
        raise Refused(f"this source cannot go through {wanted}", f"--entry takes here: {', '.join(subject.entries)}")
    return wanted


def reference(subject: Subject, feeds: Sequence[Any]) -> list[Any]:
    """TensorFlow's own outputs. Raises Refused when TensorFlow itself fails: then there is nothing to compare."""
    try:
        return list(subject.run(feeds))
    except Exception as error:
        text = str(error).strip().splitlines()
        raise Refused(
            f"TensorFlow itself fails on this model: {type(error).__name__}: {text[0][:200] if text else ''}",
            "give inputs that it accepts: get_inputs() in the module, or --inputs FILE.npz",
        ) from error


def steady(subject: Subject, feeds: Sequence[Any]) -> list[Any]:
    """TensorFlow's own outputs; None for one that a second run gives otherwise: random numbers are no finding.

    Raises Refused when TensorFlow itself fails."""
    first, second = as_arrays(reference(subject, feeds)), as_arrays(reference(subject, feeds))
    return [a if alike(a, b) else None for a, b in zip(first, second, strict=True)]


def alike(a: Any, b: Any) -> bool:
    """Equal but for the noise of sums in another order."""
    if a.shape != b.shape or a.dtype.kind not in "fc":
        return a.shape == b.shape and bool(np.array_equal(a, b))
    return bool(np.allclose(a, b, rtol=1e-4, atol=1e-5, equal_nan=True))


def through(subject: Subject, entry: str, how: How, *, stop: bool = False) -> tuple[Conversion, Captured]:
    """Convert through the public entry point, seeing the frozen graph on its way; `stop` there."""
    options = {
        "opset": how.opset,
        "inputs_as_nchw": list(how.nchw_in) or None,
        "outputs_as_nchw": list(how.nchw_out) or None,
    }
    options = {name: value for name, value in options.items() if value is not None}
    with capturing(stop=stop) as seen:
        conversion = attempt(lambda: subject.entries[entry](options), seen.names)
    tensors = (tuple(seen.inputs), tuple(seen.outputs))
    if seen.tflite:
        conversion = by_name(conversion, ([i.name for i in subject.inputs], subject.output_names))
    return replace(conversion, tensors=tensors), seen


def saved_graph(seen: Captured, folder: Path, own: int) -> dict[str, Any] | None:
    """The captured graph in a file of its own; None when the entry point failed before that.

    The source has `own` inputs: what more the core was given are constants that the function captures. With any,
    `unfolded` is the file of the graph before grappler, which folds what is made of them.
    """
    if seen.graph is None:
        return None
    captured = seen.inputs[own:]
    nodes = sum(1 for n in seen.graph.node if n.op not in ("Const", "Placeholder"))
    nodes += sum(1 for f in seen.graph.library.function for n in f.node_def if n.op != "Const")
    return {
        "path": _stored(seen.graph, folder),
        "inputs": seen.inputs[:own],
        "captured": captured,
        "unfolded": _stored(seen.frozen, folder) if captured and seen.frozen is not None else None,
        "outputs": seen.outputs,
        "nodes": nodes,
        "renamed": seen.renamed,
    }


def _stored(graph: Any, folder: Path) -> str:
    """Under a name of its own: workers remember graphs by their path."""
    handle, path = tempfile.mkstemp(suffix=".pb", prefix="frozen-", dir=folder)
    with open(handle, "wb") as stream:
        stream.write(graph.SerializeToString())
    return path


def record(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """{"graph", "inputs": tensor names, "feeds": wires, "store"} -> the table of tf_graph.table_of."""
    quiet()
    context.stage("record")
    feeds = [ValueRef.from_wire(wire).read() for wire in arguments["feeds"]]
    return table_of(arguments["graph"], arguments["inputs"], feeds, Path(arguments["store"])), ()
