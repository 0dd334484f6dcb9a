"""Tasks on candidates of a frozen TensorFlow graph (child side): judge, compare, name what took part, write as code."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from reducer.backends.onnxruntime import OnnxRuntime
from reducer.values import append_values
from reducer.worker.comparison import differing_kinds
from reducer.worker.main import Context
from reducer.worker.tf_convert import Captured, Conversion, How, attempt, capturing, convert_graph, seen_rewriters
from reducer.worker.tf_functions import convert_saved_model
from reducer.worker.tf_graph import Candidate
from reducer.worker.tf_ladder import climb
from reducer.worker.tf_subject import quiet

Reply = tuple[dict[str, Any], tuple[bytes, ...]]


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
        conversion = replace(
            conversion, tensors=(tuple(candidate.called[p] for p in places), tuple(candidate.order["outputs"]))
        )
    else:
        conversion = convert_graph(candidate.graph, candidate.given, candidate.outputs, how)
    report = climb(context, conversion, (candidate.feeds, expected), arguments["settings"])
    if keep:
        values = {n: v for n, v in zip(candidate.outputs, expected, strict=True) if v is not None}
        report["expected"] = {name: ref.to_wire() for name, ref in append_values(Path(keep), values).items()}
    named = {"inputs": candidate.inputs, "outputs": candidate.outputs, "names": candidate.names}
    blob = candidate.graph.SerializeToString()
    return {"report": report, **named}, (blob, conversion.model or b"") if keep else (blob,)


def build(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """{"order"} -> the GraphDef as a blob, unconverted."""
    quiet()
    return {}, (Candidate(arguments["order"]).graph.SerializeToString(),)


def publicly(candidate: Candidate, how: How) -> tuple[Conversion, list[int]]:
    """The candidate as a tf.function through the public API, as a repro script does it; and the order of inputs."""
    import tensorflow as tf
    from tf2onnx import convert

    specs = [
        tf.TensorSpec(tf.TensorShape(n.attr["shape"].shape), tf.as_dtype(n.attr["dtype"].type), name=f"input_{number}")
        for number, n in enumerate(n for n in candidate.graph.node if n.op == "Placeholder")
    ]

    captured = closed_over(candidate)

    @tf.function(input_signature=specs)  # type: ignore[untyped-decorator]
    def reduced(*arguments: Any) -> Any:
        given = dict(zip(candidate.inputs, arguments, strict=True))
        given.update({name: tf.convert_to_tensor(value) for name, value in captured.items()})
        return tf.graph_util.import_graph_def(candidate.graph, given, return_elements=candidate.outputs, name="")

    options: dict[str, Any] = {} if how.opset is None else {"opset": how.opset}
    turned = [f"{spec.name}:0" for spec, name in zip(specs, candidate.called, strict=True) if name in how.nchw_in]
    options.update({"inputs_as_nchw": turned} if turned else {})
    if not how.raises:  # the outputs of a SavedModel have names of their own
        turned = [output_of(place) for place, name in enumerate(candidate.order["outputs"]) if name in how.nchw_out]
        options.update({"outputs_as_nchw": turned} if turned else {})
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


def output_of(place: int) -> str:
    """What the graph of a tf.function calls its output at that place."""
    return f"Identity_{place}:0" if place else "Identity:0"


def closed_over(candidate: Candidate) -> dict[str, Any]:
    """Eager tensors for the constants that the function is to capture, by tensor name."""
    import tensorflow as tf

    nodes = {f"{node.name}:0": node for node in candidate.graph.node}
    return {name: tf.constant(tf.make_ndarray(nodes[name].attr["value"].tensor)) for name in candidate.captured}


def position_of(seen: Captured, names: list[str]) -> list[int]:
    """Where each input of the conversion lies among `names`: a SavedModel has an order of its own."""
    made = seen.names()[0][: len(names)]  # what is captured comes after them
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
        convert_graph(candidate.graph, candidate.given, candidate.outputs, How.from_wire(arguments["how"]))
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


def differing(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """Convert once with many tensors as outputs (order["outputs"]) and say which differ from what TensorFlow makes.

    Reply: {"differing": {name: kind}, "error": why nothing can be said, or empty}.
    """
    quiet()
    import tensorflow as tf

    settings = arguments["settings"]
    try:
        candidate = Candidate(arguments["order"])
        right = candidate.expected()
    except (ValueError, TypeError, tf.errors.OpError) as error:
        return {"differing": {}, "error": f"{type(error).__name__}: {str(error)[:200]}"}, ()
    context.stage("convert")
    conversion = convert_graph(candidate.graph, candidate.given, candidate.outputs, How.from_wire(arguments["how"]))
    if conversion.model is None:
        return {"differing": {}, "error": "the graph with all its tensors as outputs does not convert"}, ()
    try:
        context.stage("load")
        run = OnnxRuntime().open(conversion.model, settings["runtime"])
        made = run(dict(zip(conversion.inputs, candidate.feeds, strict=True)))
    except Exception as error:  # noqa: BLE001 - a system under test
        return {"differing": {}, "error": f"{type(error).__name__}: {str(error)[:200]}"}, ()
    known = {n: v for n, v in zip(candidate.outputs, right, strict=True) if v is not None and n in made}
    return {"differing": differing_kinds(dict(made), known, settings["compare"]), "error": ""}, ()
