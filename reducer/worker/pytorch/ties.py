"""Ties: two right answers to "which one is the largest" are no difference (child side; torch.md section 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reducer.worker.pytorch.graph import is_getitem, root_of

# Operators whose only output is an index; those with several name it "indices" in their schema.
ARG = ("argmax", "argmin", "argsort")


def is_tie(module: Any, values: Mapping[str, Any], outputs: Sequence[Any]) -> bool:
    """Whether every output that differs is an index that picks an equal value.

    `values` are torch's by node name, `outputs` the runtime's, in the order of the module's outputs.
    """
    import numpy as np

    leaving = next(node for node in reversed(module.graph.nodes) if node.op == "output").args[0]
    excused = False
    for node, made in zip(leaving, outputs, strict=True):
        right = values[node.name].numpy() if not values[node.name].is_complex() else None
        if right is None or right.shape != np.shape(made):
            return False
        if np.array_equal(right, made):
            continue
        if _is_index(node) and _picks_equal(node, values, made):
            excused = True
        elif right.dtype.kind != "f" or not np.allclose(right, made, rtol=1e-3, atol=1e-3, equal_nan=True):
            return False
    return excused


def _is_index(node: Any) -> bool:
    source = root_of(node)
    schema = getattr(source.target, "_schema", None)
    if schema is None:
        return False
    if is_getitem(node):
        position = node.args[1]
        return position < len(schema.returns) and schema.returns[position].name in ("indices", "indexes")
    return schema.name.rpartition("::")[2] in ARG


def _picks_equal(node: Any, values: Mapping[str, Any], made: Any) -> bool:
    import torch

    source = root_of(node)
    data = values.get(source.args[0].name) if hasattr(source.args[0], "name") else None
    if data is None:
        return False
    names = [argument.name for argument in source.target._schema.arguments]
    given = {**dict(zip(names, source.args, strict=False)), **source.kwargs}
    dim, right, other = given.get("dim", -1), values[node.name], torch.from_numpy(made.copy())
    if dim is None:
        data, right, other, dim = data.flatten(), right.reshape(-1), other.reshape(-1), 0
    if right.dim() < data.dim():
        right, other = right.unsqueeze(dim), other.unsqueeze(dim)
    try:
        return bool(torch.equal(torch.gather(data, dim, right), torch.gather(data, dim, other)))
    except (RuntimeError, IndexError):
        return False
