"""Bypass a node: whoever read its output reads one of its inputs instead.

Needed where a deletion would break a required connection, for example a node in the middle of a pattern.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from reducer.errors import EditConflict
from reducer.passes.base import Edit, ReductionPass, Stage
from reducer.programs.base import NodeId
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_tensors import read_type

MOST_NODES = 64


@dataclass(frozen=True)
class BypassNode(Edit[OnnxProgram]):
    """Replace `output` of the node by `stand_in` everywhere and drop the node."""

    node: NodeId
    output: str
    stand_in: str

    def apply(self, program: OnnxProgram) -> OnnxProgram:
        if self.node not in program.keep or self.stand_in not in program.record(self.node).reads:
            raise EditConflict("the node is gone or was rewired already")
        return program.bypass(self.node, self.output, self.stand_in)


class Bypass(ReductionPass[OnnxProgram]):
    """Proposes every (output, input) pair of equal element type; equal shape first."""

    name: ClassVar[str] = "bypass nodes"
    stage: ClassVar[Stage] = Stage.CUT
    rank: ClassVar[int] = 30
    changes_values: ClassVar[bool] = True

    def propose(self, program: OnnxProgram) -> Iterable[BypassNode]:
        if not 1 < len(program.keep) <= MOST_NODES:
            return []
        read = {name for record in program.records for name in record.reads}
        edits = []
        for node in reversed(program.units()):
            record = program.record(node)
            for output in (name for name in record.outputs if name in read):
                pairs = [(_fit(program, output, name), name) for name in dict.fromkeys(record.inputs) if name]
                edits += [BypassNode(node, output, name) for fit, name in sorted(pairs) if fit < 2]
        return edits


def _fit(program: OnnxProgram, left: str, right: str) -> int:
    """0: same type and shape; 1: same element type; 2: something else or unknown."""
    a, b = program.type_of(left), program.type_of(right)
    if a is None or b is None:
        return 2
    x, y = read_type(a), read_type(b)
    if not x.HasField("tensor_type") or x.tensor_type.elem_type != y.tensor_type.elem_type:
        return 2
    return 0 if x.tensor_type.shape == y.tensor_type.shape else 1
