"""Drop one node of a torch graph, last first: what it fed comes in with its recorded value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from reducer.errors import EditConflict
from reducer.passes.base import Edit, ReductionPass, Stage
from reducer.programs.base import NodeId
from reducer.programs.fx import FxProgram


@dataclass(frozen=True)
class DropFxNode(Edit[FxProgram]):
    """Without this node."""

    node: NodeId

    def apply(self, program: FxProgram) -> FxProgram:
        if self.node not in program.keep:
            raise EditConflict("the node is gone already")
        return program.restrict(program.keep - {self.node}, {})


class DropFxNodes(ReductionPass[FxProgram]):
    """Single nodes, from the outputs back."""

    name: ClassVar[str] = "drop single torch nodes"
    stage: ClassVar[Stage] = Stage.CUT
    rank: ClassVar[int] = 10
    kinds: ClassVar[tuple[str, ...]] = ("torch",)

    def propose(self, program: FxProgram) -> Iterable[DropFxNode]:
        return [DropFxNode(node) for node in reversed(program.units())] if len(program.keep) > 1 else []
