"""What a TensorFlow source is fed (child side): the user's inputs checked against its signature, else seeded ones."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from reducer.values import dtype_named
from reducer.worker.tf_convert import Captured
from reducer.worker.tf_subject import Input, Refused, Subject

# What an unknown dim becomes: 1 would hide broadcasting.
DEFAULT_DIM = 2


def feeds_of(subject: Subject, arguments: dict[str, Any]) -> list[Any]:
    """The user's inputs checked against the signature, else seeded values. Raises Refused."""
    given = subject.given
    if arguments.get("inputs"):
        try:
            with np.load(arguments["inputs"], allow_pickle=False) as archive:
                named = {name: archive[name] for name in archive.files}
        except (OSError, ValueError) as error:
            raise Refused(f"{arguments['inputs']} is not an .npz file of plain arrays: {error}") from error
        by_name = all(i.name in named for i in subject.inputs)
        given = [named[i.name] for i in subject.inputs] if by_name else list(named.values())
    if given is None:
        return [made(i, int(arguments.get("seed") or 0), arguments.get("dims") or {}) for i in subject.inputs]
    if len(given) != len(subject.inputs):
        names = ", ".join(i.name for i in subject.inputs)
        raise Refused(f"{len(given)} inputs are given, the model takes {len(subject.inputs)}: {names}")
    return [fitted(i, value) for i, value in zip(subject.inputs, given, strict=True)]


def fitted(wanted: Input, value: Any) -> Any:
    """The value if its dtype and shape fit. Raises Refused."""
    array = np.asarray(value)
    if wanted.dtype == "str":
        return array.astype(object)
    if array.dtype != dtype_named(wanted.dtype):
        raise Refused(f"input {wanted.name!r} takes {wanted.dtype}, not {array.dtype.name}")
    shape = wanted.shape
    if shape is not None and (
        len(shape) != array.ndim or any(d is not None and d != n for d, n in zip(shape, array.shape, strict=True))
    ):
        raise Refused(f"input {wanted.name!r} takes shape {list(shape)}, not {list(array.shape)}")
    return array


def made(wanted: Input, seed: int, dims: dict[str, int]) -> Any:
    """A seeded value: normal floats, small positive integers (legal as ids and sizes)."""
    digest = hashlib.sha256(f"{seed}\0{wanted.name}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    free = dims.get(wanted.name, DEFAULT_DIM)
    shape = tuple(free if d is None else d for d in (wanted.shape or ()))
    if wanted.dtype == "str":
        return rng.choice(np.array(["a", "bb", "ccc"], dtype=object), shape)
    dtype = dtype_named(wanted.dtype)
    if dtype.kind == "b":
        return np.asarray(rng.integers(0, 2, shape)).astype(dtype)
    if dtype.kind in "iu":
        return np.asarray(rng.integers(1, 3, shape)).astype(dtype)
    return np.asarray(rng.standard_normal(shape)).astype(dtype)


def in_order(
    seen: Captured, subject: Subject, feeds: list[Any], expected: list[Any]
) -> tuple[list[Input], tuple[list[Any], list[Any]]]:
    """Inputs with feeds, and outputs, in the order in which the entry point gave them to the core: a SavedModel's
    are in another order than its signature's. They are told apart by the names that they get in the ONNX model."""
    inputs, names = list(subject.inputs), seen.names()
    own = [i.name for i in inputs]
    if sorted(names[0]) == sorted(own) and names[0] != own:
        places = [own.index(name) for name in names[0]]
        inputs, feeds = [inputs[p] for p in places], [feeds[p] for p in places]
    given = subject.output_names
    if given and sorted(names[1]) == sorted(given):
        expected = [expected[given.index(name)] for name in names[1]]
    return inputs, (feeds, expected)
