"""The total order of small ONNX programs: what counts when two have equally many nodes (engine.md section 5).

(op types and their ranks, elements, how plain the numbers are, attributes, interface, rank of dtypes, symbolic dims,
header, outputs without type or shape, notes, bytes). Larger programs are compared by their nodes and edges alone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from reducer.programs.base import Size
from reducer.programs.fed import MOST_READ_BYTES, cost_of, fed_cost
from reducer.programs.onnx_source import WeightRecord, subgraphs, walk
from reducer.programs.onnx_tensors import elem_type_of, inline_weight, read_type

if TYPE_CHECKING:
    from reducer.programs.onnx import OnnxProgram

# Beyond that many nodes the details would cost more than they decide.
SMALL_NODES = 64
# Replacements of an operator by a simpler one of equal signature go down this scale.
SIMPLE_OPS = {"Identity": 0, "Add": 1}
_OTHER_OP = 2
_DTYPE_RANK: dict[int, int] = {
    TensorProto.FLOAT: 0,
    TensorProto.INT64: 1,
    TensorProto.INT32: 2,
    TensorProto.BOOL: 2,
}
_OTHER_DTYPE = 3
# An unknown or symbolic dim counts as that many elements.
_OPEN_DIM = 2


def is_small(program: OnnxProgram) -> bool:
    """Whether the details of `program` are counted and may be edited one by one."""
    return len(program.keep) <= SMALL_NODES and len(program.nodes()) <= SMALL_NODES


def detail(program: OnnxProgram) -> Size:
    """Everything behind the number of nodes."""
    face = program.interface
    edges = len(face.inputs) + len(face.outputs) + len(face.constants) + len(face.weights)
    untyped = sum(1 for name in face.outputs if program.type_of(name) is None)
    notes = int(not program.bare) + (len(program.source.value_info) if program.whole else 0)
    if not is_small(program):
        return (edges, untyped, notes)
    types = [ref.op_type for ref in program.nodes()]
    nodes = [_node_cost(record.bare) for record in program.records]
    tensors = [weight_cost(weight) for weight in program.weights()]
    tensors += [_value_cost(program, name) for name in face.constants]
    fed = {name: fed_cost(value) for name, value in program.fed.items() if name in face.inputs}
    typed = {name: _type_cost(kind) for name in face.inputs if (kind := program.type_of(name)) is not None}
    inputs = list(typed.values())
    # What a feed shows need not be guessed from a type with open dims.
    guessed = [cost[0] for name, cost in typed.items() if name not in fed]
    outputs = [_type_cost(kind) for name in face.outputs if (kind := program.type_of(name)) is not None]
    return (
        len(set(types)),
        sum(SIMPLE_OPS.get(op, _OTHER_OP) for op in types),
        sum(t[0] for t in tensors) + sum(f[0] for f in fed.values()) + sum(guessed) + sum(n[1] for n in nodes),
        sum(t[1] for t in tensors) + sum(f[1] for f in fed.values()) + sum(n[2] for n in nodes),
        sum(n[0] for n in nodes),
        edges,
        sum(t[2] for t in tensors) + sum(i[2] for i in inputs) + sum(n[3] for n in nodes),
        sum(i[1] for i in inputs),
        header_cost(program.source.bare_header if program.bare else program.source.header),
        untyped,
        sum(1 for o in outputs if o[3]),
        notes,
        sum(len(record.bare) for record in program.records) + sum(i[3] for i in inputs),
    )


@lru_cache(maxsize=4096)
def _node_cost(encoded: bytes) -> tuple[int, int, int, int]:
    """(attributes and their items, elements, cost and dtype rank of tensors inside) of a node with its bodies."""
    graph = onnx.GraphProto.FromString(encoded)
    attributes = arguments = elements = cost = rank = 0
    for node, _ in walk(graph.node):
        arguments += sum(1 for name in (*node.input, *node.output) if name)
        for attribute in node.attribute:
            attributes += 1 + len(attribute.ints) + len(attribute.floats) + len(attribute.strings)
            for tensor in [attribute.t] if attribute.HasField("t") else []:
                size, price, order = tensor_cost(tensor)
                elements, cost, rank = elements + size, cost + price, rank + order
        for _, body in subgraphs(node):
            attributes += len(body.input) + len(body.output)
            for tensor in body.initializer:
                size, price, order = tensor_cost(tensor)
                elements, cost, rank = elements + size, cost + price, rank + order
    return 2 * attributes + arguments, elements, cost, rank


def tensor_cost(tensor: TensorProto) -> tuple[int, int, int]:
    """(elements, cost of the numbers, dtype rank) of a tensor whose numbers are inside."""
    size = int(np.prod(tensor.dims, dtype=np.int64))
    rank = _DTYPE_RANK.get(tensor.data_type, _OTHER_DTYPE)
    try:
        return size, cost_of(np.asarray(numpy_helper.to_array(tensor))), rank
    except (TypeError, ValueError, KeyError):
        return size, size, rank  # a hostile tensor: its numbers do not fit its dims


@lru_cache(maxsize=512)
def weight_cost(weight: WeightRecord) -> tuple[int, int, int]:
    """The same of an initializer, wherever its numbers lie; too big ones are not read."""
    if weight.nbytes > MOST_READ_BYTES:
        size = int(np.prod(weight.dims, dtype=np.int64))
        return size, 40 + size, _DTYPE_RANK.get(weight.elem_type, _OTHER_DTYPE)
    graph = onnx.GraphProto.FromString(inline_weight(weight))
    if graph.initializer:
        return tensor_cost(graph.initializer[0])
    return weight.nbytes, weight.nbytes, _OTHER_DTYPE


def _value_cost(program: OnnxProgram, name: str) -> tuple[int, int, int]:
    ref = program.source.values[name]
    kind, shape = ref.summary
    rank = _DTYPE_RANK.get(elem_type_of(kind) or 0, _OTHER_DTYPE)
    return int(np.prod(shape or (), dtype=np.int64)), 40, rank


@lru_cache(maxsize=2048)
def _type_cost(wire: bytes) -> tuple[int, int, int, int]:
    """(elements, symbolic dims, dtype rank, 1 when the shape is unknown) of a serialized TypeProto."""
    kind = read_type(wire)
    if not kind.HasField("tensor_type"):
        return 1, 0, _OTHER_DTYPE, 0
    tensor = kind.tensor_type
    rank = _DTYPE_RANK.get(tensor.elem_type, _OTHER_DTYPE)
    if not tensor.HasField("shape"):
        return _OPEN_DIM, 1, rank, 1
    dims = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
    elements = int(np.prod([max(0, _OPEN_DIM if d is None else d) for d in dims], dtype=object))
    # Each axis counts a little, so that a lower rank is smaller when all dims are 1.
    return elements + len(dims), sum(1 for d in dims if d is None), rank, 0


@lru_cache(maxsize=256)
def header_cost(header: bytes) -> int:
    """Imports, their versions and the IR version: fewer and lower is smaller."""
    model = onnx.ModelProto.FromString(header)
    return int(sum(100 + entry.version for entry in model.opset_import) + model.ir_version)
