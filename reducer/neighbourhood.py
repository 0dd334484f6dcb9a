"""The graphs that a report draws: the reduced model, and where in the source its nodes were (step 10 of the path)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from reducer.evidence import GraphNode
from reducer.localizers.base import called
from reducer.programs.base import NodeId
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_source import NodeRecord

# A picture with more nodes than that shows nothing.
MOST, REDUCED_MOST, HOPS = 24, 60, 2


def reduced_graph(best: OnnxProgram) -> tuple[GraphNode, ...]:
    """The top-level nodes of the reduced model under the names that they have there; none when there are too many."""
    return few(_node(record, record.name, kept=True) for record in best.records)


def neighbourhood(source: OnnxProgram, best: OnnxProgram) -> tuple[GraphNode, ...]:
    """What is around the nodes of the source that are left in the result. A node whose body holds what is left counts
    as left."""
    kept = frozenset(_origins(source, best))
    records = (source.record(node) for node in source.units())
    return around([_node(r, called(r.ref, r.name), kept=r.ref.id in kept) for r in records])


def few(nodes: Iterable[GraphNode]) -> tuple[GraphNode, ...]:
    """The nodes of a result, none when there are too many."""
    shown = tuple(nodes)
    return shown if len(shown) <= REDUCED_MOST else ()


def kept_of(nodes: Iterable[GraphNode], names: Mapping[str, str] = MappingProxyType({})) -> tuple[GraphNode, ...]:
    """Those nodes of a source that are left, as the result's own graph: under their new `names`, else under the old
    ones without the scopes of the source. Tensors are called by node and port."""

    def now(name: str) -> str:
        node, colon, port = name.partition(":")
        known = names.get(name) or (f"{names[node]}{colon}{port}" if node in names else "")
        return known or name.rpartition("/")[2]

    return few(
        replace(
            node,
            name=names.get(node.name) or (node.op_type if names else now(node.name)),
            inputs=tuple(map(now, node.inputs)),
            outputs=tuple(map(now, node.outputs)),
        )
        for node in nodes
        if node.kept
    )


def around(nodes: Sequence[GraphNode]) -> tuple[GraphNode, ...]:
    """Up to 24 nodes of a source: those that are kept, and those at most two edges away, nearest first."""
    maker = {name: place for place, node in enumerate(nodes) for name in node.outputs}
    readers: dict[str, list[int]] = {}
    for place, node in enumerate(nodes):
        for name in node.inputs:
            readers.setdefault(name, []).append(place)

    def beside(place: int) -> list[int]:
        makers = [maker[name] for name in nodes[place].inputs if name in maker]
        return [*makers, *(reader for name in nodes[place].outputs for reader in readers.get(name, ()))]

    chosen = dict.fromkeys([place for place, node in enumerate(nodes) if node.kept][:MOST])
    ring = list(chosen)
    for _ in range(HOPS):
        ring = [near for place in ring for near in beside(place) if near not in chosen]
        chosen |= dict.fromkeys(ring)
    return tuple(nodes[place] for place in sorted(list(chosen)[:MOST]))


def _origins(source: OnnxProgram, best: OnnxProgram) -> Iterable[NodeId]:
    """Ids in the source of what is left in the result. Ids are the same unless a body was lifted out of its node;
    then only names tell."""
    if best.source.tag == source.source.tag:
        return best.keep & source.keep
    names = {name for ref in best.nodes() for name in (ref.source_name, ref.name) if name}
    return {
        node
        for node in source.units()
        for record in [source.record(node)]
        if any(ref.source_name in names or ref.name in names for ref in (record.ref, *record.body))
    }


def _node(record: NodeRecord, name: str, *, kept: bool) -> GraphNode:
    return GraphNode(name, record.ref.op_type, record.reads, tuple(filter(None, record.outputs)), kept, record.ref.id)
