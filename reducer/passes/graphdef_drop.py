"""Drop nodes of a TensorFlow graph: one by one, with the other kind of cut, in pairs; and outputs not needed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations
from typing import ClassVar

from reducer.errors import EditConflict
from reducer.passes.base import Edit, ReductionPass, Stage
from reducer.programs.base import CutMode, NodeId
from reducer.programs.graphdef import GraphProgram

MOST_NODES = 64
MOST_PAIRED = 10


@dataclass(frozen=True)
class DropGroups(Edit[GraphProgram]):
    """Without these groups of nodes; `flip`: the edges that they fed become the other kind of cut."""

    groups: frozenset[NodeId]
    flip: bool = False

    def apply(self, program: GraphProgram) -> GraphProgram:
        if not self.groups <= program.keep or self.groups == program.keep:
            raise EditConflict("the node is gone already, or the last one")
        smaller = program.restrict(program.keep - self.groups, {})
        if not self.flip:
            return smaller
        made = {
            tensor.name
            for group in self.groups
            for node in program.source.groups[group]
            for tensor in program.source.records[node].outputs
        }
        cut = [name for name in smaller.boundary if name in made]
        if not cut:
            raise EditConflict("no edge is cut")
        return program.restrict(program.keep - self.groups, {name: _other(smaller.mode(name)) for name in cut})


def _other(mode: CutMode) -> CutMode:
    return CutMode.INPUT if mode is CutMode.CONSTANT else CutMode.CONSTANT


class DropNodes(ReductionPass[GraphProgram]):
    """Single nodes, last first."""

    name: ClassVar[str] = "drop single TensorFlow nodes"
    stage: ClassVar[Stage] = Stage.CUT
    rank: ClassVar[int] = 10
    kinds: ClassVar[tuple[str, ...]] = ("tensorflow",)

    def propose(self, program: GraphProgram) -> Iterable[DropGroups]:
        return [DropGroups(frozenset({group})) for group in reversed(program.units())]


class DropNodesOtherCut(ReductionPass[GraphProgram]):
    """Each once more with the other hypothesis for its edges: handlers that ask for constants see one of them only."""

    name: ClassVar[str] = "drop single TensorFlow nodes, edges the other way"
    stage: ClassVar[Stage] = Stage.CUT
    rank: ClassVar[int] = 20
    kinds: ClassVar[tuple[str, ...]] = ("tensorflow",)

    def propose(self, program: GraphProgram) -> Iterable[DropGroups]:
        if len(program.keep) > MOST_NODES:
            return []
        return [DropGroups(frozenset({group}), flip=True) for group in reversed(program.units())]


class DropNodePairs(ReductionPass[GraphProgram]):
    """Two nodes at once, when few are left."""

    name: ClassVar[str] = "drop pairs of TensorFlow nodes"
    stage: ClassVar[Stage] = Stage.CUT
    rank: ClassVar[int] = 40
    kinds: ClassVar[tuple[str, ...]] = ("tensorflow",)

    def propose(self, program: GraphProgram) -> Iterable[DropGroups]:
        if not 3 <= len(program.keep) <= MOST_PAIRED:
            return []
        return [DropGroups(frozenset(pair)) for pair in combinations(reversed(program.units()), 2)]


@dataclass(frozen=True)
class Mute(Edit[GraphProgram]):
    """Do not ask for this output."""

    output: str

    def apply(self, program: GraphProgram) -> GraphProgram:
        if self.output not in program.outputs or len(program.outputs) < 2:
            raise EditConflict("no such output, or the last one")
        return replace(program, muted=program.muted | {self.output})


class DropOutputs(ReductionPass[GraphProgram]):
    """Outputs that the failure does not need, last first."""

    name: ClassVar[str] = "drop outputs of a TensorFlow graph"
    stage: ClassVar[Stage] = Stage.CUT
    rank: ClassVar[int] = 50
    kinds: ClassVar[tuple[str, ...]] = ("tensorflow",)

    def propose(self, program: GraphProgram) -> Iterable[Mute]:
        return [Mute(name) for name in reversed(program.outputs)] if len(program.outputs) > 1 else []
