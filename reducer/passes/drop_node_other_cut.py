"""Drop one node with the other hypothesis for its edges: a constant instead of an input, or the reverse.

Constant folding, shape inference and some kernels see only constants; other failures need a live input.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from reducer.passes.base import ReductionPass, Stage
from reducer.passes.drop_node import DropNodes
from reducer.programs.base import CutMode, NodeId
from reducer.programs.onnx import OnnxProgram

# Above this many nodes the sweep would cost more than it finds; chunked deletion comes first anyway.
MOST_NODES = 64


class DropNodeOtherCut(ReductionPass[OnnxProgram]):
    """Proposes each drop once more for nodes that feed others, with the opposite of the default cut."""

    name: ClassVar[str] = "drop single nodes, edges the other way"
    stage: ClassVar[Stage] = Stage.CUT
    rank: ClassVar[int] = 20

    def propose(self, program: OnnxProgram) -> Iterable[DropNodes]:
        if len(program.keep) > MOST_NODES:
            return []
        edits = []
        for node in reversed(program.units()):
            mode = _other_mode(program, node)
            if mode is not None:
                edits.append(DropNodes(frozenset({node}), mode))
        return edits


def _other_mode(program: OnnxProgram, node: NodeId) -> CutMode | None:
    """The opposite of what the edges of the node would become; None when nobody reads them."""
    read = {name for record in program.records for name in record.reads}
    edges = [name for name in program.record(node).outputs if name in read and name in program.source.values]
    if not edges:
        return None
    return CutMode.INPUT if program.cut_mode(edges[0]) is CutMode.CONSTANT else CutMode.CONSTANT
