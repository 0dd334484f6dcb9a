"""The main graph of a TFLite model as a table for the parent, with the value of every tensor (child side)."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reducer.values import append_values, dtype_named
from reducer.worker.tf_inputs import made
from reducer.worker.tf_ladder import as_array
from reducer.worker.tf_subject import Input
from reducer.worker.tflite_model import (
    ABSENT,
    called_subgraphs,
    declared_shape,
    dtype_of,
    feed_and_invoke,
    has_data,
    ids,
    load_model,
    op_type,
    opened,
    operator_name,
    own_name,
    runs,
    tensor_names,
)

# Only the shape of what comes in decides what comes out.
SHAPE_OPS = ("TFL_SHAPE", "TFL_RANK")


def table_of(path: str, feeds: Sequence[Any], store: Path) -> dict[str, Any]:
    """The main graph as tf_graph.table_of gives a GraphDef: its constants and inputs are nodes of their own.

    Raises Unreadable, ValueError, RuntimeError.
    """
    model = load_model(path)
    graph = model.subgraphs[0]
    names = tensor_names(graph)
    content = Path(path).read_bytes()
    values = recorded(content, len(graph.tensors), feeds) if runs(path) else seeded(model, feeds)
    refs = append_values(store, {names[i]: value for i, value in values.items()})
    inputs, read = set(ids(graph.inputs)), {i for o in graph.operators for i in ids(o.inputs)}
    constants = {i for i in read if has_data(model, graph.tensors[i]) and i in values and i not in inputs}
    edges = constants | inputs | {i for operator in graph.operators for i in ids(operator.outputs)}
    shaped: set[int] = set()

    def outputs(numbers: Sequence[int]) -> list[dict[str, Any]]:
        return [_tensor(graph, i, names[i], refs.get(names[i]), i in shaped) for i in numbers if i != ABSENT]

    nodes = [_node(names[i], "Const", (), outputs([i])) for i in sorted(constants)]
    nodes += [_node(names[i], "Placeholder", (), outputs([i])) for i in sorted(inputs)]
    for number, operator in enumerate(graph.operators):
        kind, reads = op_type(model, operator), [i for i in ids(operator.inputs) if i in edges]
        data = [i for i in reads if i not in constants]
        if kind in SHAPE_OPS or (data and all(i in shaped for i in data)):
            shaped.update(ids(operator.outputs))
        name = operator_name(names, operator, number)
        node = _node(name, kind, [names[i] for i in reads], outputs(ids(operator.outputs)))
        nodes.append({**node, "inner": _inner(model, operator, frozenset({0}))})
    return {"nodes": nodes, "constants": {names[i]: refs[names[i]].to_wire() for i in constants}}


def _inner(model: Any, operator: Any, seen: frozenset[int]) -> list[list[str]]:
    """[name, op type] of everything in the graphs that an operator runs, those that they run included."""
    found = []
    for called in [number for number in called_subgraphs(operator) if number not in seen]:
        graph = model.subgraphs[called]
        title, names = (graph.name or b"").decode("utf-8", "replace"), tensor_names(graph)
        for number, inner in enumerate(graph.operators or []):
            found.append([f"{title}/{operator_name(names, inner, number)}", op_type(model, inner)])
            found += _inner(model, inner, seen | {called})
    return found


def recorded(content: bytes, count: int, feeds: Sequence[Any]) -> dict[int, Any]:
    """The value of every tensor that can be had, by its number; one that a second run gives otherwise is left out."""
    both: list[dict[int, Any]] = []
    for _ in range(2):
        interpreter = opened(content, keep_all=True)  # a new one: variables keep what a run leaves in them
        feed_and_invoke(interpreter, feeds)
        both.append({i: value for i in range(count) if (value := _value(interpreter, i)) is not None})
    return {i: value for i, value in both[0].items() if i in both[1] and _same(value, both[1][i])}


def seeded(model: Any, feeds: Sequence[Any]) -> dict[int, Any]:
    """Values of a model that nothing here can run: constants as they are, of the rest what the types allow."""
    graph, found = model.subgraphs[0], {}
    for number, tensor in enumerate(graph.tensors):
        kind, shape = dtype_of(tensor), declared_shape(tensor)
        with contextlib.suppress(TypeError, ValueError, AttributeError):  # no type of numpy's, or no such shape
            if has_data(model, tensor):
                data = np.frombuffer(bytes(model.buffers[tensor.buffer].data), dtype_named(kind))
                found[number] = data.reshape(ids(tensor.shape))
            elif not tensor.isVariable:
                found[number] = made(Input(own_name(tensor), kind, shape), 0, {})
    return {**found, **dict(zip(ids(graph.inputs), feeds, strict=True))}


def _value(interpreter: Any, number: int) -> Any:
    """A copy; None of what has no value: resources, variables, tensors that nobody computes."""
    try:
        return as_array(np.array(interpreter.get_tensor(number)))
    except (ValueError, RuntimeError):
        return None


def _same(a: Any, b: Any) -> bool:
    return a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")


def _node(name: str, kind: str, reads: Sequence[str], outputs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "op": kind, "inner": [], "inputs": list(reads), "outputs": outputs}


def _tensor(graph: Any, number: int, name: str, ref: Any, by_shape: bool) -> dict[str, Any]:
    shape = list(declared_shape(graph.tensors[number]))
    actual = list(ref.summary[1] or ()) if ref is not None else shape
    # A shape that the run contradicts, as [] does of anything, was not known when the file was written.
    fits = len(shape) == len(actual) and all(d in (None, n) for d, n in zip(shape, actual, strict=True))
    return {
        "name": name,
        "dtype": ref.summary[0] if ref is not None else "",
        "shape": shape if fits else [None] * len(actual),
        "value": ref.to_wire() if ref is not None else None,
        "by_shape": by_shape,
    }
