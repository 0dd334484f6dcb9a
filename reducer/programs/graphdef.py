"""A part of a frozen TensorFlow graph, as ids and edits: what the engine reduces (architecture.md section 6)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from reducer.errors import EditConflict
from reducer.evidence import GraphNode
from reducer.programs.base import CutMode, NodeId, NodeRef, Program, Size
from reducer.programs.graphdef_source import CONST, PLACEHOLDERS, GraphRecord, GraphSource, Tensor
from reducer.values import ValueRef

# Beyond that many elements a value is only counted, not read.
MOST_READ = 4096


@dataclass(frozen=True, eq=False)
class GraphProgram(Program):
    """Groups `keep` (by their first node) of `source`. `cuts` override what an edge becomes, `values` replace what
    is fed or constant, `fixed` are inputs that get their concrete shape, `muted` are outputs that are not asked for.
    `captured` are constants that the function captures instead of making them; `renamed`: what is written has names
    that tell nothing of the source.
    """

    # The tasks of the worker that know this kind of graph.
    tasks: ClassVar[str] = "reducer.worker.tf_candidates"
    # Those that record a graph's values, and that put what lies in a function in the place of its caller.
    record: ClassVar[str] = "reducer.worker.tf_tasks:record"
    lift: ClassVar[str] = "reducer.worker.tf_lift:lift"

    source: GraphSource
    keep: frozenset[NodeId]
    cuts: Mapping[str, CutMode] = field(default_factory=dict)
    values: Mapping[str, ValueRef] = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()
    muted: frozenset[str] = frozenset()
    captured: frozenset[str] = frozenset()
    renamed: bool = False

    @staticmethod
    def whole(source: GraphSource) -> GraphProgram:
        """All of it."""
        return GraphProgram(source, frozenset(source.groups))

    # --- what the engine asks --------------------------------------------------------------------------------
    @cached_property
    def records(self) -> tuple[GraphRecord, ...]:
        """The kept nodes that are no leaves, in order."""
        ids = sorted(node for group in self.keep for node in self.source.groups[group])
        return tuple(self.source.records[node] for node in ids)

    def nodes(self) -> Sequence[NodeRef]:
        return [ref for record in self.records for ref in (record.ref, *record.inner)]

    def units(self) -> Sequence[NodeId]:
        return sorted(self.keep)

    def neighbours(self, node: NodeId) -> Sequence[NodeId]:
        leader = {member: group for group in self.keep for member in self.source.groups[group]}
        near: set[NodeId] = set()
        for member in self.source.groups[node]:
            record = self.source.records[member]
            near.update(self.source.producer[name].ref.id for name in record.reads)
            for tensor in record.outputs:
                near.update(self.source.readers.get(tensor.name, ()))
        return sorted({leader[n] for n in near if n in leader} - {node})

    def restrict(self, keep: frozenset[NodeId], cuts: Mapping[str, CutMode]) -> GraphProgram:
        if not keep <= self.keep or not keep:
            raise EditConflict("these nodes are not all there")
        return replace(self, keep=keep, cuts={**self.cuts, **cuts})

    def size(self) -> Size:
        nodes = self.nodes()
        types = len({ref.op_type for ref in nodes})
        free = sum(self.free_dims(name) for name in self.inputs)
        elements = sum(_elements(ref) for ref in self.all_values.values())
        letters = sum(literal_length(ref) for ref in self.all_values.values())
        return (len(nodes), types, len(self.outputs), elements, letters, free + len(self.captures))

    def key(self) -> str:
        parts = [
            sorted(self.keep),
            sorted((name, self.mode(name).value) for name in self.boundary),
            sorted((name, ref.offset, ref.path) for name, ref in self.values.items() if name in self.all_values),
            sorted(self.fixed & set(self.inputs)),
            self.outputs,
            self.renamed,
            self.captures,
        ]
        return hashlib.sha256(repr((self.source.path, parts)).encode()).hexdigest()[:20]

    @property
    def drawing(self) -> tuple[GraphNode, ...]:
        """All nodes of the source but leaves, those marked that are left; without places in a graph that was lifted."""
        left = {record.ref.id for record in self.records}
        nodes = [record for record in self.source.records if not record.is_leaf]
        return tuple(
            GraphNode(
                record.name,
                record.ref.op_type,
                record.reads,
                tuple(tensor.name for tensor in record.outputs),
                record.ref.id in left,
                -1 if self.source.lifted else place,
            )
            for place, record in enumerate(nodes)
        )

    # --- edges -----------------------------------------------------------------------------------------------
    @cached_property
    def _made(self) -> frozenset[str]:
        return frozenset(t.name for record in self.records for t in record.outputs)

    @cached_property
    def boundary(self) -> tuple[str, ...]:
        """Tensors that kept nodes read and no kept node makes, constants apart: the edges that are cut."""
        read = dict.fromkeys(name for record in self.records for name in record.reads)
        names = [n for n in read if n not in self._made and self.source.producer[n].ref.op_type != CONST]
        missing = [n for n in names if not self.source.tensors[n].can_cut]
        if missing:
            raise EditConflict(f"no value is known of {missing[0]}")
        return tuple(names)

    @cached_property
    def constants(self) -> tuple[str, ...]:
        """Const tensors that kept nodes read."""
        read = dict.fromkeys(name for record in self.records for name in record.reads)
        return tuple(n for n in read if n not in self._made and self.source.producer[n].ref.op_type == CONST)

    @property
    def captures(self) -> tuple[str, ...]:
        """Captured constants that kept nodes read."""
        return tuple(name for name in self.constants if name in self.captured)

    def mode(self, name: str) -> CutMode:
        """What the cut edge becomes. By default what follows from shapes alone is a constant: handlers ask for
        constant shapes, axes and permutations; data stays an input. At least one input must remain."""
        return CutMode.INPUT if name == self._forced else self._wanted(name)

    def _wanted(self, name: str) -> CutMode:
        follows = self.tensor(name).by_shape and self.source.producer[name].ref.op_type not in PLACEHOLDERS
        return self.cuts.get(name, CutMode.CONSTANT if follows else CutMode.INPUT)

    @cached_property
    def _forced(self) -> str | None:
        """The edge that stays an input because otherwise none would: all of the graph would be folded away."""
        if any(self._wanted(name) is CutMode.INPUT for name in self.boundary):
            return None
        return max(self.boundary, key=lambda n: (_elements(self.tensor(n).fed), n), default=None)

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Cut edges that are fed."""
        return tuple(name for name in self.boundary if self.mode(name) is CutMode.INPUT)

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """What somebody outside reads, or the source gave out, as far as it can be compared."""
        inside = {record.ref.id for record in self.records}
        found = []
        for record in self.records:
            for tensor in record.outputs:
                readers = self.source.readers.get(tensor.name, ())
                asked = tensor.name in self.source.ends or any(reader not in inside for reader in readers)
                if asked and tensor.value is not None and tensor.name not in self.muted:
                    found.append(tensor.name)
        return tuple(found)

    @cached_property
    def _stands_in(self) -> bool:
        """Whether something is fed that the source never made: what was recorded behind it may be another value."""
        return any(self.source.tensors[name].value is None for name in self.boundary)

    @cached_property
    def all_values(self) -> Mapping[str, ValueRef]:
        """Everything that is fed or constant, by tensor name."""
        refs = {n: self.values.get(n) or self.source.tensors[n].fed for n in self.boundary}
        refs.update({n: self.values.get(n) or self.source.constants.get(n) for n in self.constants})
        return {name: ref for name, ref in refs.items() if ref is not None}

    def declared(self, name: str) -> tuple[int | None, ...] | None:
        """The shape of an input as it is declared: the static one of the source unless it was fixed or changed."""
        ref, tensor = self.all_values[name], self.source.tensors[name]
        actual = ref.summary[1] or ()
        if name in self.fixed:
            return actual
        if tensor.shape is None or name not in self.values:
            return tensor.shape
        return tuple(None if static is None else n for static, n in zip(tensor.shape, actual, strict=True))

    def free_dims(self, name: str) -> int:
        """How many dims of an input are declared as unknown."""
        shape = self.declared(name)
        return len(self.all_values[name].summary[1] or ()) + 1 if shape is None else sum(d is None for d in shape)

    def tensor(self, name: str) -> Tensor:
        """Type and shape of a tensor of the source."""
        return self.source.tensors[name]

    # --- the wire --------------------------------------------------------------------------------------------
    def order(self) -> dict[str, Any]:
        """What worker.tf_graph.Candidate needs. Raises EditConflict for what cannot be run."""
        if not self.inputs:
            raise EditConflict("no input would remain: the graph would be folded away")
        if not self.outputs:
            raise EditConflict("no output can be compared")
        needed = {name: ref.to_wire() for name, ref in self.all_values.items() if name in self.boundary}
        needed.update({name: ref.to_wire() for name, ref in self.values.items() if name in self.constants})
        cuts = {
            n: {"mode": self.mode(n).value, "dtype": self.tensor(n).dtype, "shape": self.declared(n)}
            for n in self.boundary
        }
        expected = {n: ref.to_wire() for n in self.outputs if (ref := self.tensor(n).value) is not None}
        constants = [self.source.producer[n].name for n in self.constants]
        return {
            "graph": self.source.path,
            "keep": [*dict.fromkeys(constants), *(record.name for record in self.records)],
            "cuts": cuts,
            "values": needed,
            "outputs": list(self.outputs),
            "expected": expected,
            "captured": list(self.captures),
            "recompute": any(name in self.all_values for name in self.values) or self._stands_in,
            "renamed": self.renamed,
        }


def _elements(ref: ValueRef | None) -> int:
    return int(np.prod(ref.summary[1] or ())) if ref is not None else 0


_LENGTHS: dict[tuple[str, int], int] = {}


def literal_length(ref: ValueRef) -> int:
    """How long the value is as a literal; one that repeats a single number is short whatever its shape."""
    count = _elements(ref)
    if count > MOST_READ:
        return 12 * count
    key = (ref.path, ref.offset)
    if key not in _LENGTHS:
        value = np.asarray(ref.read())
        flat = value.ravel()
        if count > 1 and value.dtype.kind not in "OUS" and bool((flat == flat[0]).all()):
            _LENGTHS[key] = 4 + len(str(flat[0]))
        else:
            _LENGTHS[key] = sum(len(str(item)) for item in flat.tolist())
    return _LENGTHS[key]
