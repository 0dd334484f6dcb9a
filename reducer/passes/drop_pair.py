"""Drop two nodes at once, when few are left: some failures need both or neither."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import ClassVar

from reducer.passes.base import ReductionPass, Stage
from reducer.passes.drop_node import DropNodes
from reducer.programs.onnx import OnnxProgram

MOST_NODES = 12


class DropPair(ReductionPass[OnnxProgram]):
    """All pairs of nodes, the last ones first."""

    name: ClassVar[str] = "drop pairs of nodes"
    stage: ClassVar[Stage] = Stage.CUT
    rank: ClassVar[int] = 40

    def propose(self, program: OnnxProgram) -> Iterable[DropNodes]:
        if not 3 <= len(program.keep) <= MOST_NODES:
            return []
        return [DropNodes(frozenset(pair)) for pair in combinations(reversed(program.units()), 2)]
