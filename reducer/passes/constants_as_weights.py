"""Constants into one form: a Constant node, in a body too, becomes an initializer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx
from onnx import numpy_helper

from reducer.drafts import Draft, DraftEdit
from reducer.errors import EditConflict
from reducer.passes.base import ReductionPass, Stage
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_size import is_small


@dataclass(frozen=True)
class ConstantsAsWeights(DraftEdit):
    """All Constant nodes, or the one whose output is `name`."""

    name: str = ""

    def change(self, draft: Draft) -> None:
        changed = False
        for graph in draft.graphs():
            for position in reversed(range(len(graph.node))):
                node = graph.node[position]
                if node.op_type != "Constant" or (self.name and self.name not in node.output):
                    continue
                tensor = _tensor(node)
                if tensor is not None and len(node.output) == 1:
                    tensor.name = node.output[0]
                    graph.initializer.append(tensor)
                    del graph.node[position]
                    changed = True
        if not changed:
            raise EditConflict("no such constant")

    def __str__(self) -> str:
        return f"{self.name or 'all constants'} as initializers"


class ConstantsAsWeightsPass(ReductionPass[OnnxProgram]):
    """All at once, then each."""

    name: ClassVar[str] = "constants as weights"
    stage: ClassVar[Stage] = Stage.INSIDE
    rank: ClassVar[int] = 10

    def propose(self, program: OnnxProgram) -> Iterable[ConstantsAsWeights]:
        if not is_small(program) or not any(ref.op_type == "Constant" for ref in program.nodes()):
            return []
        names = [
            n.output[0] for g in Draft.of(program).graphs() for n in g.node if n.op_type == "Constant" and n.output
        ]
        return [ConstantsAsWeights(), *(ConstantsAsWeights(name) for name in names)] if names else []


def _tensor(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """What a Constant node holds, as a tensor of its own; None for strings in lists and sparse tensors."""
    for attribute in node.attribute:
        made = onnx.TensorProto()
        if attribute.name == "value":
            made.CopyFrom(attribute.t)
            return made
        numbers: dict[str, np.ndarray[Any, Any]] = {
            "value_float": np.array(attribute.f, np.float32),
            "value_floats": np.array(attribute.floats, np.float32),
            "value_int": np.array(attribute.i, np.int64),
            "value_ints": np.array(attribute.ints, np.int64),
        }
        if attribute.name in numbers:
            made.CopyFrom(numpy_helper.from_array(numbers[attribute.name]))
            return made
    return None
