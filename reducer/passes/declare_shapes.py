"""Outputs get the shape that inference found for them, after everything else has its final form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from reducer.errors import EditConflict
from reducer.passes.base import Edit, ReductionPass, Stage
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_tensors import read_type


@dataclass(frozen=True)
class DeclareShape(Edit[OnnxProgram]):
    """The output `name` has this serialized TypeProto."""

    name: str
    type_wire: bytes

    def apply(self, program: OnnxProgram) -> OnnxProgram:
        if self.name not in program.interface.outputs or _has_shape(program.type_of(self.name)):
            raise EditConflict("the output is gone or has a shape")
        return replace(program, declared={**program.declared, self.name: self.type_wire})


class DeclareShapes(ReductionPass[OnnxProgram]):
    """One edit per output whose shape is unknown."""

    name: ClassVar[str] = "declare shapes"
    stage: ClassVar[Stage] = Stage.CANONICALISE
    rank: ClassVar[int] = 30

    def propose(self, program: OnnxProgram) -> Iterable[DeclareShape]:
        return [DeclareShape(name, kind) for name, kind in _shapes(program).items()]


def with_shapes(program: OnnxProgram) -> OnnxProgram:
    """The program with all outputs declared as far as anything is known of them: the checker wants shapes."""
    return replace(program, declared={**program.declared, **_shapes(program)})


def _shapes(program: OnnxProgram) -> dict[str, bytes]:
    """A serialized TypeProto for each output without a shape: as inferred, else with the rank of the first input of
    its node and all dims open."""
    found = {}
    given = {dim for name in program.interface.inputs for dim in _symbols(program.type_of(name))}
    for record in program.records:
        for name in record.outputs:
            now = program.type_of(name)
            if name not in program.interface.outputs or now is None or _has_shape(now):
                continue
            inferred = program.source.types.get(name)
            kind = read_type(inferred if inferred is not None and _has_shape(inferred) else now)
            if not kind.tensor_type.HasField("shape"):
                kind.tensor_type.shape.SetInParent()
                for _ in range(_rank(program, record.reads)):
                    kind.tensor_type.shape.dim.add()
            for dim in kind.tensor_type.shape.dim:
                if dim.dim_param and dim.dim_param not in given:
                    dim.ClearField("dim_param")  # inference made it up
            found[name] = bytes(kind.SerializeToString())
    return found


def _rank(program: OnnxProgram, names: Iterable[str]) -> int:
    for name in names:
        wire = program.type_of(name)
        if wire is not None and read_type(wire).tensor_type.HasField("shape"):
            return len(read_type(wire).tensor_type.shape.dim)
    return 0


def _symbols(wire: bytes | None) -> list[str]:
    return [dim.dim_param for dim in read_type(wire).tensor_type.shape.dim if dim.dim_param] if wire else []


def _has_shape(wire: bytes | None) -> bool:
    if wire is None:
        return False
    kind = read_type(wire)
    return not kind.HasField("tensor_type") or kind.tensor_type.HasField("shape")
