"""What the user named, opened in the child: a TensorFlow function, Keras model, SavedModel, frozen graph or TFLite.

A Subject knows its inputs, how TensorFlow itself runs it, and how each public entry point of tf2onnx is called on it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import traceback
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Entry = Callable[[dict[str, Any]], Any]


class Refused(Exception):
    """What the user gave does not fit; `hint` says what to type next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Input:
    """One input: name, numpy dtype name, and shape with None for what is not fixed; None when even the rank is."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None


@dataclass
class Subject:
    """An opened source. `run` gives TensorFlow's own outputs, in order; `entries` the entry points that fit, the
    usual one first; each takes {"opset", "inputs_as_nchw", "outputs_as_nchw"} that are set."""

    inputs: list[Input]
    run: Callable[[Sequence[Any]], list[Any]]
    entries: dict[str, Entry]
    given: list[Any] | None = None
    keras_model: Any = None
    output_names: list[str] = field(default_factory=list)
    # Entry points that raise what a handler raises, as tf2onnx's command line does.
    raises: frozenset[str] = frozenset({"saved_model"})


def open_source(arguments: dict[str, Any]) -> Subject:
    """The subject of a request {"path", "form", "signature", "folder"}. Raises Refused."""
    path, form = Path(arguments["path"]), arguments["form"]
    scratch = Path(arguments["folder"])
    if form == "case":
        return _of_case(path, scratch)
    if form == "keras":
        return of_keras(_load_keras(path), scratch)
    if form == "saved_model":
        return _of_saved_model(path, arguments.get("signature"))
    if form == "graph_def":
        return _of_graph_file(path)
    return _of_tflite(path)


# --- a module of the user's ----------------------------------------------------------------------------------
def _of_case(path: Path, scratch: Path) -> Subject:
    module = _imported(path)
    subject: Subject
    if hasattr(module, "get_keras_model"):
        subject = of_keras(_called(module, "get_keras_model"), scratch)
    else:
        made = _called(module, "get_function")
        if not isinstance(made, tuple | list) or len(made) != 2 or not callable(made[0]):
            raise Refused(f"get_function() in {path.name} must return (callable, list of tf.TensorSpec)")
        subject = of_function(made[0], list(made[1]), scratch)
    if hasattr(module, "get_inputs"):
        given = _called(module, "get_inputs")
        subject.given = list(given.values()) if isinstance(given, dict) else list(given)
    return subject


def _imported(path: Path) -> Any:
    specification = importlib.util.spec_from_file_location("onnx_reduce_case", path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.path.insert(0, str(path.parent))
    try:
        specification.loader.exec_module(module)
    except Exception as error:  # noqa: BLE001 - the user's code may raise anything
        raise Refused(f"{path.name} cannot be imported: {_where(error, path)}") from error
    return module


def _called(module: Any, name: str) -> Any:
    try:
        return getattr(module, name)()
    except Exception as error:  # noqa: BLE001 - the user's code may raise anything
        raise Refused(f"{name}() fails: {_where(error, Path(module.__file__))}") from error


def _where(error: BaseException, path: Path) -> str:
    """The exception in one line, with the last line of the user's own file."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    place = f" (line {lines[-1]})" if lines else ""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}{place}"


# --- functions and Keras models ------------------------------------------------------------------------------
def of_function(function: Any, specs: list[Any], scratch: Path) -> Subject:
    """A callable with its signature."""
    import tensorflow as tf

    traced = tf.function(function, input_signature=specs)
    inputs = [_input_of(spec, f"input_{number}") for number, spec in enumerate(specs)]

    def run(values: Sequence[Any]) -> list[Any]:
        return list(tf.nest.flatten(traced(*_tensors(values, inputs))))

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
    inputs = [_input_of(spec, f"input_{number}") for number, spec in enumerate(specs)]
    shaped = model._inputs_struct if hasattr(model, "_inputs_struct") else list(given)

    def call(*values: Any) -> Any:
        packed = values[0] if len(values) == 1 else list(values)
        with contextlib.suppress(ValueError, TypeError):
            packed = tf.nest.pack_sequence_as(shaped, list(values))
        return model(packed, training=False)

    traced = tf.function(call, input_signature=specs)

    def run(values: Sequence[Any]) -> list[Any]:
        return list(tf.nest.flatten(call(*_tensors(values, inputs))))

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
        names = [t.name for t in concrete.inputs if t.dtype.name != "resource"], [t.name for t in concrete.outputs]
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
        file.write_bytes(converter.convert())
        return convert.from_tflite(str(file), **options)

    return {"from_graph_def": graph, "saved_model": saved, "from_tflite": lite}


