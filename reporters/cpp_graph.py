"""The plain graph that a model text states; None for anything that a C++ test would have to leave out.

The text is what the worker printed and parsed back; parsing it runs nothing of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reducer.finding import Feed
from reporters import cpp_literals as cpp

# Longer texts are no regression test, and deep ones no work for a recursive parser.
MOST_TEXT = 20_000
Declared = tuple[str, tuple[int, ...] | None]


@dataclass(frozen=True)
class PlainNode:
    """A node of the standard operator set; `attributes` are pairs of C++ literals."""

    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Graph:
    """Nodes, constants with their values, and what is declared of a value: dtype and static shape or None."""

    opset: int
    nodes: tuple[PlainNode, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, Feed]
    declared: Mapping[str, Declared]

    def names(self) -> list[str]:
        """Every value once, inputs first."""
        made = [name for node in self.nodes for name in node.outputs if name]
        return list(dict.fromkeys((*self.inputs, *self.constants, *made)))


def graph_of(text: str) -> Graph | None:
    """The graph, if it has standard operators alone and no bodies, functions or unusual tensors."""
    import onnx.parser

    if len(text) > MOST_TEXT:
        return None
    try:
        model = onnx.parser.parse_model(text)
    except Exception:  # noqa: BLE001 - the parser's own error type: such a text makes no test
        return None
    opsets = {o.domain or "ai.onnx": o.version for o in model.opset_import}
    nodes = [_node(node) for node in model.graph.node]
    constants = [_constant(tensor) for tensor in model.graph.initializer]
    inputs = tuple(value.name for value in model.graph.input)
    overridable = {tensor.name for tensor in model.graph.initializer} & set(inputs)
    odd = model.functions or model.graph.sparse_initializer or overridable or "ai.onnx" not in opsets
    if odd or not nodes:
        return None
    plain_nodes = tuple(node for node in nodes if node is not None)
    known = {feed.name: feed for feed in constants if feed is not None}
    graph = Graph(opsets["ai.onnx"], plain_nodes, inputs, tuple(value.name for value in model.graph.output), known,
                  _declarations(model.graph))  # fmt: skip
    whole = len(plain_nodes) == len(nodes) and len(known) == len(constants)
    return graph if whole and _closed(graph) else None


def _closed(graph: Graph) -> bool:
    """Whether every value comes from somewhere, and every output from a node: no input is handed straight out."""
    made = {name for node in graph.nodes for name in node.outputs}
    used = {name for node in graph.nodes for name in node.inputs if name}
    return used <= set(graph.names()) and set(graph.outputs) <= made


def _node(node: Any) -> PlainNode | None:
    from onnx import helper

    if node.domain not in ("", "ai.onnx") or not node.op_type.isidentifier():
        return None
    attributes = []
    for attribute in node.attribute:
        name, value = cpp.text(attribute.name), cpp.attribute(helper.get_attribute_value(attribute))
        if name is None or value is None:
            return None
        attributes.append((name, value))
    return PlainNode(node.op_type, tuple(node.input), tuple(node.output), tuple(attributes))


def _constant(tensor: Any) -> Feed | None:
    from onnx import TensorProto, numpy_helper

    if tensor.data_location == TensorProto.EXTERNAL:
        return None
    dtype = _dtype(tensor.data_type)
    if dtype not in cpp.TYPES or dtype == "string":
        return None
    array = numpy_helper.to_array(tensor)
    return Feed(tensor.name, dtype, tuple(array.shape), array.tolist()) if array.size <= cpp.MOST else None


def _declarations(graph: Any) -> dict[str, Declared]:
    found: dict[str, Declared] = {}
    for value in (*graph.value_info, *graph.output, *graph.input):
        kind = value.type.tensor_type
        if value.type.HasField("tensor_type"):
            static = kind.HasField("shape") and all(d.HasField("dim_value") for d in kind.shape.dim)
            found[value.name] = (_dtype(kind.elem_type), tuple(d.dim_value for d in kind.shape.dim) if static else None)
    return found


def _dtype(number: int) -> str:
    from onnx import TensorProto

    name = TensorProto.DataType.Name(number).lower() if number in TensorProto.DataType.values() else ""
    return {"float": "float32", "double": "float64"}.get(name, name)
