"""One-change neighbours of a small model: the same graph with one type, shape, attribute or constant otherwise.

Pure: a ModelProto and feeds in, others out; nothing is run. Shapes that inference wrote down are dropped, so that a
neighbour is not refused for what the change makes untrue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper

from reducer.schemas import schema_of
from reducer.values import Tensors, dtype_named, is_float

# What to try instead of an element type, likeliest first.
_OTHERS: dict[int, tuple[int, ...]] = {
    TensorProto.FLOAT: (TensorProto.DOUBLE, TensorProto.FLOAT16),
    TensorProto.DOUBLE: (TensorProto.FLOAT,),
    TensorProto.FLOAT16: (TensorProto.FLOAT,),
    TensorProto.BFLOAT16: (TensorProto.FLOAT,),
    TensorProto.INT64: (TensorProto.INT32, TensorProto.FLOAT),
    TensorProto.INT32: (TensorProto.INT64, TensorProto.FLOAT),
    TensorProto.INT16: (TensorProto.INT32,),
    TensorProto.UINT16: (TensorProto.INT32,),
    TensorProto.INT8: (TensorProto.INT32, TensorProto.UINT8),
    TensorProto.UINT8: (TensorProto.INT32, TensorProto.INT8),
    TensorProto.BOOL: (TensorProto.INT32, TensorProto.FLOAT),
    TensorProto.UINT32: (TensorProto.INT32,),
    TensorProto.UINT64: (TensorProto.INT64,),
}
_HALVES = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
MOST_ATTRIBUTES = 8


@dataclass(frozen=True)
class Neighbouring:
    """A neighbour: the axis of the change, the change as one reads it, the model, and its feeds by input name."""

    axis: str
    change: str
    model: ModelProto
    feeds: Tensors


def neighbours_of(model: ModelProto, feeds: Tensors) -> Iterator[Neighbouring]:
    """All neighbours, those that say most about a cause first."""
    for make in (_types, _opsets, _attributes, _constants, _inputs, _static, _dynamic, _empty, _rank, _values):
        yield from make(model, feeds)


def widened(model: ModelProto, feeds: Tensors) -> Neighbouring | None:
    """The same in float64, all narrower floats at once; None when there is no other float, or nothing but float64."""
    narrow = [t for t in dict.fromkeys(_elem_types(model)) if t in (TensorProto.FLOAT, *_HALVES)]
    if not narrow:
        return None
    other, fed = _copy(model), dict(feeds)
    for old in narrow:
        _retype(other, old, TensorProto.DOUBLE)
        for name, value in feeds.items():
            if isinstance(value, np.ndarray) and _elem_of(value) == old:
                fed[name] = value.astype(np.float64)
    return Neighbouring("dtype", "all floats -> double", other, fed)


def _copy(model: ModelProto) -> ModelProto:
    other = ModelProto()
    other.CopyFrom(model)
    return other


def _types(model: ModelProto, feeds: Tensors) -> Iterator[Neighbouring]:
    present = dict.fromkeys(_elem_types(model))
    for old in present:
        for new in _OTHERS.get(old, ()):
            change = f"{_name(old)} -> {_name(new)}"
            other, fed = _copy(model), dict(feeds)
            _retype(other, old, new)
            dtype = dtype_named(str(np.dtype(helper.tensor_dtype_to_np_dtype(new)).name))
            for name, value in feeds.items():
                if isinstance(value, np.ndarray) and _elem_of(value) == old:
                    fed[name] = value.astype(dtype)
            yield Neighbouring("dtype", change, other, fed)


def _elem_types(model: ModelProto) -> list[int]:
    values = [*model.graph.input, *model.graph.initializer, *model.graph.output]
    return [v.data_type if isinstance(v, TensorProto) else v.type.tensor_type.elem_type for v in values]


def _elem_of(value: Any) -> int:
    try:
        return int(helper.np_dtype_to_tensor_dtype(value.dtype))
    except (KeyError, ValueError):
        return 0


def _name(elem_type: int) -> str:
    return str(TensorProto.DataType.Name(elem_type)).lower()  # one of _OTHERS, so it has a name


def _retype(model: ModelProto, old: int, new: int) -> None:
    """Every tensor of that element type gets another one, in place."""
    graph = model.graph
    for value in [*graph.input, *graph.output, *graph.value_info]:
        if value.type.tensor_type.elem_type == old:
            value.type.tensor_type.elem_type = new
    for tensor in graph.initializer:
        _recast(tensor, old, new)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                _recast(attribute.t, old, new)
            elif attribute.name in ("to", "dtype") and attribute.i == old:
                attribute.i = new


def _recast(tensor: TensorProto, old: int, new: int) -> None:
    if tensor.data_type == old:
        array = numpy_helper.to_array(tensor).astype(helper.tensor_dtype_to_np_dtype(new))
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _opsets(model: ModelProto, feeds: Tensors) -> Iterator[Neighbouring]:
    """The opset just before the operator changed, and the one in which it changes next. Nothing is converted."""
    for entry in model.opset_import:
        borders: dict[int, None] = {}
        for node in model.graph.node:
            if node.domain == entry.domain or (not node.domain and entry.domain in ("", "ai.onnx")):
                borders.update(dict.fromkeys(_borders(node.op_type, node.domain, entry.version)))
        for version in list(borders)[:3]:
            other = _copy(model)
            next(o for o in other.opset_import if o.domain == entry.domain).version = version
            yield Neighbouring("opset", f"{entry.domain or 'ai.onnx'} {entry.version} -> {version}", other, feeds)


def _borders(op_type: str, domain: str, version: int) -> Iterator[int]:
    now = schema_of(op_type, domain, version)
    latest = schema_of(op_type, domain, 0)
    if now is None or latest is None:
        return
    if now.since_version > 1 and schema_of(op_type, domain, now.since_version - 1) is not None:
        yield now.since_version - 1
    following = version
    while following < latest.since_version:
        following += 1
        later = schema_of(op_type, domain, following)
        if later is not None and later.since_version > now.since_version:
            yield int(later.since_version)
            return


def _attributes(model: ModelProto, feeds: Tensors) -> Iterator[Neighbouring]:
    """Each attribute that may be left out is: the operator's default takes its place."""
    count = 0
    for i, node in enumerate(model.graph.node):
        domain = node.domain
        version = next((o.version for o in model.opset_import if o.domain in (domain, domain or "ai.onnx")), 0)
        schema = schema_of(node.op_type, domain, version)
        for j, attribute in enumerate(node.attribute):
            formal = schema.attributes.get(attribute.name) if schema is not None else None
            if formal is None or formal.required or count >= MOST_ATTRIBUTES:
                continue
            default = helper.get_attribute_value(formal.default_value) if formal.default_value.name else None
            if default is not None and default == helper.get_attribute_value(attribute):
                continue
            count += 1
            other = _copy(model)
            del other.graph.node[i].attribute[j]
            told = _shown(default) if default is not None else "left out"
            now = _shown(helper.get_attribute_value(attribute))
            yield Neighbouring("attribute", f"{node.op_type}.{attribute.name}: {now} -> {told}", other, feeds)


