"""Functions and Keras models as subjects (child side), and the entry points of tf2onnx that fit them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reducer.worker.tf_subject import Entry, Refused, Subject, input_of, tensors_of


def of_function(function: Any, specs: list[Any], scratch: Path) -> Subject:
    """A callable with its signature."""
    import tensorflow as tf

    traced = tf.function(function, input_signature=specs)
    inputs = [input_of(spec, f"input_{number}") for number, spec in enumerate(specs)]

    def run(values: Sequence[Any]) -> list[Any]:
        return list(tf.nest.flatten(traced(*tensors_of(values, inputs))))

    entries = {"from_function": _from_function(traced, specs), **_by_file(traced, scratch)}
    return Subject(inputs, run, entries)


def of_keras(model: Any, scratch: Path | None) -> Subject:
    """A Keras model with known inputs."""
    import tensorflow as tf
    from tf2onnx import convert

    try:
        given = model.inputs
    except (AttributeError, ValueError):
        given = None
    if not given:
        raise Refused("the Keras model has no known inputs", "build it, or give get_function() with its signature")
    specs = [tf.TensorSpec(i.shape, i.dtype, name=i.name.split("/")[0].split(":")[0]) for i in given]
    inputs = [input_of(spec, f"input_{number}") for number, spec in enumerate(specs)]
    shaped = model._inputs_struct if hasattr(model, "_inputs_struct") else list(given)

    def call(*values: Any) -> Any:
        packed = values[0] if len(values) == 1 else list(values)
        with contextlib.suppress(ValueError, TypeError):
            packed = tf.nest.pack_sequence_as(shaped, list(values))
        return model(packed, training=False)

    traced = tf.function(call, input_signature=specs)

    def run(values: Sequence[Any]) -> list[Any]:
        return list(tf.nest.flatten(call(*tensors_of(values, inputs))))

    entries = {
        "from_keras": lambda options: convert.from_keras(model, **options),
        "from_function": _from_function(traced, specs),
        **(_by_file(traced, scratch) if scratch is not None else {}),
    }
    return Subject(inputs, run, entries, keras_model=model)


def _from_function(traced: Any, specs: list[Any]) -> Entry:
    from tf2onnx import convert

    return lambda options: convert.from_function(traced, input_signature=specs, **options)


def _by_file(traced: Any, scratch: Path) -> dict[str, Entry]:
    """The entry points that take a file, fed with what TensorFlow writes of the function."""

    def graph(options: dict[str, Any]) -> Any:
        from tf2onnx import convert, tf_loader

        concrete = traced.get_concrete_function()
        own = len(concrete.inputs) - len(concrete.captured_inputs)  # what the function captures comes last
        names = [t.name for t in concrete.inputs[:own]], [t.name for t in concrete.outputs]
        frozen = tf_loader.from_function(concrete, *names)
        return convert.from_graph_def(frozen, input_names=names[0], output_names=names[1], **options)

    def saved(options: dict[str, Any]) -> Any:
        import tensorflow as tf

        module = tf.Module()
        module.traced = traced
        folder = str(scratch / "exported")
        tf.saved_model.save(module, folder, signatures=traced.get_concrete_function())
        return convert_saved_model(folder, "serving_default", options)

    def lite(options: dict[str, Any]) -> Any:
        import tensorflow as tf
        from tf2onnx import convert

        converter = tf.lite.TFLiteConverter.from_concrete_functions([traced.get_concrete_function()], traced)
        file = scratch / "exported.tflite"
        try:
            file.write_bytes(converter.convert())
        except Exception as error:
            lines = [*str(error).strip().splitlines(), type(error).__name__]
            raise Refused(
                f"TensorFlow Lite cannot convert this model: {lines[0][:200]}", "try another --entry"
            ) from error
        return convert.from_tflite(str(file), **options)

    return {"from_graph_def": graph, "saved_model": saved, "from_tflite": lite}


def convert_saved_model(path: str, signature: str, options: dict[str, Any]) -> Any:
    """What `python -m tf2onnx.convert --saved-model` does: its loader, then the core, raising what handlers raise."""
    import tensorflow as tf
    from tf2onnx import convert, tf_loader

    graph, inputs, outputs, tables, renamed = tf_loader.from_saved_model(
        path, None, None, None, [signature], None, False, return_initialized_tables=True, return_tensors_to_rename=True
    )
    with tf.device("/cpu:0"):
        return convert._convert_common(
            graph,
            name=path,
            continue_on_error=False,
            input_names=inputs,
            output_names=outputs,
            tensors_to_rename=renamed,
            initialized_tables=tables,
            **options,
        )
