"""An operator becomes a simpler one of equal signature: Identity for one input, Add for two.

Not where one or two nodes are left: what they are is what a reader looks for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from reducer.drafts import Draft, DraftEdit
from reducer.errors import EditConflict
from reducer.passes.base import ReductionPass, Stage
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_size import SIMPLE_OPS, is_small

LEAST_NODES = 3
_BY_INPUTS = {1: "Identity", 2: "Add"}


@dataclass(frozen=True)
class ReplaceOp(DraftEdit):
    """The node `node` becomes an `op_type` of the default domain, without attributes."""

    node: str
    op_type: str

    def change(self, draft: Draft) -> None:
        for node in draft.nodes():
            if node.name == self.node:
                if node.op_type == self.op_type:
                    raise EditConflict("it is that operator")
                node.op_type, node.domain = self.op_type, ""
                del node.attribute[:]
                draft.forget_shapes()
                return
        raise EditConflict("the node is gone")

    def __str__(self) -> str:
        return f"{self.node}: {self.op_type} instead"


class SimplerOp(ReductionPass[OnnxProgram]):
    """Every node with one output and one or two inputs, while there are more than two nodes."""

    name: ClassVar[str] = "simpler operators"
    stage: ClassVar[Stage] = Stage.SIMPLIFY
    rank: ClassVar[int] = 35
    patience: ClassVar[int] = 16
    changes_values: ClassVar[bool] = True

    def propose(self, program: OnnxProgram) -> Iterable[ReplaceOp]:
        if not is_small(program) or len(program.nodes()) < LEAST_NODES:
            return []
        draft = Draft.of(program)
        if not draft.opset(""):
            return []
        edits = []
        for node in draft.nodes():
            inputs = len(node.input)
            bodies = any(a.HasField("g") for a in node.attribute)
            if len(node.output) == 1 and all(node.input) and not bodies and node.op_type not in SIMPLE_OPS:
                edits += [ReplaceOp(node.name, _BY_INPUTS[inputs])] if inputs in _BY_INPUTS else []
        return edits
