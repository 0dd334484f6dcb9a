"""Outputs get the type and shape that inference found for them, after everything else has its final form."""

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
        edits = []
        for name in program.interface.outputs:
            inferred = program.source.types.get(name)
            if inferred is not None and not _has_shape(program.type_of(name)) and _has_shape(inferred):
                edits.append(DeclareShape(name, inferred))
        return edits


def _has_shape(wire: bytes | None) -> bool:
    if wire is None:
        return False
    kind = read_type(wire)
    return not kind.HasField("tensor_type") or kind.tensor_type.HasField("shape")
