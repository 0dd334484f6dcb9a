"""A .tflite file as a subject (child side): its inputs, how TFLite runs it, tf2onnx's entry point for it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reducer.worker.tf_subject import Entry, Input, Refused, Subject
from reducer.worker.tflite_model import (
    IDENTIFIER,
    Unreadable,
    declared_shape,
    dtype_of,
    feed_and_invoke,
    has_custom_operators,
    ids,
    load_model,
    own_name,
    steps_of,
    tensor_names,
)

TEXT = ("bytes_", "str_", "object_")


def of_tflite(path: Path) -> Subject:
    """The file as a subject. Raises Refused."""
    import tensorflow as tf

    _look_at(path)

    try:
        interpreter = tf.lite.Interpreter(model_path=str(path))  # verifies the flatbuffer
    except (ValueError, RuntimeError) as error:
        raise _refused(path, error) from error
    try:
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        if has_custom_operators(load_model(str(path))):
            return _only_converted(path)
        raise _refused(path, error) from error
    inputs = [
        Input(d["name"], _dtype(d), tuple(None if n < 0 else int(n) for n in d["shape_signature"]))
        for d in interpreter.get_input_details()
    ]

    def run(values: Sequence[Any]) -> list[Any]:
        # A new one: variables keep what a run leaves in them.
        interpreter = tf.lite.Interpreter(model_path=str(path))
        feed_and_invoke(interpreter, values)
        return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]

    subject = Subject(inputs, run, _entries(path))
    subject.output_names = [d["name"] for d in interpreter.get_output_details()]
    subject.traits = {"steps": steps_of_file(path)}
    return subject


def _refused(path: Path, error: Exception) -> Refused:
    return Refused(f"TFLite cannot open {path}: {' '.join(str(error).split())[:200]}")


def _entries(path: Path) -> dict[str, Entry]:
    from tf2onnx import convert

    return {"from_tflite": lambda options: convert.from_tflite(str(path), **options)}


def _only_converted(path: Path) -> Subject:
    """A model with operators that TFLite itself does not know here: tf2onnx reads the file alone."""
    graph = load_model(str(path)).subgraphs[0]
    tensors = [graph.tensors[i] for i in ids(graph.inputs)]
    inputs = [Input(own_name(tensor), dtype_of(tensor), declared_shape(tensor)) for tensor in tensors]
    return Subject(inputs, lambda _: [], _entries(path), traits={"run": False})


def _look_at(path: Path) -> None:
    content = path.read_bytes()
    if not content:
        raise Refused(f"{path} is empty", "a TFLite model is what tf.lite.TFLiteConverter writes")
    if content[4:8] != IDENTIFIER:
        raise Refused(f"{path} is no TFLite model: it does not hold the mark {IDENTIFIER.decode()} of one")
    try:
        load_model(str(path))
    except Unreadable as error:
        if "behind the flatbuffer" not in str(error):
            raise Refused(
                f"{path} is a damaged TFLite model: {str(error)[:150]}", "is it cut short, or changed?"
            ) from error


def _dtype(detail: Any) -> str:
    name = str(detail["dtype"].__name__)
    return "str" if name in TEXT else np.dtype(detail["dtype"]).name


def steps_of_file(path: Path) -> dict[str, list[float]]:
    """tflite_model.steps_of."""
    try:
        model = load_model(str(path))
    except Unreadable:
        return {}
    return steps_of(model, model.subgraphs[0])


def saved_model(path: str, folder: Path) -> dict[str, Any] | None:
    """A copy of the model for the reduction, as tf_tasks.saved_graph; None when it cannot be taken apart."""
    try:
        model = load_model(path)
    except Unreadable:
        return None
    graph = model.subgraphs[0]
    names = tensor_names(graph)
    # A name of its own: workers remember models by their path.
    handle, kept = tempfile.mkstemp(suffix=".tflite", prefix="source-", dir=folder)
    with open(handle, "wb") as stream:
        stream.write(Path(path).read_bytes())
    return {
        "path": kept,
        "inputs": [names[i] for i in ids(graph.inputs)],
        "outputs": [names[i] for i in ids(graph.outputs)],
        "nodes": sum(len(each.operators or []) for each in model.subgraphs),
        "renamed": {},
        "form": "tflite",
    }
