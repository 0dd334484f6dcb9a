"""Types and the operators' schemas: what a node binds, what the specification allows at an opset (bottom layer of
the type localizers; asks `onnx.defs`, runs nothing)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import onnx
from onnx import TensorProto

from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_source import NodeRecord
from reducer.programs.onnx_tensors import read_type


@dataclass
class Parameter:
    """One type parameter of a node: the types bound to it with the tensors that bind them, the types allowed, and
    the formal that binds it first. `homogeneous` is False where a variadic formal may mix types."""

    name: str
    formal: str
    allowed: frozenset[str]
    homogeneous: bool = True
    bound: dict[str, str] = field(default_factory=dict)  # tensor -> type

    @property
    def types(self) -> set[str]:
        """The types bound to it."""
        return set(self.bound.values())

    @property
    def wrong(self) -> list[str]:
        """Tensors of a type that is not allowed."""
        return [name for name, kind in self.bound.items() if kind not in self.allowed]


@dataclass
class Bound:
    """The types that a node binds to each type parameter of its schema, inputs first."""

    op_type: str
    domain: str
    since: int
    parameters: dict[str, Parameter] = field(default_factory=dict)

    def violated(self) -> Parameter | None:
        """The first parameter that breaks the specification: a type that is not allowed, or two types for one."""
        for parameter in self.parameters.values():
            if parameter.wrong or (len(parameter.types) > 1 and parameter.homogeneous):
                return parameter
        return None


def split_type(op_type: str) -> tuple[str, str]:
    """(domain, bare operator) of an op type as programs write it."""
    domain, _, bare = op_type.rpartition(".")
    return domain, bare


def schema_of(op_type: str, domain: str, version: int) -> Any | None:
    """The schema in force at that opset; None for an operator that onnx does not know."""
    try:
        return onnx.defs.get_schema(op_type, version or onnx.defs.onnx_opset_version(), domain)
    except (onnx.defs.SchemaError, TypeError):  # TypeError: a version beyond 32 bits
        return None


def bound_types(program: OnnxProgram, record: NodeRecord, version: int) -> Bound | None:
    """What inputs and outputs bind; None for an operator without a schema. Outputs bind only what no input does: the
    type of an output that follows from the inputs is a consequence, not a choice."""
    domain, op_type = split_type(record.ref.op_type)
    schema = schema_of(op_type, domain, version)
    if schema is None:
        return None
    allowed = {c.type_param_str: frozenset(c.allowed_type_strs) for c in schema.type_constraints}
    bound = Bound(op_type, domain, schema.since_version)
    inputs = _paired(list(schema.inputs), record.inputs)
    taken = {formal.type_str for formal, _ in inputs}
    outputs = [(f, name) for f, name in _paired(list(schema.outputs), record.outputs) if f.type_str not in taken]
    for formal, name in [*inputs, *outputs]:
        actual = type_string(program, name)
        if actual is None:
            continue
        options = allowed.get(formal.type_str, frozenset({formal.type_str}))
        parameter = bound.parameters.setdefault(formal.type_str, Parameter(formal.type_str, formal.name, options))
        parameter.homogeneous = parameter.homogeneous and formal.is_homogeneous
        parameter.bound[name] = actual
    return bound


def _paired(formals: list[Any], names: Iterable[str]) -> list[tuple[Any, str]]:
    if not formals:
        return []
    return [(formals[min(i, len(formals) - 1)], name) for i, name in enumerate(names) if name]


def type_string(program: OnnxProgram, name: str) -> str | None:
    """ "tensor(float)" and the like; None when the type is unknown or no tensor."""
    wire = program.type_of(name)
    elem = read_type(wire).tensor_type.elem_type if wire else 0
    if not elem:
        elem = next((w.elem_type for w in program.source.weights.get(name, ())), 0)
    known = elem in TensorProto.DataType.values()
    return f"tensor({TensorProto.DataType.Name(elem).lower()})" if elem and known else None


def allowed_since(op_type: str, domain: str, parameter: str, kind: str, after: int) -> int | None:
    """The first opset after `after` at which the specification allows that type; None when it never does."""
    version = after
    latest = schema_of(op_type, domain, 0)
    if latest is None:
        return None
    while version < latest.since_version:
        version += 1
        schema = schema_of(op_type, domain, version)
        if schema is None:
            return None
        for constraint in schema.type_constraints:
            if constraint.type_param_str == parameter and kind in constraint.allowed_type_strs:
                return int(schema.since_version)
    return None


def short(types: Iterable[str]) -> str:
    """ "float, int64" of tensor(float) and tensor(int64)."""
    return ", ".join(sorted(t.removeprefix("tensor(").removesuffix(")") for t in types))