def _shown(value: Any) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _constants(model: ModelProto, feeds: Tensors) -> Iterator[Neighbouring]:
    """All initializers fed instead: constant folding and kernels that want constants see the difference."""
    if not model.graph.initializer:
        return
    other, fed = _copy(model), dict(feeds)
    known = {value.name for value in other.graph.input}
    for tensor in model.graph.initializer:
        if tensor.name not in known:
            other.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
        fed[tensor.name] = numpy_helper.to_array(tensor)
    del other.graph.initializer[:]
    yield Neighbouring("constant", "initializers -> inputs", other, fed)


def _inputs(model: ModelProto, feeds: Tensors) -> Iterator[Neighbouring]:
    """All inputs written in as initializers."""
    arrays = {name: value for name, value in feeds.items() if isinstance(value, np.ndarray) and _elem_of(value)}
    if not arrays or any(value.dtype.kind in "OUS" for value in arrays.values()):
        return
    other = _copy(model)
    kept = [value for value in model.graph.input if value.name not in arrays]
    del other.graph.input[:]
    other.graph.input.extend(kept)
    other.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in arrays.items())
    yield Neighbouring("constant", "inputs -> initializers", other, {k: v for k, v in feeds.items() if k not in arrays})


def _static(model: ModelProto, feeds: Tensors) -> Iterator[Neighbouring]:
    """Symbolic dims of inputs become the sizes that are fed."""
    open_inputs = [v for v in model.graph.input if any(not d.HasField("dim_value") for d in _dims(v))]
    if not any(v.name in feeds for v in open_inputs):
        return
    other = _copy(model)
    for value in other.graph.input:
        array = feeds.get(value.name)
        if isinstance(array, np.ndarray):
            for dim, size in zip(_dims(value), array.shape, strict=False):
                dim.dim_value = size
    yield Neighbouring("shape", "dynamic -> static", bare(other), feeds)


