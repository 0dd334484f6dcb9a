"""The table of a frozen TensorFlow graph: nodes, edges, types and where recorded values lie.

The GraphDef itself stays in the worker: this side of it needs no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from reducer.programs.base import NodeId, NodeRef
from reducer.values import ValueRef

CONST = "Const"
PLACEHOLDERS = ("Placeholder", "PlaceholderWithDefault")
# They do nothing that a report should count or a search should try.
SILENT = ("NoOp",)


@dataclass(frozen=True)
class Tensor:
    """One output of a node. `shape` is the static one, None per unknown dim or as a whole; `value` is None where
    none could be recorded; `by_shape`: it follows from the shapes of the inputs alone. `stand_in` may be fed for a
    value that does not exist, but is never the right output."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None
    value: ValueRef | None
    by_shape: bool = False
    stand_in: ValueRef | None = None

    @property
    def can_cut(self) -> bool:
        """Whether a Placeholder or Const can stand where this edge was."""
        return self.fed is not None

    @property
    def fed(self) -> ValueRef | None:
        """What is fed where this edge was cut."""
        return self.value or self.stand_in


@dataclass(frozen=True)
class GraphRecord:
    """One node. `reads` are tensor names; leaves (Const, Placeholder) follow whoever reads them. `inner` are the nodes
    of the functions that it calls: loop bodies, branches."""

    ref: NodeRef
    reads: tuple[str, ...]
    outputs: tuple[Tensor, ...]
    inner: tuple[NodeRef, ...] = ()

    @property
    def name(self) -> str:
        """The name in the graph."""
        return self.ref.name

    @property
    def is_leaf(self) -> bool:
        """Whether it is a Const, a Placeholder or a node without any effect."""
        return self.ref.op_type in (CONST, *PLACEHOLDERS, *SILENT)


class GraphSource:
    """A frozen graph as the parent knows it."""

    def __init__(
        self,
        path: str,
        records: Sequence[GraphRecord],
        constants: Mapping[str, ValueRef],
        ends: Sequence[str],
        *,
        lifted: bool = False,
    ):
        self.lifted = lifted
        self.path, self.records, self.constants, self.ends = path, tuple(records), dict(constants), tuple(ends)
        self.tensors = {t.name: t for r in self.records for t in r.outputs}
        self.producer = {t.name: r for r in self.records for t in r.outputs}
        self.by_name = {r.name: r for r in self.records}

    @staticmethod
    def from_table(path: str, table: Mapping[str, Any], ends: Sequence[str], *, lifted: bool = False) -> GraphSource:
        """From the reply of worker.tf_tasks.record; `ends` are the graph's outputs ("name:0"). `lifted`: it was the
        body of a node of another graph."""
        records = []
        for number, node in enumerate(table["nodes"]):
            outputs = tuple(_tensor(wire) for wire in node["outputs"])
            ref = NodeRef(number, node["op"], node["name"], (), node["name"])
            inner = tuple(NodeRef(number, op, name, (node["name"],), name) for name, op in node.get("inner", ()))
            records.append(GraphRecord(ref, tuple(node["inputs"]), outputs, inner))
        constants = {name: ValueRef.from_wire(wire) for name, wire in table["constants"].items()}
        return GraphSource(path, records, constants, ends, lifted=lifted)

    @cached_property
    def readers(self) -> Mapping[str, tuple[NodeId, ...]]:
        """Who reads a tensor."""
        found: dict[str, list[NodeId]] = {}
        for record in self.records:
            for name in record.reads:
                found.setdefault(name, []).append(record.ref.id)
        return {name: tuple(ids) for name, ids in found.items()}

    @cached_property
    def groups(self) -> Mapping[NodeId, tuple[NodeId, ...]]:
        """Nodes that can only be cut together, by the first of them: edges between them have no value of their own
        (tensor lists, tables, loop state)."""
        leader = {r.ref.id: r.ref.id for r in self.records if not r.is_leaf}

        def root(node: NodeId) -> NodeId:
            while leader[node] != node:
                node = leader[node]
            return node

        for record in self.records:
            if record.is_leaf:
                continue
            for name in record.reads:
                maker = self.producer[name]
                if not maker.is_leaf and not self.tensors[name].can_cut:
                    a, b = sorted((root(record.ref.id), root(maker.ref.id)))
                    leader[b] = a
        groups: dict[NodeId, list[NodeId]] = {}
        for node in leader:
            groups.setdefault(root(node), []).append(node)
        return {first: tuple(nodes) for first, nodes in groups.items()}

    def names(self) -> frozenset[str]:
        """Everything that a message may call by name: nodes, those of functions under their names in there too,
        tensors, the last part of a scope."""
        inside = [ref.name for r in self.records for ref in r.inner]
        nodes = [*(r.name for r in self.records), *inside, *(name.partition("/")[2] for name in inside)]
        return frozenset({*nodes, *self.tensors, *(n.rpartition("/")[2] for n in nodes)} - self.op_types() - {""})

    def op_types(self) -> frozenset[str]:
        """The op types."""
        return frozenset(r.ref.op_type for r in self.records)


def _tensor(wire: Mapping[str, Any]) -> Tensor:
    shape = wire["shape"]
    value = wire["value"]
    return Tensor(
        wire["name"],
        wire["dtype"],
        None if shape is None else tuple(shape),
        None if value is None else ValueRef.from_wire(value),
        wire["by_shape"],
        ValueRef.from_wire(wire["stand_in"]) if wire.get("stand_in") else None,
    )
