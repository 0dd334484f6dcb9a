"""TensorProto and TypeProto bytes from recorded values, and back."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from reducer.programs import wire
from reducer.programs.onnx_source import WeightRecord
from reducer.values import ValueRef, dtype_named

# Constants below are copied into each candidate that needs them.
BIG_CONSTANT_BYTES = 1 << 20
_INLINE_STRING = "string"
# Types of which several elements share a byte, with their bits.
_PACKED_BITS = {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2}


def elem_type_of(kind: str) -> int | None:
    """The TensorProto.DataType of a recorded dtype name; None for what is no tensor."""
    if kind == _INLINE_STRING:
        return int(TensorProto.STRING)
    try:
        return int(helper.np_dtype_to_tensor_dtype(dtype_named(kind)))
    except (TypeError, AttributeError, KeyError, ValueError):
        return None


def tensor_wire(name: str, ref: ValueRef) -> bytes:
    """A recorded tensor as a serialized TensorProto called `name`."""
    value = ref.read()
    if ref.summary[0] == _INLINE_STRING:
        flat = [str(item).encode() for item in value.ravel()]
        strings = TensorProto(name=name, data_type=TensorProto.STRING, dims=value.shape, string_data=flat)
        return bytes(strings.SerializeToString())
    return bytes(numpy_helper.from_array(np.asarray(value), name).SerializeToString())


def constant_wire(name: str, ref: ValueRef, *, inline: bool) -> bytes:
    """A recorded tensor as an initializer field; a big one is only pointed at where it lies, unless `inline`."""
    extent = None if inline else big_extent(ref)
    if extent is None:
        return wire.field(wire.GRAPH_INITIALIZER, tensor_wire(name, ref))
    tensor = TensorProto(name=name, data_type=elem_type_of(ref.summary[0]), dims=ref.summary[1])
    tensor.data_location = TensorProto.EXTERNAL
    facts = (("location", Path(ref.path).name), ("offset", str(extent[0])), ("length", str(extent[1])))
    for key, value in facts:
        tensor.external_data.add(key=key, value=value)
    return wire.field(wire.GRAPH_INITIALIZER, tensor.SerializeToString())


def big_extent(ref: ValueRef) -> tuple[int, int] | None:
    """(offset, length) of a recorded tensor that is too big to be written into every candidate."""
    kind, shape = ref.summary
    elem = elem_type_of(kind)
    if ref.length < BIG_CONSTANT_BYTES or elem is None or shape is None:
        return None
    extent = ref.raw_extent()
    fits = extent is not None and extent[1] == fitting_bytes(TensorProto(data_type=elem, dims=shape))
    return extent if fits else None


def type_of_tensor(ref: ValueRef, *, static: bool) -> bytes | None:
    """A TypeProto for a recorded tensor: its dtype and rank, with the dims fixed or left open."""
    kind, shape = ref.summary
    elem = elem_type_of(kind)
    if elem is None or shape is None:
        return None
    dims: list[Any] = list(shape) if static else [None] * len(shape)
    return bytes(helper.make_tensor_type_proto(elem, dims).SerializeToString())


def inline_weight(weight: WeightRecord) -> bytes:
    """The initializer as a graph field with its numbers inside."""
    if weight.spilled is None:
        return weight.encoded
    path, offset, length = weight.spilled
    with open(path, "rb") as stream:
        stream.seek(offset)
        raw = stream.read(length)
    tensor = TensorProto(name=weight.name, data_type=weight.elem_type, dims=weight.dims, raw_data=raw)
    return wire.field(wire.GRAPH_INITIALIZER, tensor.SerializeToString())


def fitting_bytes(tensor: TensorProto) -> int:
    """The length that the raw data of a tensor of these dims and this type must have; -1 where there is none."""
    try:
        name = TensorProto.DataType.Name(tensor.data_type)
        bits = _PACKED_BITS.get(name) or 8 * np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type)).itemsize
    except (KeyError, ValueError, TypeError):
        return -1
    if tensor.data_type == TensorProto.STRING or any(dim < 0 for dim in tensor.dims):
        return -1
    return int(-(-prod(tensor.dims) * bits // 8))


def read_type(type_wire: bytes) -> onnx.TypeProto:
    """A TypeProto from its bytes."""
    kind: onnx.TypeProto = onnx.TypeProto.FromString(type_wire)
    return kind


@lru_cache(maxsize=4096)
def element_name(type_wire: bytes) -> str:
    """The numpy (or ml_dtypes) name of the elements of a serialized tensor type; "" for what is no tensor."""
    return dtype_name(read_type(type_wire).tensor_type.elem_type)


def dtype_name(elem_type: int) -> str:
    """The numpy (or ml_dtypes) name of a TensorProto.DataType; "string"; "" when there is none."""
    if elem_type == TensorProto.STRING:
        return _INLINE_STRING
    try:
        return str(np.dtype(helper.tensor_dtype_to_np_dtype(elem_type)).name)
    except KeyError:
        return ""