def _dynamic(model: ModelProto, feeds: Tensors) -> Iterator[Neighbouring]:
    """Every dim of every input becomes symbolic."""
    if not any(d.HasField("dim_value") for v in model.graph.input for d in _dims(v)):
        return
    other = _copy(model)
    for value in other.graph.input:
        for i, dim in enumerate(_dims(value)):
            dim.dim_param = f"{value.name}_{i}"
    yield Neighbouring("shape", "static -> dynamic", bare(other), feeds)


def _empty(model: ModelProto, feeds: Tensors) -> Iterator[Neighbouring]:
    """The first dim of every fed input of rank 1 or more gets size 0."""
    yield from _reshaped(model, feeds, ("empty", "first dims -> 0"), lambda array: array[:0])


def _rank(model: ModelProto, feeds: Tensors) -> Iterator[Neighbouring]:
    """Every fed input of rank 1 or more gets one more leading dim."""
    yield from _reshaped(model, feeds, ("rank", "one more leading dim"), lambda array: array[None])


def _reshaped(
    model: ModelProto, feeds: Tensors, words: tuple[str, str], change: Callable[[Any], Any]
) -> Iterator[Neighbouring]:
    ranked = {k: v for k, v in feeds.items() if isinstance(v, np.ndarray) and v.ndim}
    floats = [k for k, v in ranked.items() if is_float(v.dtype)]
    touched = floats or list(ranked)  # beside floats, integers are sizes and indices
    if not touched:
        return
    fed = {k: change(v) if k in touched else v for k, v in feeds.items()}
    other = _copy(model)
    for value in other.graph.input:
        if value.name in touched:
            shape = value.type.tensor_type.shape
            del shape.dim[:]
            for size in fed[value.name].shape:
                shape.dim.add().dim_value = size
    yield Neighbouring(*words, bare(other), fed)


def _values(model: ModelProto, feeds: Tensors) -> Iterator[Neighbouring]:
    """All real numbers that are fed become zero: is it the graph, or these values?"""
    numbers = [k for k, v in feeds.items() if isinstance(v, np.ndarray) and is_float(v.dtype) and v.any()]
    if numbers:
        zeros = {k: np.zeros_like(v) if k in numbers else v for k, v in feeds.items()}
        yield Neighbouring("value", "float inputs -> zeros", model, zeros)


def _dims(value: ValueInfoProto) -> Any:
    return value.type.tensor_type.shape.dim


def bare(model: ModelProto) -> ModelProto:
    """Without shapes of outputs and inner tensors, in place."""
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    return model
