"""Tasks of a run on a TensorFlow source; they run in the child only. Each takes (context, arguments, blobs)."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reducer.values import ValueRef, append_values, dtype_named
from reducer.worker.main import Context
from reducer.worker.tf_convert import Captured, Conversion, How, attempt, capturing, convert_graph, seen_rewriters
from reducer.worker.tf_graph import Candidate, load_graph, table_of
from reducer.worker.tf_ladder import as_arrays, climb
from reducer.worker.tf_sources import Input, Refused, Subject, convert_saved_model, open_source

Reply = tuple[dict[str, Any], tuple[bytes, ...]]
# What an unknown dim becomes: 1 would hide broadcasting.
DEFAULT_DIM = 2


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
        context.stage("reference")
        expected = as_arrays(reference(subject, feeds))
    except Refused as refused:
        return {"refused": [str(refused), refused.hint]}, ()
    context.stage("convert")
    start = time.perf_counter()
    conversion, seen = through(subject, entry, how, stop=bool(arguments.get("freeze_only")))
    inputs, ordered = in_order(seen, subject, feeds, expected)
    report = climb(context, conversion, ordered, arguments["settings"])
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
        "graph": saved_graph(seen, Path(arguments["folder"]) / "frozen.pb"),
        "keras": type(subject.keras_model).__name__ if entry == "from_keras" else "",
        "bytes": report.get("bytes", 0),
    }, ()


def in_order(
    seen: Captured, subject: Subject, feeds: list[Any], expected: list[Any]
) -> tuple[list[Input], tuple[list[Any], list[Any]]]:
    """Inputs with feeds, and outputs, in the order in which the entry point gave them to the core: a SavedModel's
    are in another order than its signature's. They are told apart by the names that they get in the ONNX model."""
    inputs, names = list(subject.inputs), seen.names()
    own = [i.name for i in inputs]
    if sorted(names[0]) == sorted(own) and names[0] != own:
        places = [own.index(name) for name in names[0]]
        inputs, feeds = [inputs[p] for p in places], [feeds[p] for p in places]
    given = subject.output_names
    if given and sorted(names[1]) == sorted(given):
        expected = [expected[given.index(name)] for name in names[1]]
    return inputs, (feeds, expected)


def quiet() -> None:
    """TensorFlow talks on stderr while it starts."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    # The machine has other work; refused once TensorFlow has begun, which is then as it was set before.
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)


def check_opset(opset: int | None) -> None:
    """Raise Refused for an opset that this tf2onnx cannot write."""
    import tf2onnx
    from tf2onnx import constants

    known = sorted(constants.OPSET_TO_IR_VERSION)
    if opset is not None and opset not in known:
        raise Refused(f"tf2onnx {tf2onnx.__version__} cannot write opset {opset}", f"--opset takes {known[0]} to {known[-1]}")


def chosen_entry(subject: Subject, wanted: str | None) -> str:
    """The entry point asked for, else the usual one. Raises Refused."""
    if wanted is None:
        return next(iter(subject.entries))
    if wanted not in subject.entries:
        raise Refused(f"this source cannot go through {wanted}", f"--entry takes here: {', '.join(subject.entries)}")
    return wanted


def feeds_of(subject: Subject, arguments: dict[str, Any]) -> list[Any]:
    """The user's inputs checked against the signature, else seeded values. Raises Refused."""
    given = subject.given
    if arguments.get("inputs"):
        try:
            with np.load(arguments["inputs"], allow_pickle=False) as archive:
                named = {name: archive[name] for name in archive.files}
        except (OSError, ValueError) as error:
            raise Refused(f"{arguments['inputs']} is not an .npz file of plain arrays: {error}") from error
        by_name = all(i.name in named for i in subject.inputs)
        given = [named[i.name] for i in subject.inputs] if by_name else list(named.values())
    if given is None:
        return [made(i, int(arguments.get("seed") or 0), arguments.get("dims") or {}) for i in subject.inputs]
    if len(given) != len(subject.inputs):
        names = ", ".join(i.name for i in subject.inputs)
        raise Refused(f"{len(given)} inputs are given, the model takes {len(subject.inputs)}: {names}")
    return [fitted(i, value) for i, value in zip(subject.inputs, given, strict=True)]