def _load_keras(path: Path) -> Any:
    import keras

    if path.suffix == ".keras" and not zipfile.is_zipfile(path):
        raise Refused(f"{path} is no Keras 3 file (a zip archive)", "save it with model.save('model.keras')")
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # noqa: BLE001 - a Keras of another version fails in many ways
        text = str(error).strip().splitlines()
        raise Refused(
            f"Keras {keras.__version__} cannot load {path.name}: {type(error).__name__}: {text[0][:200] if text else ''}",
            "it may come from another Keras version, or need custom objects: build it in get_keras_model() of a .py file",
        ) from error


# --- files ---------------------------------------------------------------------------------------------------
def _of_saved_model(path: Path, signature: str | None) -> Subject:
    import tensorflow as tf

    if not any((path / name).exists() for name in ("saved_model.pb", "saved_model.pbtxt")):
        raise Refused(f"{path} is no SavedModel: it holds no saved_model.pb", "name the folder that TensorFlow wrote")
    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:  # noqa: BLE001 - a broken file fails in many ways
        raise Refused(f"TensorFlow cannot load {path}: {type(error).__name__}: {str(error)[:200]}") from error
    have = sorted(loaded.signatures)
    name = signature or ("serving_default" if "serving_default" in have else (have[0] if len(have) == 1 else ""))
    if name not in have:
        said = f"no signature {name!r}" if name else "several signatures, none called serving_default"
        raise Refused(f"{path} has {said}", f"choose with --signature; it has: {', '.join(have) or 'none'}")
    called = loaded.signatures[name]
    specs = dict(called.structured_input_signature[1])
    inputs = [_input_of(spec, key) for key, spec in specs.items()]

    def run(values: Sequence[Any]) -> list[Any]:
        made = called(**dict(zip(specs, _tensors(values, inputs), strict=True)))
        return [made[key] for key in called.structured_outputs] if isinstance(made, dict) else tf.nest.flatten(made)

    subject = Subject(inputs, run, {}, keras_model=loaded, output_names=list(called.structured_outputs))
    subject.entries["saved_model"] = lambda options: convert_saved_model(str(path), name, options)
    return subject


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


def _of_graph_file(path: Path) -> Subject:
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
    inputs = [Input(t.name, _numpy_name(t.dtype), _shape_of(t.shape)) for t in holders]
    names = [t.name for t in holders], [t.name for t in ends]

    def run(values: Sequence[Any]) -> list[Any]:
        with tf.compat.v1.Session(graph=opened) as session:
            return list(session.run(names[1], dict(zip(names[0], values, strict=True))))

    def entry(options: dict[str, Any]) -> Any:
        return convert.from_graph_def(graph, input_names=names[0], output_names=names[1], **options)

    return Subject(inputs, run, {"from_graph_def": entry})


def _of_tflite(path: Path) -> Subject:
    import tensorflow as tf
    from tf2onnx import convert

    try:
        interpreter = tf.lite.Interpreter(model_path=str(path))
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise Refused(f"TFLite cannot open {path}: {str(error)[:200]}") from error
    details = interpreter.get_input_details()
    inputs = [
        Input(d["name"], d["dtype"].__name__, tuple(None if n < 0 else int(n) for n in d["shape_signature"]))
        for d in details
    ]

    def run(values: Sequence[Any]) -> list[Any]:
        for detail, value in zip(details, values, strict=True):
            interpreter.resize_tensor_input(detail["index"], value.shape)
        interpreter.allocate_tensors()
        for detail, value in zip(details, values, strict=True):
            interpreter.set_tensor(detail["index"], value)
        interpreter.invoke()
        return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]

    return Subject(inputs, run, {"from_tflite": lambda options: convert.from_tflite(str(path), **options)})


# --- small facts ---------------------------------------------------------------------------------------------
def _tensors(values: Sequence[Any], inputs: list[Input]) -> list[Any]:
    import tensorflow as tf

    return [tf.constant(value, dtype=i.dtype if i.dtype != "str" else tf.string) for value, i in zip(
        values, inputs, strict=True)]


def _input_of(spec: Any, fallback: str) -> Input:
    return Input(spec.name or fallback, _numpy_name(spec.dtype), _shape_of(spec.shape))


def _numpy_name(dtype: Any) -> str:
    import tensorflow as tf

    kind = tf.as_dtype(dtype)
    return "str" if kind == tf.string else str(kind.name)


def _shape_of(shape: Any) -> tuple[int | None, ...] | None:
    import tensorflow as tf

    known = tf.TensorShape(shape)
    return None if known.rank is None else tuple(known.as_list())
