"""Fewer numbers in a TensorFlow graph: shorter axes, concrete shapes, plainer values. TensorFlow computes the right
outputs anew for each such candidate; while nodes are cut nothing of this is touched, since data is part of a bug."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from reducer.errors import EditConflict
from reducer.passes.base import Edit, ReductionPass, Stage
from reducer.programs.graphdef import MOST_READ, GraphProgram, literal_length
from reducer.values import ValueRef, append_values

# Beyond that many kept nodes numbers are not worth the calls.
MOST_NODES = 12
# A value that big is not read into the parent.
MOST_ELEMENTS = 2_000_000
DIGITS = (0, 2)
# Values of so many elements or letters are left as they are.
SHORT_ENOUGH = 16
FEW_LETTERS = 12
MOST_AXES = 4


def _changed(program: GraphProgram, values: Mapping[str, Any]) -> GraphProgram:
    """The program with other numbers; they lie beside the recorded ones."""
    first = next(iter(program.all_values.values()))
    store = Path(first.path).with_name("changed.bin")
    refs = append_values(store, values)
    return replace(program, values={**program.values, **refs})


@dataclass(frozen=True)
class ShortenAxes(Edit[GraphProgram]):
    """Axes of length `old` get the first `new` places: those named, or all of that length when `axes` is empty.

    With `numbers`, small integer vectors that steer shapes get the new length where they hold the old one.
    """

    old: int
    new: int
    axes: tuple[tuple[str, int], ...] = ()
    numbers: bool = False

    def apply(self, program: GraphProgram) -> GraphProgram:
        changed = {}
        for name, ref in program.all_values.items():
            shape = ref.summary[1] or ()
            wanted = [a for a, n in enumerate(shape) if n == self.old and (not self.axes or (name, a) in self.axes)]
            steers = self.numbers and _steers(ref)
            if (not wanted and not steers) or int(np.prod(shape)) > MOST_ELEMENTS:
                continue
            value = np.asarray(ref.read())
            for axis in wanted:
                value = value[(slice(None),) * axis + (slice(0, self.new),)]
            if steers:
                value = np.where(value == self.old, np.array(self.new, value.dtype), value)
            changed[name] = np.ascontiguousarray(value).reshape(value.shape)
        if not any(changed[n].shape != (program.all_values[n].summary[1] or ()) for n in changed):
            raise EditConflict("no axis has that length")
        if not all(_declares(program, name, value.shape) for name, value in changed.items()):
            raise EditConflict("a fixed dim would change")
        return _changed(program, changed)


def _steers(ref: ValueRef) -> bool:
    kind, shape = ref.summary
    return kind in ("int32", "int64") and shape is not None and len(shape) <= 1 and int(np.prod(shape)) <= 8


def _declares(program: GraphProgram, name: str, shape: tuple[int, ...]) -> bool:
    """Whether a value of that shape may be fed: any may, the declared shape follows it."""
    return len(shape) == len(program.all_values[name].summary[1] or ())


class ShrinkAxes(ReductionPass[GraphProgram]):
    """Every length that occurs, to 1 and by halves: in all tensors together, then per axis."""

    name: ClassVar[str] = "shorten axes of TensorFlow inputs"
    stage: ClassVar[Stage] = Stage.SIMPLIFY
    rank: ClassVar[int] = 10
    kinds: ClassVar[tuple[str, ...]] = ("tensorflow",)

    def propose(self, program: GraphProgram) -> Iterable[ShortenAxes]:
        if len(program.keep) > MOST_NODES:
            return []
        places: dict[int, list[tuple[str, int]]] = {}
        for name, ref in program.all_values.items():
            for axis, length in enumerate(ref.summary[1] or ()):
                if length > 1:
                    places.setdefault(length, []).append((name, axis))
        # What is short enough to read stays as it is: every length costs calls.
        long = {n for n, ref in program.all_values.items() if int(np.prod(ref.summary[1] or ())) > SHORT_ENOUGH}
        edits = []
        for length in sorted(places, reverse=True):
            if not any(name in long for name, _ in places[length]):
                continue
            steered = any(_steers(ref) and length in np.asarray(ref.read()) for ref in program.all_values.values())
            for new in (n for n in dict.fromkeys((1, 2, length // 2)) if 0 < n < length):
                edits.append(ShortenAxes(length, new))
                if steered:
                    edits.append(ShortenAxes(length, new, numbers=True))
                if 1 < len(places[length]) <= MOST_AXES and new != 2:
                    edits += [ShortenAxes(length, new, (place,)) for place in places[length]]
        return edits


@dataclass(frozen=True)
class PlainValue(Edit[GraphProgram]):
    """Other numbers in one tensor: `how` is zeros, ones, or a number of digits after the point."""

    tensor: str
    how: str

    def apply(self, program: GraphProgram) -> GraphProgram:
        ref = program.all_values.get(self.tensor)
        if ref is None or int(np.prod(ref.summary[1] or ())) > MOST_READ * 8:
            raise EditConflict("no such tensor, or too big a one")
        value = np.asarray(ref.read())
        if value.dtype.kind not in "fiub" or not value.size:
            raise EditConflict("these are no numbers")
        plain = {"zeros": np.zeros_like, "ones": np.ones_like}.get(self.how)
        made = plain(value) if plain else np.round(value, int(self.how)).astype(value.dtype)
        if np.array_equal(made, value):
            raise EditConflict("it is so already")
        return _changed(program, {self.tensor: made})


class PlainValues(ReductionPass[GraphProgram]):
    """Zeros, ones, then fewer digits, per tensor; integers that steer shapes are left alone."""

    name: ClassVar[str] = "plainer values of TensorFlow inputs"
    stage: ClassVar[Stage] = Stage.SIMPLIFY
    rank: ClassVar[int] = 20
    kinds: ClassVar[tuple[str, ...]] = ("tensorflow",)

    def propose(self, program: GraphProgram) -> Iterable[PlainValue]:
        if len(program.keep) > MOST_NODES:
            return []
        edits = []
        for name, ref in program.all_values.items():
            if (_steers(ref) and name in program.constants) or literal_length(ref) <= FEW_LETTERS:
                continue
            edits += [PlainValue(name, how) for how in ("zeros", "ones", *map(str, DIGITS))]
        return edits


@dataclass(frozen=True)
class FixShape(Edit[GraphProgram]):
    """Declare the shape that is fed."""

    tensor: str

    def apply(self, program: GraphProgram) -> GraphProgram:
        if self.tensor not in program.inputs or self.tensor in program.fixed:
            raise EditConflict("no such input, or fixed already")
        return replace(program, fixed=program.fixed | {self.tensor})


class FixShapes(ReductionPass[GraphProgram]):
    """Concrete shapes instead of unknown dims, where the failure does not need those."""

    name: ClassVar[str] = "fix shapes of TensorFlow inputs"
    stage: ClassVar[Stage] = Stage.SIMPLIFY
    rank: ClassVar[int] = 30
    kinds: ClassVar[tuple[str, ...]] = ("tensorflow",)

    def propose(self, program: GraphProgram) -> Iterable[FixShape]:
        return [FixShape(name) for name in program.inputs if program.free_dims(name)]
