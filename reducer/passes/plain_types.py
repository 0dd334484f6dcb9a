"""Element types to float32 where the failure survives it: one type after the other, everywhere at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from onnx import AttributeProto, TensorProto, helper

from reducer.drafts import Draft, DraftEdit, readable
from reducer.errors import EditConflict
from reducer.passes.base import ReductionPass, Stage
from reducer.programs.fed import MOST_READ_BYTES
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_size import is_small
from reducer.programs.onnx_tensors import dtype_name
from reducer.values import dtype_named

_TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype")


@dataclass(frozen=True)
class Retype(DraftEdit):
    """Every tensor of the element type `old` gets the element type `new`."""

    old: int
    new: int = TensorProto.FLOAT

    def change(self, draft: Draft) -> None:
        changed = False
        old, new = dtype_named(dtype_name(self.old)), dtype_named(dtype_name(self.new))
        for slot, array in readable(draft, lambda _, array: array.dtype == old and array.nbytes <= MOST_READ_BYTES):
            with np.errstate(all="ignore"):
                draft.put(slot, array.astype(new))
            changed = True
        for value in draft.types():
            if value.type.HasField("tensor_type") and value.type.tensor_type.elem_type == self.old:
                value.type.tensor_type.elem_type = self.new
                changed = True
        for node in draft.nodes():
            for attribute in node.attribute:
                if attribute.name in _TYPE_ATTRIBUTES and attribute.type == AttributeProto.INT:
                    changed = changed or attribute.i == self.old
                    attribute.i = self.new if attribute.i == self.old else attribute.i
        if not changed:
            raise EditConflict("no tensor of this type")
        draft.reshaped = True

    def __str__(self) -> str:
        return f"T: {dtype_name(self.old)} -> {dtype_name(self.new)}"


class PlainTypes(ReductionPass[OnnxProgram]):
    """Every element type that occurs, but float32 and strings."""

    name: ClassVar[str] = "plain element types"
    stage: ClassVar[Stage] = Stage.SIMPLIFY
    rank: ClassVar[int] = 50
    changes_values: ClassVar[bool] = True
    changes_numbers: ClassVar[bool] = True

    def propose(self, program: OnnxProgram) -> Iterable[Retype]:
        if not is_small(program):
            return []
        draft = Draft.of(program)
        found = {v.type.tensor_type.elem_type for v in draft.types() if v.type.HasField("tensor_type")}
        found |= {
            int(helper.np_dtype_to_tensor_dtype(array.dtype))
            for _, array in readable(draft, lambda _, array: array.dtype.kind not in "OUSV")
        }
        left_alone = {TensorProto.UNDEFINED, TensorProto.FLOAT, TensorProto.STRING}
        return [Retype(old) for old in sorted(found - left_alone) if dtype_name(old)]
