"""Lifting: the body of an If, Loop or Scan, or the functions that are called, as top-level nodes.

What stands at the top level is reduced node by node like everything else. A lifted body sees what the first
iteration sees: outer values as they are, iteration 0, the first slice of every scanned input. When the failure
does not survive that, the body stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper, numpy_helper

from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_source import NodeRecord, captured_names, rename_reads, subgraphs
from reducer.programs.onnx_tensors import read_type
from reducer.values import Value

INLINE = "reducer.worker.knowledge:inline_functions"
ValueOf = Callable[[str], Value]


@dataclass
class Lifted:
    """A model in which one body stands at the top level, with the values that its new inputs have."""

    what: str
    model: onnx.ModelProto
    values: dict[str, Value] = field(default_factory=dict)


def lifts(program: OnnxProgram, value_of: ValueOf) -> Iterator[Lifted]:
    """One lifted model per body of each kept node; `value_of` gives a recorded value or None."""
    for record in program.records:
        if not record.body:
            continue
        for name, _ in subgraphs(record.proto()):
            lifted = _lift(program, record, name, value_of)
            if lifted is not None:
                yield lifted


def has_calls(program: OnnxProgram) -> bool:
    """Whether a kept node calls a model-local function."""
    return any(record.calls for record in program.records)


def _lift(program: OnnxProgram, record: NodeRecord, attribute: str, value_of: ValueOf) -> Lifted | None:
    model = onnx.ModelProto.FromString(program.model_bytes())
    graph = model.graph
    position = next(i for i, node in enumerate(graph.node) if node.name == record.name)
    node = graph.node[position]
    body = next((g for name, g in subgraphs(node) if name == attribute), None)
    if body is None:
        return None
    lifted = Lifted(f"{record.name}.{attribute}", model)
    if not _bind_inputs(program, node, body, lifted, value_of):
        return None
    inner = list(body.node)
    made = {name for n in inner for name in n.output if name}
    outputs = [value for value in body.output if value.name in made]
    graph.initializer.extend(body.initializer)
    graph.sparse_initializer.extend(body.sparse_initializer)
    graph.value_info.extend(body.value_info)
    behind = _behind(graph, position)
    kept = [n for i, n in enumerate(graph.node) if i not in behind]
    copies = [_copy(n) for n in (*kept, *inner)]
    still = {name for n in copies for name in n.output if name}
    shown = [value for value in graph.output if value.name in still and value.name not in made]
    shown_copies = [_copy_value(value) for value in (*shown, *outputs)]
    del graph.node[:]
    graph.node.extend(copies)
    del graph.output[:]
    graph.output.extend(shown_copies)
    return lifted if outputs else None


def _bind_inputs(
    program: OnnxProgram, node: onnx.NodeProto, body: onnx.GraphProto, lifted: Lifted, value_of: ValueOf
) -> bool:
    """Give every input of the body an outer tensor, a constant, or a new graph input. False: cannot be done."""
    names = [value.name for value in body.input]
    if node.op_type == "If" and not names:
        return True
    if node.op_type == "Loop" and len(names) == len(node.input):
        body.initializer.append(_as_declared(np.array(0, np.int64), body.input[0]))
        body.initializer.append(_as_declared(np.array(True), body.input[1]))
        return _rename(body, dict(zip(names[2:], node.input[2:], strict=True)))
    if node.op_type == "Scan" and len(names) == len(node.input):
        count = next((a.i for a in node.attribute if a.name == "num_scan_inputs"), 0)
        states = len(names) - count
        for index in range(states, len(names)):
            _slice_input(program, (node, index - states), (node.input[index], body.input[index]), lifted, value_of)
        return _rename(body, dict(zip(names[:states], node.input[:states], strict=True)))
    return False


def _as_declared(value: np.ndarray, declared: onnx.ValueInfoProto) -> onnx.TensorProto:
    """The number of the iteration or the condition: a scalar, or one element where the body says so."""
    shape = (1,) * len(declared.type.tensor_type.shape.dim)
    return numpy_helper.from_array(value.reshape(shape), declared.name)


def _slice_input(
    program: OnnxProgram,
    scan: tuple[onnx.NodeProto, int],
    pair: tuple[str, onnx.ValueInfoProto],
    lifted: Lifted,
    value_of: ValueOf,
) -> None:
    """The first slice of a scanned tensor as a new graph input."""
    (node, position), (outer, inner) = scan, pair
    axes = next((list(a.ints) for a in node.attribute if a.name == "scan_input_axes"), [])
    axis = axes[position] if position < len(axes) else 0
    value = value_of(outer)
    declared = onnx.ValueInfoProto()
    declared.CopyFrom(inner)
    wire = program.type_of(outer)
    if not declared.type.tensor_type.HasField("shape") and wire is not None:
        tensor = read_type(wire).tensor_type
        dims = [d.dim_value if d.HasField("dim_value") else (d.dim_param or None) for d in tensor.shape.dim]
        if dims:
            del dims[axis]
            declared = helper.make_tensor_value_info(inner.name, tensor.elem_type, dims)
    lifted.model.graph.input.append(declared)
    if value is not None and np.ndim(value) > 0 and np.shape(value)[axis] > 0:
        lifted.values[inner.name] = np.take(value, 0, axis=axis)


def _rename(body: onnx.GraphProto, table: dict[str, str]) -> bool:
    """Rename tensors of the body, its nested bodies included; False when an outer name is omitted."""
    if any(not name for name in table.values()):
        return False
    rename_reads(body.node, table)
    for value in body.output:
        value.name = table.get(value.name, value.name)
    return True


def _behind(graph: onnx.GraphProto, position: int) -> set[int]:
    """The node at `position` and everything that depends on it."""
    gone, spoiled = {position}, set(graph.node[position].output)
    for index in range(position + 1, len(graph.node)):
        if _reads_any(graph.node[index], spoiled):
            gone.add(index)
            spoiled.update(graph.node[index].output)
    return gone


def _reads_any(node: onnx.NodeProto, names: set[str]) -> bool:
    return any(name in names for name in (*node.input, *captured_names(node)) if name)


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy


def _copy_value(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    copy = onnx.ValueInfoProto()
    copy.CopyFrom(value)
    return copy
