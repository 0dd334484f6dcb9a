"""The parts of a loaded ONNX model, cut once into serialized records that candidates are assembled from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import onnx

from reducer.programs import wire
from reducer.programs.base import NodeRef
from reducer.values import ValueRef

FunctionKey = tuple[str, str]


def qualified(domain: str, op_type: str) -> str:
    """The op type with its domain in front when it is not the default one."""
    return op_type if domain in ("", "ai.onnx") else f"{domain}.{op_type}"


@dataclass(frozen=True)
class NodeRecord:
    """One top-level node. `captures` are outer names that its bodies use; `encoded` is a ready graph field."""

    ref: NodeRef
    name: str
    inputs: tuple[str, ...]
    captures: tuple[str, ...]
    outputs: tuple[str, ...]
    encoded: bytes
    bare: bytes
    body: tuple[NodeRef, ...]
    calls: frozenset[FunctionKey]
    deterministic: bool

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """All tensor names the node needs, without omitted ones."""
        return tuple(name for name in (*self.inputs, *self.captures) if name)

    def proto(self) -> onnx.NodeProto:
        """A fresh NodeProto of this record."""
        graph = onnx.GraphProto()
        graph.MergeFromString(self.encoded)
        node: onnx.NodeProto = graph.node[0]
        return node


@dataclass(frozen=True)
class WeightRecord:
    """One initializer, dense or sparse. `encoded` refers to a weights file when `spilled` says where."""

    name: str
    elem_type: int
    dims: tuple[int, ...]
    nbytes: int
    encoded: bytes
    spilled: tuple[Path, int, int] | None = None


@dataclass(frozen=True)
class FunctionRecord:
    """One model-local function and the functions that it calls itself."""

    encoded: bytes
    body: tuple[NodeRef, ...]
    calls: frozenset[FunctionKey]
    deterministic: bool


@dataclass(frozen=True)
class OnnxSource:
    """A whole model in records, plus what is known of its tensors (`types`, `values`), learnt after loading.

    `tag` tells sources apart that were made from one another (a body lifted out of its node).
    """

    nodes: tuple[NodeRecord, ...]
    inputs: Mapping[str, bytes]
    outputs: Mapping[str, bytes]
    weights: Mapping[str, tuple[WeightRecord, ...]]
    functions: Mapping[FunctionKey, FunctionRecord]
    value_info: Mapping[str, bytes]
    header: bytes
    bare_header: bytes
    graph_rest: bytes
    constants: frozenset[str]
    types: Mapping[str, bytes] = field(default_factory=dict)
    values: Mapping[str, ValueRef] = field(default_factory=dict)
    folder: Path | None = None
    tag: str = ""

    def __post_init__(self) -> None:
        producers: dict[str, list[int]] = {}
        consumers: dict[str, list[int]] = {}
        for record in self.nodes:
            for name in filter(None, record.outputs):
                producers.setdefault(name, []).append(record.ref.id)
            for name in dict.fromkeys(record.reads):
                consumers.setdefault(name, []).append(record.ref.id)
        object.__setattr__(self, "producers", producers)
        object.__setattr__(self, "consumers", consumers)

    producers: Mapping[str, list[int]] = field(init=False, repr=False)
    consumers: Mapping[str, list[int]] = field(init=False, repr=False)

    def learn(
        self, types: Mapping[str, bytes] | None = None, values: Mapping[str, ValueRef] | None = None
    ) -> OnnxSource:
        """This source with more known of its tensors."""
        # A plain copy: producers and consumers stay as they are and need not be gathered again.
        known = copy(self)
        object.__setattr__(known, "types", {**self.types, **(types or {})})
        object.__setattr__(known, "values", {**self.values, **(values or {})})
        return known

    def names(self) -> frozenset[str]:
        """Every tensor and node name: what a failure signature must not depend on."""
        found = {*self.inputs, *self.outputs, *self.weights, *self.producers, *self.consumers}
        for record in self.nodes:
            found.add(record.name)
            found.update(ref.name for ref in record.body)
        found.update(ref.name for function in self.functions.values() for ref in function.body)
        return frozenset(found - {""})

    def op_types(self) -> frozenset[str]:
        """Bare and qualified op types, bodies and functions included."""
        refs = [ref for record in self.nodes for ref in (record.ref, *record.body)]
        refs += [ref for function in self.functions.values() for ref in function.body]
        found = {ref.op_type for ref in refs}
        return frozenset(found | {op.rsplit(".", 1)[-1] for op in found})


def rebuilt(record: NodeRecord, node: onnx.NodeProto) -> NodeRecord:
    """The record of an edited form of its node; names in the source are kept where nodes are."""
    known = {ref.name: ref for ref in record.body}
    inner = [(n, path) for n, path in walk([node]) if n is not node]
    body = tuple(
        known.get(n.name) or NodeRef(record.ref.id, qualified(n.domain, n.op_type), n.name, path, n.name)
        for n, path in inner
    )
    encoded, bare = encode_node(node)
    return replace(
        record,
        inputs=tuple(node.input),
        captures=captured_names(node),
        outputs=tuple(node.output),
        encoded=encoded,
        bare=bare,
        body=body,
    )


def subgraphs(node: onnx.NodeProto) -> Iterator[tuple[str, onnx.GraphProto]]:
    """The bodies of a node with the attribute that holds each."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.name, attribute.g
        for index, graph in enumerate(attribute.graphs):
            yield f"{attribute.name}[{index}]", graph


