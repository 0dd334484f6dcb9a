"""TensorProto and TypeProto bytes from recorded values, and back."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from reducer.programs import wire
from reducer.programs.onnx_source import WeightRecord
from reducer.values import ValueRef, dtype_named

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
