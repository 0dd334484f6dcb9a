"""A small model as onnx.helper calls, for repro scripts: where the text form loses something, or weights are long but
follow a formula (step 11 of the data path). Pure text; nothing is executed here."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from reducer.programs.fed import formula_of

MOST_NODES = 24
MOST_CODE = 6000
MOST_LITERALS = 64
_INDENT = "    "


class Unwritable(Exception):
    """The model holds something that these few calls cannot say."""


def model_code(model: onnx.ModelProto) -> str | None:
    """`make_model()` as source text; None when it would be long or would lose something."""
    if len(model.graph.node) > MOST_NODES:
        return None
    try:
        code = "\n".join(_lines(model))
    except (Unwritable, TypeError, ValueError, KeyError):
        return None
    return code if len(code) <= MOST_CODE else None


def _lines(model: onnx.ModelProto) -> list[str]:
    graph = _graph(model.graph, 1)
    opsets = ", ".join(_opset(entry) for entry in model.opset_import)
    lines = ["def make_model():", f"{_INDENT}graph = {graph}"]
    extra = ""
    if model.functions:
        functions = ",\n".join(_INDENT * 2 + _function(function) for function in model.functions)
        lines.append(f"{_INDENT}functions = [\n{functions},\n{_INDENT}]")
        extra = ", functions=functions"
    ending = f"ir_version={model.ir_version}, opset_imports=[{opsets}]{extra}"
    return [*lines, f"{_INDENT}return helper.make_model(graph, {ending})"]


def _opset(entry: onnx.OperatorSetIdProto) -> str:
    return f"helper.make_opsetid({_quoted(entry.domain)}, {entry.version})"


def _graph(graph: onnx.GraphProto, depth: int) -> str:
    """make_graph(...) over several lines, `depth` indents in."""
    if graph.sparse_initializer or graph.quantization_annotation:
        raise Unwritable("sparse weights")
    inner, outer = _INDENT * (depth + 1), _INDENT * depth
    parts = [
        _list((_node(node, depth + 1) for node in graph.node), depth + 1),
        _quoted(graph.name),
        _list((_value(value) for value in graph.input), depth + 1),
        _list((_value(value) for value in graph.output), depth + 1),
    ]
    if graph.initializer:
        parts.append(f"initializer={_list((_tensor(t) for t in graph.initializer), depth + 1)}")
    if graph.value_info:
        parts.append(f"value_info={_list((_value(value) for value in graph.value_info), depth + 1)}")
    return "helper.make_graph(\n" + "".join(f"{inner}{part},\n" for part in parts) + f"{outer})"


def _list(items: Iterable[str], depth: int) -> str:
    """A list: one short item on its line, else one per line."""
    told = list(items)
    if not told or (len(told) == 1 and len(told[0]) < 90 and "\n" not in told[0]):
        return f"[{', '.join(told)}]"
    inner = _INDENT * (depth + 1)
    return "[\n" + "".join(f"{inner}{item},\n" for item in told) + f"{_INDENT * depth}]"


def _node(node: onnx.NodeProto, depth: int) -> str:
    words = [_quoted(node.op_type), _names(node.input), _names(node.output)]
    words += [f"name={_quoted(node.name)}"] if node.name else []
    words += [f"domain={_quoted(node.domain)}"] if node.domain else []
    plain = [_attribute(attribute, depth) for attribute in node.attribute]
    odd = [a.name for a in node.attribute if not a.name.isidentifier() or a.name in ("name", "domain", "overload")]
    if odd:
        words.append("**{" + ", ".join(f"{_quoted(name)}: {value}" for name, value in plain) + "}")
    else:
        words += [f"{name}={value}" for name, value in plain]
    return f"helper.make_node({', '.join(words)})"


def _names(names: Iterable[str]) -> str:
    return "[" + ", ".join(_quoted(name) for name in names) + "]"


def _attribute(attribute: AttributeProto, depth: int) -> tuple[str, str]:
    """(name, value as code), such that make_node gives the same attribute back."""
    if attribute.ref_attr_name:
        raise Unwritable("a reference to an attribute of the function")
    kinds = AttributeProto
    if attribute.type == kinds.GRAPH:
        return attribute.name, _graph(attribute.g, depth + 1)
    if attribute.type == kinds.TENSOR:
        return attribute.name, _tensor(attribute.t)
    value = helper.get_attribute_value(attribute)
    if attribute.type in (kinds.INT, kinds.FLOAT):
        return attribute.name, _number(value)
    if attribute.type == kinds.STRING:
        return attribute.name, _text(value)
    if attribute.type in (kinds.INTS, kinds.FLOATS) and len(value):
        return attribute.name, "[" + ", ".join(_number(item) for item in value) + "]"
    if attribute.type == kinds.STRINGS and len(value):
        return attribute.name, "[" + ", ".join(_text(item) for item in value) + "]"
    raise Unwritable("an attribute of a rare kind")


def _number(value: Any) -> str:
    if isinstance(value, float) and not np.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, float):  # the shortest that gives the same float32
        return next(t for n in range(1, 18) if np.float32(t := f"{float(f'{value:.{n}g}')!r}") == np.float32(value))
    return repr(value)


def _text(value: bytes) -> str:
    try:
        return _quoted(value.decode())
    except UnicodeDecodeError:
        return repr(value)


def _tensor(tensor: TensorProto) -> str:
    """A formula where there is one and it is shorter, else the numbers."""
    if tensor.data_location == TensorProto.EXTERNAL:
        raise Unwritable("external data")
    kind = f"TensorProto.{TensorProto.DataType.Name(tensor.data_type)}"
    dims = list(tensor.dims)
    if tensor.data_type == TensorProto.STRING:
        values = ", ".join(_text(item) for item in tensor.string_data)
        return f"helper.make_tensor({_quoted(tensor.name)}, {kind}, {dims}, [{values}])"
    array = np.asarray(numpy_helper.to_array(tensor))
    if array.size > 4 and (formula := formula_of(array)) is not None:
        return f"numpy_helper.from_array({formula}, {_quoted(tensor.name)})"
    if array.size > MOST_LITERALS or array.dtype.kind == "c":
        raise Unwritable("many numbers")
    numbers = ", ".join(_item(item) for item in array.astype(_plain(array.dtype)).ravel().tolist())
    return f"helper.make_tensor({_quoted(tensor.name)}, {kind}, {dims}, [{numbers}])"


def _plain(dtype: np.dtype[Any]) -> Any:
    """A dtype of numpy's own that holds all its numbers."""
    return dtype if dtype.isbuiltin == 1 else np.dtype("float64" if "float" in dtype.name else "int64")