def walk(
    nodes: Iterable[onnx.NodeProto], path: tuple[str, ...] = ()
) -> Iterator[tuple[onnx.NodeProto, tuple[str, ...]]]:
    """All nodes below, each with the path of its body."""
    for node in nodes:
        yield node, path
        for name, graph in subgraphs(node):
            yield from walk(graph.node, (*path, node.name, name))


def rename_reads(nodes: Iterable[onnx.NodeProto], table: Mapping[str, str]) -> None:
    """Have the nodes and everything in their bodies read other tensors, in place."""
    for node in nodes:
        for index, name in enumerate(node.input):
            node.input[index] = table.get(name, name)
        for _, graph in subgraphs(node):
            rename_reads(graph.node, table)
            for value in graph.output:
                value.name = table.get(value.name, value.name)


def captured_names(node: onnx.NodeProto) -> tuple[str, ...]:
    """Names that the bodies of the node take from outside of them."""
    found: dict[str, None] = {}

    def visit(graph: onnx.GraphProto, outer: frozenset[str]) -> None:
        local = outer | {v.name for v in graph.input} | {t.name for t in graph.initializer}
        local |= {s.values.name for s in graph.sparse_initializer}
        local |= {name for inner in graph.node for name in inner.output}
        used = [name for inner in graph.node for name in inner.input] + [v.name for v in graph.output]
        found.update((name, None) for name in used if name and name not in local)
        for inner in graph.node:
            for _, body in subgraphs(inner):
                visit(body, local)

    for _, graph in subgraphs(node):
        visit(graph, frozenset())
    return tuple(found)


def strip_notes(node: onnx.NodeProto) -> None:
    """Remove doc strings and metadata of the node and its bodies, in place."""
    for inner, _ in walk([node]):
        inner.ClearField("doc_string")
        inner.ClearField("metadata_props")
        for _, graph in subgraphs(inner):
            graph.ClearField("doc_string")
            graph.ClearField("metadata_props")


def constant_names(nodes: Iterable[NodeRecord], weights: Iterable[str]) -> frozenset[str]:
    """Tensors that depend on weights and constants alone: a cut there must stay constant."""
    known = set(weights)
    for record in nodes:
        if record.deterministic and all(name in known for name in record.reads):
            known.update(filter(None, record.outputs))
    return frozenset(known)


def encode_node(node: onnx.NodeProto) -> tuple[bytes, bytes]:
    """The node as a graph field, and the same without notes."""
    encoded = wire.field(wire.GRAPH_NODE, node.SerializeToString())
    bare = onnx.NodeProto()
    bare.CopyFrom(node)
    strip_notes(bare)
    return encoded, wire.field(wire.GRAPH_NODE, bare.SerializeToString())
