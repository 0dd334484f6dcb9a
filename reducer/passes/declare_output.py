"""Give an output whose type nobody knows a plausible one, so that the reduced model is well-formed ONNX."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import onnx
from onnx import helper

from reducer.errors import EditConflict
from reducer.passes.base import Edit, ReductionPass, Stage
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_tensors import read_type


@dataclass(frozen=True)
class Declare(Edit[OnnxProgram]):
    """The output `name` has this serialized TypeProto."""

    name: str
    type_wire: bytes

    def apply(self, program: OnnxProgram) -> OnnxProgram:
        if self.name not in program.interface.outputs or program.type_of(self.name) is not None:
            raise EditConflict("the output is gone or typed")
        return replace(program, declared={**program.declared, self.name: self.type_wire}, whole=False)


class DeclareOutput(ReductionPass[OnnxProgram]):
    """The element type of the node's first typed input, no shape; float when nothing else is known."""

    name: ClassVar[str] = "declare outputs"
    stage: ClassVar[Stage] = Stage.CANONICALISE
    rank: ClassVar[int] = 20

    def propose(self, program: OnnxProgram) -> Iterable[Declare]:
        edits = []
        for record in program.records:
            for name in record.outputs:
                if name in program.interface.outputs and program.type_of(name) is None:
                    edits += [Declare(name, _tensor_of(elem)) for elem in _elements(program, record.reads)]
        return edits


def _elements(program: OnnxProgram, names: Iterable[str]) -> list[int]:
    """Element types worth trying: those of the inputs, then float."""
    found = []
    for name in names:
        wire = program.type_of(name)
        if wire is not None and (elem := read_type(wire).tensor_type.elem_type):
            found.append(elem)
    return list(dict.fromkeys([*found, int(onnx.TensorProto.FLOAT)]))[:2]


def _tensor_of(elem_type: int) -> bytes:
    return bytes(helper.make_tensor_type_proto(elem_type, None).SerializeToString())
