"""The graphs that a report draws: the reduced model, and where in the source its nodes were (step 10 of the path)."""

from __future__ import annotations

from collections.abc import Iterable

from reducer.finding import GraphNode
from reducer.localizers.base import called
from reducer.programs.base import NodeId
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_source import NodeRecord

# A picture with more nodes than that shows nothing.
MOST, REDUCED_MOST, HOPS = 24, 60, 2


def reduced_graph(best: OnnxProgram) -> tuple[GraphNode, ...]:
    """The top-level nodes of the reduced model under the names that they have there; none when there are too many."""
    records = best.records
    if len(records) > REDUCED_MOST:
        return ()
    return tuple(_node(record, record.name, kept=True) for record in records)


def neighbourhood(source: OnnxProgram, best: OnnxProgram) -> tuple[GraphNode, ...]:
    """Up to 24 nodes of the source: those that are left in the result, and those at most two edges away, nearest
    first. A node whose body holds what is left counts as left."""
    kept = sorted(_origins(source, best))
    chosen = dict.fromkeys(kept[:MOST])
    ring = list(chosen)
    for _ in range(HOPS):
        ring = [near for node in ring for near in source.neighbours(node) if near not in chosen]
        chosen |= dict.fromkeys(ring)
    nearest = sorted(list(chosen)[:MOST])
    marked = frozenset(kept)
    return tuple(
        _node(record, called(record.ref, record.name), kept=node in marked)
        for node in nearest
        for record in [source.record(node)]
    )


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
