"""Types and values of every tensor, captured once, so that any set of nodes is a valid candidate (step 5).

Values come from the whole model with optimizations off. Where it cannot run as a whole, the failing node is left
out and the rest is run around it; a single node that the runtime refuses is tried in the reference evaluator. What
depends on a value that nobody could make has none either: its type must do.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import onnx

from reducer.errors import EditConflict, ToolFault
from reducer.feeds import UNFEEDABLE
from reducer.localizing import nodes_named
from reducer.observation import HUNG, PASSED, Observation, Probe
from reducer.oracles.limits import Limits
from reducer.oracles.prober import Order, Prober
from reducer.programs.base import NodeId
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_source import OnnxSource
from reducer.programs.onnx_tensors import element_name, read_type, type_of_tensor
from reducer.values import ValueRef
from reducer.worker.protocol import RETURNED, Call

INFER = "reducer.worker.knowledge:infer_types"
CAPTURE_SECONDS = 60.0
_UNOPTIMIZED = Probe("onnxruntime", {"opt_level": "none"})
_EVALUATOR = Probe("reference")


class Capture:
    """Learns about one source. `store` is the file that captured values are appended to; `extra` are options that
    the runtime needs to run the model at all."""

    def __init__(self, prober: Prober, store: Path, limits: Limits, extra: Mapping[str, str] | None = None) -> None:
        self.prober, self.store, self.limits = prober, store, limits
        self._unoptimized = replace(_UNOPTIMIZED, options={**_UNOPTIMIZED.options, **(extra or {})})
        self.runs = 0
        # Everything recorded so far, by tensor name.
        self.known: dict[str, ValueRef] = {}
        # Wall seconds in the worker.
        self.seconds = 0.0
        # Nodes that the runtime does not run even alone: free suspects.
        self.refused: list[NodeId] = []
        self._end = 0.0

    # --- types -----------------------------------------------------------------------------------------------
    def types(self, program: OnnxProgram) -> OnnxProgram:
        """The program with inferred types; segments that kill inference are halved until they do not."""
        return _on(program, self._types(program, program.units()))

    def _types(self, program: OnnxProgram, nodes: Iterable[NodeId]) -> OnnxSource:
        nodes = list(nodes)
        part = self._part(program, nodes)
        found = self._infer(part) if part is not None else None
        if found is not None:
            return program.source.learn(types=found)
        if len(nodes) <= 1:
            return program.source
        middle = len(nodes) // 2
        first = self._types(program, nodes[:middle])
        return self._types(replace(program, source=first), nodes[middle:])

    def _infer(self, program: OnnxProgram) -> dict[str, bytes] | None:
        self.runs += 1
        try:
            answer = self.prober.call_with_model(program, Call(INFER, seconds=self.limits.full))
        except EditConflict:
            return None
        self.seconds += answer.seconds
        if answer.outcome != RETURNED or not answer.blobs:
            return None
        graph = onnx.GraphProto.FromString(answer.blobs[0])
        return {v.name: v.type.SerializeToString() for v in graph.value_info if _is_useful(v.type)}

    # --- values ----------------------------------------------------------------------------------------------
    def constants(self, program: OnnxProgram) -> OnnxProgram:
        """Values of what depends on weights alone: a load failure needs no others."""
        source = program.source
        nodes = [r.ref.id for r in program.records if all(n in source.constants for n in r.outputs if n)]
        return self.values(program, nodes) if nodes else program

    def ranks(self, program: OnnxProgram) -> OnnxProgram:
        """The rank of every tensor that inference gave none: the checker takes no input or output without a shape."""
        made = [name for record in program.records for name in record.outputs if name]
        bare = [name for name in made if not _has_shape(program.type_of(name))]
        if not bare:
            return program
        values = self.values(program).source.values
        found = {name: type_of_tensor(values[name], static=False) for name in bare if name in values}
        return _on(program, program.source.learn(types={n: wire for n, wire in found.items() if wire is not None}))

    def values(self, program: OnnxProgram, nodes: Iterable[NodeId] | None = None) -> OnnxProgram:
        """The program with the captured value of every tensor that could be had."""
        self._end = time.perf_counter() + CAPTURE_SECONDS
        chosen = list(program.units() if nodes is None else nodes)
        return _on(program, self._values(program, chosen))

    def _values(self, program: OnnxProgram, nodes: list[NodeId]) -> OnnxSource:
        source = program.source
        nodes = _ready(source, nodes)
        if not nodes or time.perf_counter() > self._end:
            return source
        whole = len(nodes) == len(program.source.nodes)
        # What hangs as a whole need not be waited for once more.
        seen = (
            None if self.limits.hang and whole and len(nodes) > 1 else self._attempt(program, nodes, self._unoptimized)
        )
        if seen is not None and seen.outcome == PASSED:
            self.known.update(seen.outputs)
            return source.learn(values=seen.outputs)
        if len(nodes) == 1:
            if seen is not None:
                self.refused.append(nodes[0])
            if seen is not None and seen.outcome == HUNG:
                return source
            seen = self._attempt(program, nodes, _EVALUATOR)
            return source.learn(values=seen.outputs) if seen is not None and seen.outcome == PASSED else source
        for part in _around(program, nodes, seen):
            source = self._values(replace(program, source=source), part)
        return source

    def _attempt(self, program: OnnxProgram, nodes: list[NodeId], probe: Probe) -> Observation | None:
        part = self._part(program, nodes)
        if part is None:
            return None
        self.runs += 1
        start = time.perf_counter()
        try:
            return self.prober.climb(part, Order((probe,), keep=self.store), self.limits.recording)[0][-1]
        except (EditConflict, ToolFault):
            return None
        finally:
            self.seconds += time.perf_counter() - start

    def _part(self, program: OnnxProgram, nodes: list[NodeId]) -> OnnxProgram | None:
        """Just these nodes, every tensor that they make shown as an output."""
        if len(nodes) == len(program.source.nodes) and program.whole:
            part = program
        else:
            part = program.restrict(frozenset(nodes))
        outputs = [name for record in part.records for name in record.outputs if name and _fetchable(part, name)]
        shown = tuple(dict.fromkeys(outputs))
        return replace(part, selected=shown, whole=False) if shown else None


def _ready(source: OnnxSource, nodes: list[NodeId]) -> list[NodeId]:
    """The nodes whose inputs have real values: what lies behind a node that nobody can run would run on noise."""
    made: set[str] = set()
    ready = []
    for node in nodes:
        record = source.nodes[node]
        missing = (name for name in record.reads if name not in made and name not in source.values)
        if not any(name in source.producers and name not in source.weights for name in missing):
            made.update(record.outputs)
            ready.append(node)
    return ready


def _around(program: OnnxProgram, nodes: list[NodeId], seen: Observation | None) -> list[list[NodeId]]:
    """Before, at and behind the node that the message names; halves when it names none."""
    named = [i for i in nodes_named(program, seen.message) if i in set(nodes)] if seen is not None else []
    if named:
        at = nodes.index(named[0])
        parts = [nodes[:at], [nodes[at]], nodes[at + 1 :]]
    else:
        parts = [nodes[: len(nodes) // 2], nodes[len(nodes) // 2 :]]
    return [part for part in parts if part]


def _on(program: OnnxProgram, source: OnnxSource) -> OnnxProgram:
    return replace(program, source=source)


def _is_useful(kind: onnx.TypeProto) -> bool:
    if kind.HasField("tensor_type"):
        return kind.tensor_type.elem_type != 0
    return kind.WhichOneof("value") is not None


def _has_shape(wire: bytes | None) -> bool:
    """Whether a tensor type says at least how many axes there are; what is no tensor has none to say."""
    if wire is None:
        return False
    kind = read_type(wire)
    return not kind.HasField("tensor_type") or kind.tensor_type.HasField("shape")


def _fetchable(program: OnnxProgram, name: str) -> bool:
    """Whether the runtime's binding can hand the tensor out."""
    wire = program.type_of(name)
    if wire is None:
        return True
    return element_name(wire) not in UNFEEDABLE
