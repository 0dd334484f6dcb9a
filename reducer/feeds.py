"""Feeds for programs: what the user gave, what was captured, else seeded values that are legal for their type."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from reducer.errors import EditConflict
from reducer.programs.fed import Fed
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_source import NodeRecord, OnnxSource
from reducer.programs.onnx_tensors import read_type
from reducer.values import Value, ValueRef, append_values, is_float

# What a symbolic or unknown dim becomes: 1 would hide broadcasting, and Reshape of size 1 fits everything.
DEFAULT_DIM = 2
STRINGS = ("a", "bb", "ccc")
# What a model may ask for: 2**26 elements are 512 MB while they are made. numpy knows 64 dims, runtimes fewer.
MOST_ELEMENTS = 1 << 26
MOST_RANK = 64
# Containers in one another double with every level.
MOST_CONTAINERS = 3
# Types that ONNX Runtime's Python binding can neither take nor give.
UNFEEDABLE = frozenset({"int4", "uint4", "int2", "uint2", "float4_e2m1fn", "float8_e8m0fnu"})


class FeedBook:
    """Looks up or makes the feed of any graph input. Deterministic for a seed; values live in one store file."""

    def __init__(self, store: Path, seed: int = 0, dims: Mapping[str, int] | None = None) -> None:
        self._store, self._seed = store, seed
        self.dims: dict[str, int] = dict(dims or {})
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._given: dict[str, ValueRef] = {}
        self._made: dict[tuple[str, bytes], ValueRef] = {}
        self._stored: dict[Fed, ValueRef] = {}
        self._index_like: dict[str, int] = {}
        self._ones: set[str] = set()
        self._zeros: set[str] = set()
        # Candidates are judged side by side; appending to the store is not atomic.
        self._lock = threading.Lock()

    def give(self, values: Mapping[str, Value]) -> None:
        """Values that the user gave, by input name."""
        self._given.update(append_values(self._store, values))

    def known(self, name: str) -> ValueRef | None:
        """The value that the user, or whoever lifted a body, gave for this name."""
        return self._given.get(name)

    def study(self, source: OnnxSource) -> None:
        """Learn which tensors are indices, and how long the axis is that they point into."""
        self._index_like = index_like(source)
        self._ones, self._zeros = named_inputs(source, ("scales",)), named_inputs(source, ("axis", "axes"))

    def feeds_of(self, program: OnnxProgram) -> dict[str, ValueRef]:
        """A feed for every input that needs one. Raises EditConflict for a type that cannot be fed."""
        weights = set(program.interface.weights)
        mine = {*self._given, *program.fed}
        names = [name for name in program.interface.inputs if name not in weights or name in mine]
        with self._lock:
            return {name: self._feed(program, name) for name in names}

    def _feed(self, program: OnnxProgram, name: str) -> ValueRef:
        fed = program.fed.get(name)
        if fed is not None:
            return self._written(name, fed)
        ref = self._given.get(name) or program.source.values.get(name)
        if ref is None:
            type_wire = program.type_of(name) if program.whole else program.cut_type(name)
            if type_wire is None:
                raise EditConflict(f"nothing is known of the type of {name!r}")
            ref = self._made.get((name, type_wire))
            if ref is None:
                value = self.make(name, read_type(type_wire))
                ref = append_values(self._store, {name: value})[name]
                self._made[name, type_wire] = ref
        if ref.summary[0] in UNFEEDABLE:
            raise EditConflict(f"{name!r} of type {ref.summary[0]} cannot be fed")
        return ref

    def _written(self, name: str, fed: Fed) -> ValueRef:
        """A feed that is part of the program, stored once."""
        if fed.dtype in UNFEEDABLE:
            raise EditConflict(f"{name!r} of type {fed.dtype} cannot be fed")
        if fed.ref is None and fed not in self._stored:
            self._stored[fed] = append_values(self._store, {name: fed.value()})[name]
        return fed.ref or self._stored[fed]

    def make(self, name: str, type_proto: onnx.TypeProto) -> Value:
        """A seeded value of that type. The same name, type and seed give the same value."""
        digest = hashlib.sha256(f"{self._seed}\0{name}".encode()).digest()
        return self._value(type_proto, np.random.default_rng(int.from_bytes(digest[:8], "little")), name)

    def _value(self, kind: onnx.TypeProto, rng: np.random.Generator, name: str, depth: int = 0) -> Value:
        if depth > MOST_CONTAINERS:
            raise EditConflict(f"{name!r} has a type that is nested too deep to be fed")
        if kind.HasField("sequence_type"):
            return [self._value(kind.sequence_type.elem_type, rng, name, depth + 1) for _ in range(2)]
        if kind.HasField("optional_type"):
            return self._value(kind.optional_type.elem_type, rng, name, depth + 1)
        if kind.HasField("map_type"):
            key = "a" if kind.map_type.key_type == TensorProto.STRING else 1
            item = np.asarray(self._value(kind.map_type.value_type, rng, name, depth + 1)).ravel()[:1].tolist()
            if len(item) != 1:
                raise EditConflict(f"{name!r} has a type that cannot be fed")
            return {key: item[0]}
        if not kind.HasField("tensor_type"):
            raise EditConflict(f"{name!r} has a type that cannot be fed")
        return self._tensor(kind.tensor_type, rng, name)

    def _tensor(self, tensor: onnx.TypeProto.Tensor, rng: np.random.Generator, name: str) -> Value:
        shape = self.shapes.get(name) or tuple(self._dim(dim) for dim in tensor.shape.dim)
        if len(shape) > MOST_RANK or prod(size or 1 for size in shape) > MOST_ELEMENTS:
            raise EditConflict(f"{name!r} is too big to be fed")
        if tensor.elem_type == TensorProto.STRING:
            return rng.choice(np.array(STRINGS, dtype=object), shape) if shape else np.array(STRINGS[0], dtype=object)
        try:
            dtype: np.dtype[Any] = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        except KeyError as error:
            raise EditConflict(f"{name!r} has no element type") from error
        if dtype.kind == "b":
            return np.asarray(rng.integers(0, 2, shape), dtype=dtype)
        if dtype.kind == "c":
            return np.asarray(rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)
        if name in self._ones or name in self._zeros:
            return np.full(shape, int(name in self._ones)).astype(dtype)
        if is_float(dtype):
            return np.asarray(rng.standard_normal(shape)).astype(dtype)
        if name in self._index_like:
            return np.asarray(rng.integers(0, min(2, self._index_like[name]), shape)).astype(dtype)
        # Small and positive: legal as token ids and sizes, and no division by zero.
        return np.asarray(rng.integers(1, 3, shape)).astype(dtype)

    def _dim(self, dim: onnx.TensorShapeProto.Dimension) -> int:
        if dim.HasField("dim_value"):
            return max(0, dim.dim_value)
        return self.dims.get(dim.dim_param, DEFAULT_DIM)


def index_like(source: OnnxSource) -> dict[str, int]:
    """Names that an operator's schema calls indices, with the length of the axis they point into (2 if unknown)."""
    found: dict[str, int] = {}
    for record, formals in _with_schemas(source):
        for position, (formal, name) in enumerate(zip(formals, record.inputs, strict=False)):
            if name and formal.name in ("indices", "Indices", "ind", "index"):
                found[name] = _axis_length(source, record.inputs[:position])
    return found


