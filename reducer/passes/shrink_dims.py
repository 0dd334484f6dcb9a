"""Every dim downwards: all to 1 at once, then each size that occurs, then each axis alone.

Dims of equal size shrink together, in inputs, weights and feeds: that is what keeps a graph consistent without
knowing its operators. Shapes of everything else are inferred anew. Numbers are cut, never made up: index tensors
that were legal are clipped to the new length, so that no candidate points out of bounds by our doing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx

from reducer.drafts import Draft, DraftEdit, Slot, dims_of, readable, set_dims
from reducer.errors import EditConflict
from reducer.passes.base import ReductionPass, Stage
from reducer.programs.fed import Array
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_size import is_small

Target = Callable[[str, int, int], int]
_INDEX_INPUTS = ("indices", "Indices", "ind", "index")
# Operators whose indices point into one axis, the first by default.
_BY_AXIS = ("Gather", "GatherElements", "ScatterElements", "Scatter")
# Attributes that hold positions or types, never sizes.
_NO_SIZES = ("axis", "axes", "perm", "to", "dtype", "layout")
MOST_SIZES = 12
MOST_NUMBERS = 16


@dataclass(frozen=True)
class ShrinkDims(DraftEdit):
    """Dims of size `old` (None: all above `new`) become `new`, everywhere or on one axis of one tensor. With
    `numbers`, the same integers in small constants and attributes follow: they may be sizes that are written down."""

    new: int
    old: int | None = None
    name: str = ""
    axis: int = -1
    numbers: bool = False

    def change(self, draft: Draft) -> None:
        changed = _resize(draft, self._target)
        if not changed:
            raise EditConflict("no such dim")
        if self.numbers:
            _renumber(draft, self.old, self.new)
        draft.forget_shapes()

    def _target(self, name: str, axis: int, size: int) -> int:
        if self.name and (name != self.name or axis != self.axis):
            return size
        wanted = size > self.new if self.old is None else size == self.old
        return self.new if wanted and size > self.new else size

    def __str__(self) -> str:
        what = f"axis {self.axis} of {self.name}" if self.name else "every dim"
        return f"{what}: {'' if self.old is None else f'{self.old} -> '}{self.new}"


def _resize(draft: Draft, target: Target) -> bool:
    """Cut tensors and declare smaller inputs; whether anything changed."""
    changed = False
    lengths: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
    initial = {tensor.name for tensor in draft.model.graph.initializer}
    for slot, array in readable(draft, lambda slot, _: not slot.attribute and slot.graph <= 0):
        dims = tuple(target(slot.name, axis, size) for axis, size in enumerate(array.shape))
        lengths[slot.name] = (array.shape, dims)
        if dims != array.shape:
            draft.put(slot, array[tuple(slice(0, dim) for dim in dims)])
            changed = True
    for value in draft.model.graph.input:
        declared = dims_of(value)
        if declared is None:
            continue
        new = [target(value.name, axis, d) if isinstance(d, int) else d for axis, d in enumerate(declared)]
        if new != declared:
            set_dims(value, new)
            changed = changed or value.name not in initial
        lengths.setdefault(value.name, (_fixed(declared), _fixed(new)))
    if changed:
        _clip_indices(draft, lengths)
    return changed


def _fixed(dims: Sequence[object]) -> tuple[int, ...]:
    return tuple(dim if isinstance(dim, int) else 2 for dim in dims)


def _clip_indices(draft: Draft, lengths: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]) -> None:
    """Indices into a tensor that got shorter stay legal if they were."""
    for node in draft.nodes():
        try:
            formals = onnx.defs.get_schema(node.op_type, draft.opset(node.domain) or 1, node.domain).inputs
        except onnx.defs.SchemaError:
            continue
        data = lengths.get(node.input[0]) if node.input else None
        if data is None or data[0] == data[1]:
            continue
        for formal, name in zip(formals, node.input, strict=False):
            if formal.name in _INDEX_INPUTS:
                _clip(draft, name, _length(node, data[0]), _length(node, data[1]))


def _length(node: onnx.NodeProto, dims: tuple[int, ...]) -> int:
    """The length of the axis that the node's indices point into; the shortest where it points into several."""
    axis = next((a.i for a in node.attribute if a.name == "axis"), 0 if node.op_type in _BY_AXIS else None)
    if axis is not None and -len(dims) <= axis < len(dims):
        return dims[axis]
    return min(dims, default=1)


def _clip(draft: Draft, name: str, before: int, after: int) -> None:
    for slot in (Slot(-1, name), Slot(0, name)):
        try:
            array = draft.array(slot)
        except EditConflict:
            continue
        legal = array.dtype.kind in "iu" and bool(((array < before) & (array >= -before)).all())
        if legal and after > 0:
            draft.put(slot, np.clip(array, -after, after - 1).astype(array.dtype))


def _renumber(draft: Draft, old: int | None, new: int) -> None:
    """Sizes that are written down as numbers: in attributes and in small integer tensors."""

    def small(_: Slot, array: Array) -> bool:
        return array.dtype.kind in "iu" and array.size <= MOST_NUMBERS

    for slot, array in readable(draft, small):
        stale = array > new if old is None else array == old
        if bool(stale.any()):
            draft.put(slot, np.where(stale, new, array).astype(array.dtype))
    for node in draft.nodes():
        for attribute in node.attribute:
            if attribute.name in _NO_SIZES:
                continue
            for index, number in enumerate(attribute.ints):
                if number == old or (old is None and number > new):
                    attribute.ints[index] = new
            if attribute.type == onnx.AttributeProto.INT and attribute.i == old:
                attribute.i = new


class ShrinkDimsPass(ReductionPass[OnnxProgram]):
    """Proposes from the boldest to the finest."""

    name: ClassVar[str] = "shrink dims"
    stage: ClassVar[Stage] = Stage.SIMPLIFY
    rank: ClassVar[int] = 40
    patience: ClassVar[int] = 40
    changes_values: ClassVar[bool] = True
    changes_numbers: ClassVar[bool] = True

    def propose(self, program: OnnxProgram) -> Iterable[ShrinkDims]:
        if not is_small(program):
            return []
        axes = _axes(Draft.of(program))
        sizes = sorted({size for _, _, size in axes if size > 1}, reverse=True)[:MOST_SIZES]
        if not sizes:
            return []
        edits = [ShrinkDims(new, numbers=numbers) for new in (1, 2, 3) for numbers in (False, True)]
        for size in sizes:
            for new in _steps(size):
                edits += [ShrinkDims(new, size), ShrinkDims(new, size, numbers=True)]
        for name, axis, size in axes:
            edits += [ShrinkDims(new, size, name, axis) for new in _steps(size)[:2]]
        return edits


def _axes(draft: Draft) -> list[tuple[str, int, int]]:
    """(tensor, axis, size) of every dim that could be smaller."""
    found: dict[tuple[str, int], int] = {}
    for slot, array in readable(draft, lambda slot, _: not slot.attribute and slot.graph <= 0):
        found.update({(slot.name, axis): size for axis, size in enumerate(array.shape)})
    for value in draft.model.graph.input:
        for axis, dim in enumerate(dims_of(value) or []):
            if isinstance(dim, int):
                found[value.name, axis] = dim
    return [(name, axis, size) for (name, axis), size in found.items() if size > 1]


def _steps(size: int) -> list[int]:
    """1, 2, 3, half, one less: what a dim may become, smallest first."""
    return sorted({new for new in (1, 2, 3, size // 2, size - 1) if 0 < new < size})
