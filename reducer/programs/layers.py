"""A part of a Keras model, as positions of its layers: what the engine reduces when the entry point is at fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reducer.errors import EditConflict
from reducer.evidence import GraphNode
from reducer.programs.base import CutMode, NodeId, NodeRef, Program, Size


@dataclass(frozen=True)
class LayerTable:
    """The layers of one model: their names and classes, who reads whom, and what the worker opens them from."""

    layers: tuple[NodeRef, ...]
    reads: tuple[tuple[NodeId, ...], ...]
    opened: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class LayersProgram(Program):
    """The layers `keep` of a model."""

    table: LayerTable
    keep: frozenset[NodeId]

    @staticmethod
    def whole(wires: Sequence[Mapping[str, Any]], opened: Mapping[str, Any]) -> LayersProgram:
        """All layers. `wires` is the reply of worker.tf_layer_tasks.layers, `opened` {path, form, folder, feeds}."""
        refs = tuple(NodeRef(n, wire["op"], wire["name"], (), wire["name"]) for n, wire in enumerate(wires))
        table = LayerTable(refs, tuple(tuple(wire["reads"]) for wire in wires), opened)
        return LayersProgram(table, frozenset(range(len(refs))))

    def nodes(self) -> Sequence[NodeRef]:
        return [self.table.layers[node] for node in sorted(self.keep)]

    @property
    def drawing(self) -> tuple[GraphNode, ...]:
        """All layers of the model, those marked that are left."""
        layers = self.table.layers
        return tuple(
            GraphNode(r.name, r.op_type, tuple(layers[i].name for i in reads), (r.name,), r.id in self.keep, place)
            for place, (r, reads) in enumerate(zip(layers, self.table.reads, strict=True))
        )

    def units(self) -> Sequence[NodeId]:
        return sorted(self.keep)

    def neighbours(self, node: NodeId) -> Sequence[NodeId]:
        near = {*self.table.reads[node], *(n for n in self.keep if node in self.table.reads[n])}
        return sorted(near & self.keep)

    def restrict(self, keep: frozenset[NodeId], cuts: Mapping[str, CutMode]) -> LayersProgram:
        if not keep or not keep <= self.keep:
            raise EditConflict("these layers are not all there")
        return replace(self, keep=keep)

    def size(self) -> Size:
        return (len(self.keep), len({ref.op_type for ref in self.nodes()}))

    def key(self) -> str:
        return ",".join(map(str, sorted(self.keep)))

    def order(self) -> dict[str, Any]:
        """What worker.tf_layer_tasks.judge needs."""
        return {**self.table.opened, "keep": sorted(self.keep)}
