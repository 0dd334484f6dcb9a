"""Files and folders as subjects (child side): SavedModel, frozen GraphDef, Keras files."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reducer.worker.tf_functions import convert_saved_model
from reducer.worker.tf_subject import Input, Refused, Subject, input_of, numpy_name, shape_of, tensors_of


def load_keras(path: Path) -> Any:
    import keras

    if path.suffix == ".keras" and not zipfile.is_zipfile(path):
        raise Refused(f"{path} is no Keras 3 file (a zip archive)", "save it with model.save('model.keras')")
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        lines = [*str(error).strip().splitlines(), type(error).__name__]
        raise Refused(
            f"Keras {keras.__version__} cannot load {path.name}: {lines[0][:200]}",
            "another Keras version wrote it, or it needs custom objects: build it in get_keras_model() of a .py file",
        ) from error


def of_saved_model(path: Path, signature: str | None) -> Subject:
    import tensorflow as tf

    if not any((path / name).exists() for name in ("saved_model.pb", "saved_model.pbtxt")):
        raise Refused(f"{path} is no SavedModel: it holds no saved_model.pb", "name the folder that TensorFlow wrote")
    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:
        raise Refused(f"TensorFlow cannot load {path}: {type(error).__name__}: {str(error)[:200]}") from error
    have = sorted(loaded.signatures)
    name = signature or ("serving_default" if "serving_default" in have else (have[0] if len(have) == 1 else ""))
    if name not in have:
        said = f"no signature {name!r}" if name else "several signatures, none called serving_default"
        raise Refused(f"{path} has {said}", f"choose with --signature; it has: {', '.join(have) or 'none'}")
    called = loaded.signatures[name]
    specs = dict(called.structured_input_signature[1])
    inputs = [input_of(spec, key) for key, spec in specs.items()]

    def run(values: Sequence[Any]) -> list[Any]:
        made = called(**dict(zip(specs, tensors_of(values, inputs), strict=True)))
        return [made[key] for key in called.structured_outputs] if isinstance(made, dict) else tf.nest.flatten(made)

    subject = Subject(inputs, run, {}, keras_model=loaded, output_names=list(called.structured_outputs))
    subject.entries["saved_model"] = lambda options: convert_saved_model(str(path), name, options)
    return subject


def of_graph_file(path: Path) -> Subject:
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise Refused(f"{path} holds no TensorFlow GraphDef", "a frozen graph is a binary .pb file") from error
    if not graph.node:
        raise Refused(f"{path} holds an empty graph")
    return of_graph(graph)


def of_graph(graph: Any) -> Subject:
    """A frozen GraphDef: its Placeholders are the inputs, what nobody reads are the outputs."""
    import tensorflow as tf
    from tf2onnx import convert

    with tf.Graph().as_default() as opened:
        try:
            tf.import_graph_def(graph, name="")
        except (ValueError, tf.errors.OpError) as error:
            raise Refused(f"TensorFlow cannot import the graph: {str(error)[:200]}") from error
    if any(op.type in ("VariableV2", "VarHandleOp") for op in opened.get_operations()):
        raise Refused("the graph holds variables: it is not frozen", "freeze it, or name the SavedModel")
    holders = [op.outputs[0] for op in opened.get_operations() if op.type == "Placeholder"]
    ends = [t for op in opened.get_operations() for t in op.outputs if not t.consumers() and op.type != "Placeholder"]
    ends = [t for t in ends if t.dtype.name not in ("resource", "variant") and t.op.type not in ("Const", "NoOp")]
    if not holders or not ends:
        raise Refused("the graph has no Placeholder, or nothing to compute")
    inputs = [Input(t.name, numpy_name(t.dtype), shape_of(t.shape)) for t in holders]
    names = [t.name for t in holders], [t.name for t in ends]

    def run(values: Sequence[Any]) -> list[Any]:
        with tf.compat.v1.Session(graph=opened) as session:
            return list(session.run(names[1], dict(zip(names[0], values, strict=True))))

    def entry(options: dict[str, Any]) -> Any:
        return convert.from_graph_def(graph, input_names=names[0], output_names=names[1], **options)

    return Subject(inputs, run, {"from_graph_def": entry})
