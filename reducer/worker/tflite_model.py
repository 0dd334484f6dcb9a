"""A TFLite model as it lies in its file (child side): read, named, run in TFLite's interpreter.

A flatbuffer is parsed here only, in the worker: what a file says of itself is not to be trusted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

IDENTIFIER = b"TFL3"
ABSENT = -1  # an optional input that is not given


class Unreadable(Exception):
    """The file is no flatbuffer of a TFLite model that can be taken apart."""


@lru_cache(maxsize=4)
def load_model(path: str) -> Any:
    """The model (flatbuffers' object API). Cached: a worker serves many candidates of one. Raises Unreadable."""
    from tensorflow.lite.python.schema_py_generated import ModelT

    try:
        model = ModelT.InitFromPackedBuf(Path(path).read_bytes(), 0)
        graph = model.subgraphs[0]
        known = range(len(graph.tensors))
        for operator in graph.operators:
            model.operatorCodes[operator.opcodeIndex]
            if any(i not in known and i != ABSENT for i in (*ids(operator.inputs), *ids(operator.outputs))):
                raise Unreadable("an operator reads a tensor that is not there")
        if any(buffer.offset or buffer.size for buffer in model.buffers):
            raise Unreadable("its weights lie behind the flatbuffer")
    except (MemoryError, Unreadable):
        raise
    except Exception as error:  # a hostile file makes generated code raise anything
        raise Unreadable(f"{type(error).__name__}: {error}") from error
    return model


def ids(numbers: Any) -> list[int]:
    """Tensor numbers as the schema gives them: an array, a list or nothing."""
    return [] if numbers is None else [int(number) for number in numbers]


def op_type(model: Any, operator: Any) -> str:
    """What tf2onnx calls it: TFL_ADD; the TensorFlow operator of a Flex one."""
    from tensorflow.lite.python.schema_py_generated import BuiltinOperator

    code = model.operatorCodes[operator.opcodeIndex]
    number = _builtin(code)
    if number == BuiltinOperator.CUSTOM:
        custom = (code.customCode or b"").decode("utf-8", "replace")
        return custom.removeprefix("Flex") if custom.startswith("Flex") else f"TFL_{custom}"
    return f"TFL_{_names_in(BuiltinOperator).get(number, number)}"


def _builtin(code: Any) -> int:
    """Old files have it in one field, new ones in the other."""
    return max(int(code.builtinCode), int(code.deprecatedBuiltinCode))


@lru_cache(maxsize=4)
def _names_in(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if not name.startswith("_")}


def own_name(tensor: Any) -> str:
    """The name in the file."""
    return (tensor.name or b"").decode("utf-8", "replace")


def tensor_names(graph: Any) -> list[str]:
    """A name per tensor: its own where no other has it."""
    own = [own_name(tensor) for tensor in graph.tensors]
    count = Counter(own)
    return [name if name and count[name] == 1 else f"{name}#{number}" for number, name in enumerate(own)]


def operator_name(names: Sequence[str], operator: Any, number: int) -> str:
    """Operators have no name: that of the first output, which is what tf2onnx calls it, too."""
    made = [i for i in ids(operator.outputs) if i != ABSENT]
    return names[made[0]] if made else f"operator#{number}"


def has_data(model: Any, tensor: Any) -> bool:
    """Whether the file holds its value."""
    return bool(tensor.buffer) and model.buffers[tensor.buffer].data is not None and not tensor.isVariable


def dtype_of(tensor: Any) -> str:
    """The numpy name of its type, "str" for strings; resource and variant are no numpy types."""
    from tensorflow.lite.python.schema_py_generated import TensorType

    found = _names_in(TensorType).get(tensor.type, "?").lower()
    return "str" if found == "string" else found


def declared_shape(tensor: Any) -> tuple[int | None, ...]:
    """The shape in the file, None per unknown dim."""
    shape = tensor.shape if tensor.shapeSignature is None else tensor.shapeSignature
    return tuple(None if n < 0 else n for n in ids(shape))


def options_of(operator: Any) -> dict[str, Any]:
    """Its attributes by name; custom ones are not read."""
    found = operator.builtinOptions or getattr(operator, "builtinOptions2", None)
    return vars(found) if found is not None else {}


def called_subgraphs(operator: Any) -> list[int]:
    """Numbers of the other graphs of the model that it runs: a loop, a branch, a call."""
    return [number for name, number in options_of(operator).items() if "ubgraph" in name and isinstance(number, int)]


def has_custom_operators(model: Any) -> bool:
    """Whether it holds operators that are not TFLite's own: its interpreter knows those of its makers only."""
    from tensorflow.lite.python.schema_py_generated import BuiltinOperator

    used = {operator.opcodeIndex for graph in model.subgraphs for operator in graph.operators or []}
    return any(_builtin(model.operatorCodes[n]) == BuiltinOperator.CUSTOM for n in used)


def steps_of(model: Any, graph: Any) -> dict[str, list[float]]:
    """By name of the output: [scale, zero point] of a quantized one, [scale] of real numbers that were dequantized."""
    made = {i: o for o in graph.operators if op_type(model, o) == "TFL_DEQUANTIZE" for i in ids(o.outputs)}
    steps = {}
    for number in ids(graph.outputs):
        step = scale_of(graph.tensors[number])
        if step is None and number in made:
            step = (scale_of(graph.tensors[ids(made[number].inputs)[0]]) or [])[:1]
        if step:
            steps[own_name(graph.tensors[number])] = step
    return steps


def scale_of(tensor: Any) -> list[float] | None:
    """[scale, zero point] of a tensor that is quantized as a whole."""
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None or len(quantization.scale) != 1:
        return None
    zero = quantization.zeroPoint
    return [float(quantization.scale[0]), float(zero[0]) if zero is not None and len(zero) else 0.0]


def opened(content: bytes, *, keep_all: bool = False) -> Any:
    """TFLite's interpreter with the plain kernels, tensors allocated. Raises ValueError, RuntimeError."""
    import tensorflow as tf

    plain = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = tf.lite.Interpreter(
        model_content=content, experimental_op_resolver_type=plain, experimental_preserve_all_tensors=keep_all
    )
    interpreter.allocate_tensors()
    return interpreter


def feed_and_invoke(interpreter: Any, feeds: Sequence[Any]) -> None:
    """Run once on these inputs, in order. Raises ValueError, RuntimeError."""
    details = interpreter.get_input_details()
    for detail, value in zip(details, feeds, strict=True):
        interpreter.resize_tensor_input(detail["index"], value.shape)
    interpreter.allocate_tensors()
    for detail, value in zip(details, feeds, strict=True):
        interpreter.set_tensor(detail["index"], _text(value) if value.dtype.kind in "OUS" else value)
    interpreter.invoke()


def _text(value: Any) -> Any:
    flat = [item if isinstance(item, bytes) else str(item).encode() for item in value.ravel()]
    return np.array(flat, dtype=object).reshape(value.shape)


@lru_cache(maxsize=4)
def runs(path: str) -> bool:
    """Whether TFLite's interpreter takes the model in this file; one with custom operators may still be converted."""
    try:
        opened(Path(path).read_bytes())
    except (ValueError, RuntimeError):
        return False
    return True
