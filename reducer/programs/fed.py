"""Feeds that are part of a program, and how simple a tensor's numbers are (step 7 of the data path).

A value that a formula makes (zeros, ones, a splat, a range, seeded normal numbers) need not be stored to be written
down: reports give the formula.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from reducer.values import Value, ValueRef, dtype_named, is_float

Array = np.ndarray[Any, Any]
# Patterns from the simplest on; the position is the cost of a tensor that follows it.
ZEROS, ONES, SPLAT, RANGE, NORMAL = "zeros", "ones", "splat", "range", "normal"
PATTERNS = (ZEROS, ONES, SPLAT, RANGE, NORMAL)
_STRING = "string"
# Tensors of more bytes are cut before anything else is done with them; they are never read as a whole.
MOST_READ_BYTES = 1 << 26


@dataclass(frozen=True)
class Fed:
    """The value of one graph input, as bytes in C order. Strings are JSON. `ref` stands for what is no tensor."""

    dtype: str
    shape: tuple[int, ...]
    raw: bytes
    ref: ValueRef | None = None

    @staticmethod
    def of(value: Value) -> Fed:
        """From an array of any dtype, 0-d stays 0-d."""
        array = np.asarray(value)
        if array.dtype.kind in "OUS":
            return Fed(_STRING, array.shape, json.dumps([str(item) for item in array.ravel()]).encode())
        return Fed(array.dtype.name, array.shape, array.tobytes())

    @staticmethod
    def recorded(ref: ValueRef) -> Fed:
        """From a stored value; sequences, maps and optionals, and what is too big to be held, stay where they are."""
        if ref.summary[1] is None or ref.length > MOST_READ_BYTES:
            return Fed(ref.summary[0], (), b"", ref)
        return Fed.of(ref.read())

    def value(self) -> Value:
        """The array, or the stored value of what is no tensor."""
        if self.ref is not None:
            return self.ref.read()
        if self.dtype == _STRING:
            return np.array(json.loads(self.raw), dtype=object).reshape(self.shape)
        return np.frombuffer(self.raw, dtype=dtype_named(self.dtype)).reshape(self.shape)

    @cached_property
    def digest(self) -> str:
        """A short text that is equal for equal feeds."""
        rest = repr((self.dtype, self.shape, self.ref)).encode()
        return hashlib.blake2b(self.raw + rest, digest_size=16).hexdigest()

    @property
    def is_tensor(self) -> bool:
        """Whether it can be cut, cast and replaced."""
        return self.ref is None


def patterned(pattern: str, dtype: np.dtype[Any], shape: tuple[int, ...], splat: Any = 0) -> Array:
    """The tensor that a pattern describes; `splat` is the value of SPLAT."""
    if dtype.kind in "OUS":
        return np.full(shape, "a" if pattern == ONES else "", dtype=object)
    count = int(np.prod(shape, dtype=np.int64))
    if pattern == SPLAT:
        return np.full(shape, splat).astype(dtype)
    if pattern == RANGE:
        return np.arange(count).reshape(shape).astype(dtype)
    if pattern == NORMAL:
        return np.random.default_rng(0).standard_normal(shape).astype(dtype)
    return np.full(shape, int(pattern == ONES)).astype(dtype)


def pattern_of(array: Array) -> str | None:
    """The simplest pattern that gives exactly this tensor; None when there is none, or when it is too big to look."""
    if array.size == 0:
        return ZEROS
    if array.nbytes > MOST_READ_BYTES:
        return None
    flat = array.ravel()
    first = flat[0]
    if array.dtype.kind in "OUS":
        return {"": ZEROS, "a": ONES}.get(str(first)) if all(item == first for item in flat) else None
    if bool((flat == first).all()):
        # -0.0 equals 0.0 but is another number.
        zero = first == 0 and not (is_float(array.dtype) and np.signbit(np.float64(first)))
        return ZEROS if zero else ONES if first == 1 else SPLAT
    candidates = [RANGE, NORMAL] if is_float(array.dtype) else [RANGE]
    head = flat[:64]  # both patterns start alike at any length: a big tensor is seldom made in full
    with np.errstate(all="ignore"):
        likely = [p for p in candidates if np.array_equal(patterned(p, array.dtype, head.shape), head)]
        return next((p for p in likely if np.array_equal(patterned(p, array.dtype, array.shape), array)), None)


def cost_of(array: Array) -> int:
    """How far a tensor is from a pattern: 0 for zeros, then the other patterns, then the longer literals."""
    pattern = pattern_of(array)
    if pattern is not None:
        digits = len(f"{array.ravel()[0]}") if pattern == SPLAT else 0
        return PATTERNS.index(pattern) + digits
    if array.nbytes > MOST_READ_BYTES:
        return 40 + int(array.size)
    if array.dtype.kind in "OUS":
        return 40 + sum(len(str(item)) + 1 for item in array.ravel())
    head = array.ravel()[:64]
    return 40 + int(np.count_nonzero(array)) + sum(len(f"{item}") for item in head)


@lru_cache(maxsize=2048)
def fed_cost(fed: Fed) -> tuple[int, int]:
    """(elements and axes, cost) of a feed. Axes count a little: a lower rank is smaller when all dims are 1."""
    if not fed.is_tensor:
        return 1, 0
    array = fed.value()
    return int(array.size) + array.ndim, cost_of(array)


def formula_of(array: Array) -> str | None:
    """Python code with numpy as np that makes exactly this tensor; None without a pattern or a dtype of numpy's own."""
    pattern = pattern_of(array)
    if pattern is None or array.dtype.isbuiltin != 1 or array.dtype.kind in "OUS":
        return None
    shape, dtype = repr(tuple(array.shape)), f'"{array.dtype.name}"'
    if pattern in (ZEROS, ONES):
        return f"np.{pattern}({shape}, {dtype})"
    if pattern == SPLAT:
        number = array.ravel()[0].item()
        return None if number != number or number in (np.inf, -np.inf) else f"np.full({shape}, {number!r}, {dtype})"
    if pattern == RANGE:
        return f"np.arange({array.size}).reshape({shape}).astype({dtype})"
    return f"np.random.default_rng(0).standard_normal({shape}).astype({dtype})"