def named_inputs(source: OnnxSource, formal_names: tuple[str, ...]) -> set[str]:
    """Names that an operator's schema calls one of these."""
    found: set[str] = set()
    for record, formals in _with_schemas(source):
        found.update(name for formal, name in zip(formals, record.inputs, strict=False) if formal.name in formal_names)
    return found - {""}


def _with_schemas(source: OnnxSource) -> Iterable[tuple[NodeRecord, Any]]:
    """Nodes with the formal inputs of their operator, where it has a schema."""
    for record in source.nodes:
        domain, _, op_type = record.ref.op_type.rpartition(".")
        try:
            yield record, onnx.defs.get_schema(op_type, domain).inputs
        except onnx.defs.SchemaError:
            continue


def _axis_length(source: OnnxSource, before: Iterable[str]) -> int:
    """The shortest known axis of the data that is indexed; 1 allows index 0 alone."""
    for name in before:
        for weight in source.weights.get(name, ()):
            return max(1, min((d for d in weight.dims), default=1))
        declared = source.inputs.get(name) or source.value_info.get(name) or source.types.get(name)
        if declared:
            dims = read_type(declared).tensor_type.shape.dim
            return max(1, min((d.dim_value for d in dims if d.HasField("dim_value")), default=DEFAULT_DIM))
    return DEFAULT_DIM
