"""A torch FX graph as the parent knows it: a table of nodes and edges, the ids that are kept, and edits.

The graph itself, its values and every candidate live in the worker (docs/decisions/0006); a candidate travels as
`order()`. Any set of nodes is a legal candidate: what it read from the others comes in with its recorded value.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

from reducer.errors import EditConflict
from reducer.evidence import GraphNode
from reducer.programs.base import CutMode, NodeId, NodeRef, Program, Size

Tweak = tuple[str | int, ...]
# Order in which the worker makes edits; a later one of the same slot replaces an earlier one.
_KINDS = ("default", "dtype", "resize", "narrow", "values")
_PLAIN = {"ones": 0, "arange": 1, "seeded": 2}
RECORDED = 3


@dataclass(frozen=True)
class FxNode:
    """One node that can be cut. `line` is the user's source line, `scope` the module path, `inner` the names of nodes
    in its sub-graphs; `arguments` may be tried at their defaults; a `random` node differs by design."""

    id: NodeId
    name: str
    target: str
    inputs: tuple[NodeId, ...] = ()
    line: str = ""
    scope: str = ""
    inner: tuple[str, ...] = ()
    random: bool = False
    arguments: tuple[str, ...] = ()

    @staticmethod
    def from_wire(row: Mapping[str, Any]) -> FxNode:
        """The node of a row that the worker sent."""
        lists = {key: tuple(row[key]) for key in ("inputs", "inner", "arguments")}
        return FxNode(**{**row, **lists})


@dataclass(frozen=True)
class FxInput:
    """One input of a candidate: name, dtype as torch prints it, shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class FxTable:
    """All nodes of one graph. `level` is captured or decomposed."""

    level: str
    nodes: tuple[FxNode, ...]

    @cached_property
    def readers(self) -> dict[NodeId, tuple[NodeId, ...]]:
        """Who reads each node."""
        found: dict[NodeId, list[NodeId]] = {node.id: [] for node in self.nodes}
        for node in self.nodes:
            for source in node.inputs:
                found[source].append(node.id)
        return {node: tuple(readers) for node, readers in found.items()}

    def __hash__(self) -> int:
        return id(self)


@dataclass(frozen=True)
class FxProgram(Program):
    """Nodes `keep` of a table with edits. `inputs` are known once the worker described the program (`described`).

    `constants`: parameters and buffers stay constants instead of becoming inputs.
    """

    table: FxTable
    keep: frozenset[NodeId]
    edits: tuple[Tweak, ...] = ()
    inputs: tuple[FxInput, ...] = ()
    constants: bool = False

    @staticmethod
    def of(table: FxTable, *, frozen: frozenset[NodeId] = frozenset()) -> FxProgram:
        """The whole graph but for `frozen` nodes, whose values stay what they were."""
        return FxProgram(table, frozenset(node.id for node in table.nodes) - frozen)

    def nodes(self) -> Sequence[NodeRef]:
        """The kept nodes; those of sub-graphs belong to the node that calls them."""
        return [NodeRef(n.id, n.target, n.name, (), n.name) for n in self.kept]

    @cached_property
    def kept(self) -> tuple[FxNode, ...]:
        """The kept nodes with all that is known of them."""
        return tuple(node for node in self.table.nodes if node.id in self.keep)

    @property
    def drawing(self) -> tuple[GraphNode, ...]:
        """All nodes of the graph, those marked that are left."""
        names = {node.id: node.name for node in self.table.nodes}
        return tuple(
            GraphNode(n.name, n.target, tuple(names[i] for i in n.inputs), (n.name,), n.id in self.keep, place)
            for place, n in enumerate(self.table.nodes)
        )

    def units(self) -> Sequence[NodeId]:
        return [node.id for node in self.kept]

    def neighbours(self, node: NodeId) -> Sequence[NodeId]:
        near = {*self.table.nodes[node].inputs, *self.table.readers[node]}
        return sorted(near & self.keep)

    def restrict(self, keep: frozenset[NodeId], cuts: Mapping[str, CutMode]) -> Self:
        if not keep or not keep <= self.keep:
            raise EditConflict("nothing is left, or something that was gone")
        edits = tuple(edit for edit in self.edits if edit[0] != "default" or edit[1] in keep)
        return replace(self, keep=keep, edits=edits, inputs=())

    def described(self, inputs: Sequence[FxInput]) -> FxProgram:
        """The same program with its inputs known: what passes on shapes and values need."""
        return replace(self, inputs=tuple(inputs))

    def edited(self, edit: Tweak) -> FxProgram:
        """With one more edit. Raises EditConflict when it is made already."""
        slot = _slot(edit)
        edits = [old for old in self.edits if _slot(old) != slot]
        if edit[:2] == ("values", "*"):
            edits = [old for old in edits if old[0] != "values"]
        if edit in self.edits:
            raise EditConflict("the edit is made already")
        edits.append(edit)
        return replace(self, edits=tuple(sorted(edits, key=lambda e: (_KINDS.index(str(e[0])), self._rank(e)))))

    def _rank(self, edit: Tweak) -> tuple[int, ...]:
        """Edits of one kind in the order in which they were made."""
        return (self.edits.index(edit),) if edit in self.edits else (len(self.edits),)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every input after the edits."""
        found = {item.name: item.shape for item in self.inputs}
        for kind, *rest in self.edits:
            if kind == "resize":
                found = {name: tuple(rest[1] if d == rest[0] else d for d in dims) for name, dims in found.items()}  # type: ignore[misc]
            elif kind == "narrow":
                dims = list(found.get(str(rest[0]), ()))
                if int(rest[1]) < len(dims):
                    dims[int(rest[1])] = int(rest[2])
                found[str(rest[0])] = tuple(dims)
        return found

    def values_of(self, name: str) -> int:
        """How plain the values of an input are, 0 the plainest."""
        kinds = {str(edit[1]): str(edit[2]) for edit in self.edits if edit[0] == "values"}
        kind = kinds.get(name, kinds.get("*"))
        return _PLAIN[kind] if kind else RECORDED

    def size(self) -> Size:
        given = sum(len(node.arguments) for node in self.kept) - sum(edit[0] == "default" for edit in self.edits)
        elements = sum(math.prod(shape) for shape in self.shapes.values())
        wide = len(self.inputs) - sum(edit[0] == "dtype" for edit in self.edits)
        values = sum(self.values_of(item.name) for item in self.inputs)
        return (len(self.keep), len({node.target for node in self.kept}), given, elements, wide, values)

    def key(self) -> str:
        kept = bytearray((len(self.table.nodes) + 7) // 8)
        for node in self.keep:
            kept[node // 8] |= 1 << node % 8
        text = json.dumps([self.table.level, kept.hex(), self.edits, self.constants])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def order(self) -> dict[str, Any]:
        """What the worker needs to build this candidate."""
        return {"keep": sorted(self.keep), "edits": [list(edit) for edit in self.edits], "constants": self.constants}


def _slot(edit: Tweak) -> Tweak:
    """What an edit is about: two edits of one slot exclude each other."""
    length = {"default": 3, "dtype": 2, "resize": 3, "narrow": 3, "values": 2}[str(edit[0])]
    return edit[:length]