def _item(item: Any) -> str:
    return f'float("{item}")' if isinstance(item, float) and not np.isfinite(item) else repr(item)


def _value(value: onnx.ValueInfoProto) -> str:
    if value.type.HasField("tensor_type"):
        tensor = value.type.tensor_type
        kind = f"TensorProto.{TensorProto.DataType.Name(tensor.elem_type)}"
        return f"helper.make_tensor_value_info({_quoted(value.name)}, {kind}, {_dims(tensor)})"
    if not value.HasField("type"):
        return f"helper.make_empty_tensor_value_info({_quoted(value.name)})"
    return f"helper.make_value_info({_quoted(value.name)}, {_type(value.type)})"


def _type(kind: onnx.TypeProto) -> str:
    which = kind.WhichOneof("value")
    if which == "tensor_type":
        elem = f"TensorProto.{TensorProto.DataType.Name(kind.tensor_type.elem_type)}"
        return f"helper.make_tensor_type_proto({elem}, {_dims(kind.tensor_type)})"
    if which in ("sequence_type", "optional_type"):
        return f"helper.make_{which}_proto({_type(getattr(kind, which).elem_type)})"
    raise Unwritable(f"a type of the kind {which}")


def _dims(tensor: onnx.TypeProto.Tensor) -> str:
    if not tensor.HasField("shape"):
        return "None"
    dims = [d.dim_value if d.HasField("dim_value") else (d.dim_param or None) for d in tensor.shape.dim]
    return "[" + ", ".join(_quoted(d) if isinstance(d, str) else repr(d) for d in dims) + "]"


def _function(function: onnx.FunctionProto) -> str:
    if function.attribute or function.attribute_proto or function.value_info:
        raise Unwritable("a function with attributes")
    nodes = _list((_node(node, 3) for node in function.node), 2)
    opsets = "[" + ", ".join(_opset(entry) for entry in function.opset_import) + "]"
    words = [_quoted(function.domain), _quoted(function.name), _names(function.input), _names(function.output)]
    return f"helper.make_function({', '.join(words)}, {nodes}, {opsets})"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
