"""The value of every tensor of a TensorFlow graph, as far as it can be had (child side)."""

from __future__ import annotations

from typing import Any

import numpy as np

from reducer.worker.tf_ladder import as_array

UNCUTTABLE = ("resource", "variant")


def recordable(tensor: Any) -> bool:
    return tensor.dtype.name.removesuffix("_ref") not in UNCUTTABLE


def recorded(session: Any, tensors: list[Any], feeds: dict[str, Any], dead: list[Any]) -> dict[str, Any]:
    """All values in one run; where that fails, halves apart until the tensors that cannot be had are left out: those
    go into `dead`. A tensor that a second run gives another value (random numbers) is left out, too."""
    import tensorflow as tf

    if not tensors:
        return {}
    try:
        first, second = session.run(tensors, feeds), session.run(tensors, feeds)
    except (tf.errors.OpError, ValueError, TypeError):
        if len(tensors) == 1:
            dead.append(tensors[0])
            return {}
        middle = len(tensors) // 2
        halves = (tensors[:middle], tensors[middle:])
        return {name: value for half in halves for name, value in recorded(session, half, feeds, dead).items()}
    both = zip(tensors, map(as_array, first), map(as_array, second), strict=True)
    return {t.name: a for t, a, b in both if _same(a, b)}


def _same(a: Any, b: Any) -> bool:
    if a.shape != b.shape:
        return False
    if a.dtype.kind in "OUS":
        return bool((a == b).all())
    return bool(((a == b) | ((a != a) & (b != b))).all())


def stand_in(tensor: Any) -> Any:
    """Zeros (empty strings) of the static shape, unknown dims as 1."""
    shape = [1 if d is None else d for d in tensor.shape.as_list()]
    if tensor.dtype.name == "string":
        return np.full(shape, "", dtype=object)
    return np.zeros(shape, tensor.dtype.as_numpy_dtype)
