"""Bypass nodes inside If, Loop and Scan bodies: whoever read a node's output reads one of its inputs instead.

For cores that need their body, such as a loop that never ends; what can stand alone is lifted out before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import onnx

from reducer.errors import EditConflict
from reducer.passes.base import Edit, ReductionPass, Stage
from reducer.programs.base import NodeId
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_source import rebuilt, rename_reads, subgraphs, walk

MOST_INNER_NODES = 64


@dataclass(frozen=True)
class BypassInner(Edit[OnnxProgram]):
    """Without the body node `inner` of a kept node: its first output becomes `stand_in` (None: nobody reads it)."""

    node: NodeId
    inner: str
    stand_in: str | None

    def apply(self, program: OnnxProgram) -> OnnxProgram:
        if self.node not in program.keep:
            raise EditConflict("the node is gone")
        record = program.record(self.node)
        proto = record.proto()
        for _, graph in bodies(proto):
            for position, node in enumerate(graph.node):
                if node.name == self.inner:
                    _bypass(graph, position, self.stand_in)
                    return program.patched(rebuilt(record, proto))
        raise EditConflict("the body node is gone")


class ShrinkBody(ReductionPass[OnnxProgram]):
    """Every node of every body, last first, with each of its inputs as stand-in."""

    name: ClassVar[str] = "bypass nodes in bodies"
    stage: ClassVar[Stage] = Stage.INSIDE
    changes_values: ClassVar[bool] = True

    def propose(self, program: OnnxProgram) -> Iterable[BypassInner]:
        edits: list[BypassInner] = []
        for node in program.units():
            record = program.record(node)
            if not 0 < len(record.body) <= MOST_INNER_NODES:
                continue
            for _, graph in bodies(record.proto()):
                for inner in reversed(graph.node):
                    stand_ins: list[str | None] = [name for name in dict.fromkeys(inner.input) if name]
                    if not any(name in _read(graph) for name in inner.output):
                        stand_ins = [None]
                    edits += [BypassInner(node, inner.name, name) for name in stand_ins]
        return edits


def bodies(node: onnx.NodeProto) -> Iterable[tuple[str, onnx.GraphProto]]:
    """All bodies below a node, innermost last."""
    for inner, _ in walk([node]):
        yield from subgraphs(inner)


def _read(graph: onnx.GraphProto) -> set[str]:
    """Names that something inside the body reads, its outputs included."""
    names = {value.name for value in graph.output}
    for node, _ in walk(graph.node):
        names.update(node.input)
        for _, body in subgraphs(node):
            names.update(value.name for value in body.output)
    return names


def _bypass(graph: onnx.GraphProto, position: int, stand_in: str | None) -> None:
    node = graph.node[position]
    gone = set(node.output) - {""}
    if stand_in is not None and (len(gone) > 1 or stand_in not in node.input):
        raise EditConflict("only nodes with one output can be bypassed")
    del graph.node[position]
    if stand_in is None:
        return
    table = dict.fromkeys(gone, stand_in)
    rename_reads(graph.node, table)
    for value in graph.output:
        value.name = table.get(value.name, value.name)