def fitted(wanted: Input, value: Any) -> Any:
    """The value if its dtype and shape fit. Raises Refused."""
    array = np.asarray(value)
    if wanted.dtype == "str":
        return array.astype(object)
    if array.dtype != dtype_named(wanted.dtype):
        raise Refused(f"input {wanted.name!r} takes {wanted.dtype}, not {array.dtype.name}")
    shape = wanted.shape
    if shape is not None and (
        len(shape) != array.ndim or any(d is not None and d != n for d, n in zip(shape, array.shape, strict=True))
    ):
        raise Refused(f"input {wanted.name!r} takes shape {list(shape)}, not {list(array.shape)}")
    return array


def made(wanted: Input, seed: int, dims: dict[str, int]) -> Any:
    """A seeded value: normal floats, small positive integers (legal as ids and sizes)."""
    digest = hashlib.sha256(f"{seed}\0{wanted.name}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    free = dims.get(wanted.name, DEFAULT_DIM)
    shape = tuple(free if d is None else d for d in (wanted.shape or ()))
    if wanted.dtype == "str":
        return rng.choice(np.array(["a", "bb", "ccc"], dtype=object), shape)
    dtype = dtype_named(wanted.dtype)
    if dtype.kind == "b":
        return np.asarray(rng.integers(0, 2, shape)).astype(dtype)
    if dtype.kind in "iu":
        return np.asarray(rng.integers(1, 3, shape)).astype(dtype)
    return np.asarray(rng.standard_normal(shape)).astype(dtype)


def reference(subject: Subject, feeds: Sequence[Any]) -> list[Any]:
    """TensorFlow's own outputs. Raises Refused when TensorFlow itself fails: then there is nothing to compare."""
    try:
        return list(subject.run(feeds))
    except Exception as error:  # noqa: BLE001 - the user's model may raise anything
        text = str(error).strip().splitlines()
        raise Refused(
            f"TensorFlow itself fails on this model: {type(error).__name__}: {text[0][:200] if text else ''}",
            "give inputs that it accepts: get_inputs() in the module, or --inputs FILE.npz",
        ) from error


def through(subject: Subject, entry: str, how: How, *, stop: bool = False) -> tuple[Conversion, Captured]:
    """Convert through the public entry point, seeing the frozen graph on its way; `stop` there."""
    options = {"opset": how.opset, "inputs_as_nchw": list(how.nchw_in) or None, "outputs_as_nchw": list(how.nchw_out) or None}
    options = {name: value for name, value in options.items() if value is not None}
    with capturing(stop=stop) as seen:
        conversion = attempt(lambda: subject.entries[entry](options), seen.names)
    return conversion, seen


def saved_graph(seen: Captured, path: Path) -> dict[str, Any] | None:
    """The captured graph in a file; None when the entry point failed before there was one, or it is TFLite."""
    if seen.graph is None or seen.tflite:
        return None
    path.write_bytes(seen.graph.SerializeToString())
    nodes = sum(1 for n in seen.graph.node if n.op not in ("Const", "Placeholder"))
    nodes += sum(1 for f in seen.graph.library.function for n in f.node_def if n.op != "Const")
    return {"path": str(path), "inputs": seen.inputs, "outputs": seen.outputs, "nodes": nodes, "renamed": seen.renamed}


def record(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """{"graph", "inputs": tensor names, "feeds": wires, "store"} -> the table of tf_graph.table_of."""
    quiet()
    context.stage("record")
    feeds = [ValueRef.from_wire(wire).read() for wire in arguments["feeds"]]
    return table_of(arguments["graph"], arguments["inputs"], feeds, Path(arguments["store"])), ()


def judge(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """Build a candidate, convert it, climb the ladder.

    arguments: order (tf_graph.Candidate), how, settings, public: through tf2onnx's from_function instead of the
    core. Reply: {"report"} or {"invalid": why}, and the GraphDef as a blob.
    """
    quiet()
    import tensorflow as tf

    context.stage("build")
    try:
        candidate = Candidate(arguments["order"])
        # What TensorFlow itself refuses is no candidate, even where the failure needs no run.
        needed = arguments["settings"].get("run", True) or candidate.order["recompute"]
        expected = candidate.expected() if needed else []
        with tf.Graph().as_default():
            tf.import_graph_def(candidate.graph, name="")
    except (ValueError, TypeError, tf.errors.OpError) as error:
        return {"invalid": f"{type(error).__name__}: {str(error)[:300]}"}, ()
    context.stage("convert")
    how = How.from_wire(arguments["how"])
    keep = arguments.get("keep")
    if keep and not needed:
        expected = candidate.expected()
    if arguments.get("public"):
        conversion, places = publicly(candidate, how)
        candidate.feeds = [candidate.feeds[place] for place in places]
    else:
        conversion = convert_graph(candidate.graph, candidate.inputs, candidate.outputs, how)
    report = climb(context, conversion, (candidate.feeds, expected), arguments["settings"])
    if keep:
        values = {n: v for n, v in zip(candidate.outputs, expected, strict=True) if v is not None}
        report["expected"] = {name: ref.to_wire() for name, ref in append_values(Path(keep), values).items()}
    named = {"inputs": candidate.inputs, "outputs": candidate.outputs, "onnx_inputs": list(conversion.inputs)}
    blob = candidate.graph.SerializeToString()
    return {"report": report, **named}, (blob, conversion.model or b"") if keep else (blob,)


def publicly(candidate: Candidate, how: How) -> tuple[Conversion, list[int]]:
    """The candidate as a tf.function through the public API, as a repro script does it; and the order of inputs."""
    import tensorflow as tf
    from tf2onnx import convert

    specs = [
        tf.TensorSpec(tf.TensorShape(n.attr["shape"].shape), tf.as_dtype(n.attr["dtype"].type), name=f"input_{number}")
        for number, n in enumerate(n for n in candidate.graph.node if n.op == "Placeholder")
    ]

    @tf.function(input_signature=specs)  # type: ignore[untyped-decorator]
    def reduced(*arguments: Any) -> Any:
        given = dict(zip(candidate.inputs, arguments, strict=True))
        return tf.graph_util.import_graph_def(candidate.graph, given, return_elements=candidate.outputs, name="")

    options = {} if how.opset is None else {"opset": how.opset}
    with capturing() as seen, tempfile.TemporaryDirectory() as folder:

        def run() -> Any:
            if not how.raises:
                return convert.from_function(reduced, input_signature=specs, **options)
            module = tf.Module()
            module.reduced = reduced
            tf.saved_model.save(module, folder, signatures=reduced.get_concrete_function())
            return convert_saved_model(folder, "serving_default", options)

        conversion = attempt(run, seen.names)
        return conversion, position_of(seen, [spec.name for spec in specs])


def position_of(seen: Captured, names: list[str]) -> list[int]:
    """Where each input of the conversion lies among `names`: a SavedModel has an order of its own."""
    made = seen.names()[0]
    return [names.index(name) for name in made] if sorted(made) == sorted(names) else list(range(len(names)))


def write_code(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """{"order", "store"} -> {"forms": [{"code", "parameters", "saved": {name: wire}}]}: readable calls first, the
    GraphDef as text after it; none when neither can be written."""
    quiet()
    from reducer.worker.tf_code import NoCode, code_of, graph_code

    candidate = Candidate(arguments["order"])
    forms = []
    with contextlib.suppress(NoCode):
        code, parameters, saved = code_of(candidate)
        wires = {name: ref.to_wire() for name, ref in append_values(Path(arguments["store"]), saved).items()}
        forms.append({"code": code, "parameters": parameters, "saved": wires, "text": False})
    with contextlib.suppress(NoCode):
        names = [name.partition(":")[0].rpartition("/")[2] for name in candidate.inputs]
        parameters = [name if names.count(name) == 1 else f"{name}_{i}" for i, name in enumerate(names)]
        forms.append({"code": graph_code(candidate), "parameters": parameters, "saved": {}, "text": True})
    return {"forms": forms}, ()


def rewriters(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """Convert once and name what took part: {"rewriters": [...], "optimizers": [...]} in their order."""
    quiet()
    from tf2onnx.optimizer import _get_optimizers

    candidate = Candidate(arguments["order"])
    seen: list[str] = []
    with seen_rewriters(seen):
        convert_graph(candidate.graph, candidate.inputs, candidate.outputs, How.from_wire(arguments["how"]))
    return {"rewriters": seen, "optimizers": list(_get_optimizers())}, ()


def handlers(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """{"ops": [...], "opset"} -> {"handlers": {op: "file:Class.function"}}; an op without a handler is left out."""
    import inspect

    from tf2onnx import constants, handler, tfonnx, utils

    del tfonnx  # imported for its side effect: handlers register themselves
    mapping = handler.tf_op.create_mapping(utils.find_opset(arguments.get("opset")), [constants.TENSORFLOW_OPSET])
    found = {}
    for op in arguments["ops"]:
        function = mapping[op][0] if op in mapping else None
        if function is not None:
            file = (inspect.getsourcefile(function) or "").replace("\\", "/").rpartition("/tf2onnx/")[2]
            found[op] = f"tf2onnx/{file}:{function.__qualname__}"
    return {"handlers": found}, ()


__all__ = ["differing", "handlers", "judge", "load_graph", "observe", "ready", "record", "rewriters", "write_code"]
