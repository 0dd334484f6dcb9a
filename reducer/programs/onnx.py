"""OnnxProgram: a subset of a model's nodes that is always a valid model of its own.

Every cut edge becomes a graph input (or an initializer) with the type, the symbolic dims and, where there is one,
the captured value of the tensor. Names that were broken in the source (dangling, defined twice) stay broken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from reducer.errors import EditConflict
from reducer.programs import wire
from reducer.programs.base import CutMode, NodeId, NodeRef, Program, Size
from reducer.programs.fed import Fed
from reducer.programs.onnx_size import detail
from reducer.programs.onnx_source import FunctionKey, NodeRecord, OnnxSource, WeightRecord, rebuilt, rename_reads
from reducer.programs.onnx_tensors import big_extent, constant_wire, inline_weight, type_of_tensor


@dataclass(frozen=True)
class Interface:
    """What surrounds the kept nodes: cut edges first appear in `inputs` (fed) or `constants` (written in)."""

    inputs: tuple[str, ...]
    weights: tuple[str, ...]
    constants: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """How cut edges look when nothing else is said. `by_command`: a foreign command feeds the model itself, so
    what it cannot know (integers that steer shapes, symbolic sizes) is written into the candidate."""

    by_command: bool = False


@dataclass(frozen=True)
class OnnxProgram(Program):
    """Kept nodes of a source with the edits made to them. `fed` are feeds that belong to the program."""

    source: OnnxSource
    keep: frozenset[NodeId]
    cuts: Mapping[str, CutMode] = field(default_factory=dict)
    patches: Mapping[NodeId, NodeRecord] = field(default_factory=dict)
    selected: tuple[str, ...] | None = None
    declared: Mapping[str, bytes] = field(default_factory=dict)
    fed: Mapping[str, Fed] = field(default_factory=dict)
    bare: bool = False
    whole: bool = False
    policy: Policy = Policy()

    @staticmethod
    def of(source: OnnxSource, policy: Policy | None = None) -> OnnxProgram:
        """The whole model, with all its inputs, weights and outputs, used or not."""
        everything = frozenset(range(len(source.nodes)))
        return OnnxProgram(source, everything, whole=True, policy=policy or Policy())

    # --- the graph -------------------------------------------------------------------------------------------
    @cached_property
    def records(self) -> tuple[NodeRecord, ...]:
        """The kept nodes in program order."""
        return tuple(self.patches.get(i) or self.source.nodes[i] for i in sorted(self.keep))

    def nodes(self) -> Sequence[NodeRef]:
        """All kept nodes, bodies and called functions included."""
        refs = [ref for record in self.records for ref in (record.ref, *record.body)]
        return [*refs, *(ref for key in self.functions for ref in self.source.functions[key].body)]

    def units(self) -> Sequence[NodeId]:
        """Top-level nodes; a node with bodies or a function call is one unit."""
        return sorted(self.keep)

    def record(self, node: NodeId) -> NodeRecord:
        """The record of a kept node as it is in this program."""
        return self.patches.get(node) or self.source.nodes[node]

    def neighbours(self, node: NodeId) -> Sequence[NodeId]:
        """Kept producers of what the node reads and kept consumers of what it writes."""
        record = self.record(node)
        found = {i for name in record.reads for i in self.source.producers.get(name, ())}
        found |= {i for name in record.outputs for i in self.source.consumers.get(name, ())}
        return sorted((found & self.keep) - {node})

    @cached_property
    def functions(self) -> tuple[FunctionKey, ...]:
        """Model-local functions that kept nodes call, directly or not, in source order."""
        if self.whole:
            return tuple(self.source.functions)
        todo = [key for record in self.records for key in record.calls]
        seen: set[FunctionKey] = set()
        while todo:
            key = todo.pop()
            if key in self.source.functions and key not in seen:
                seen.add(key)
                todo.extend(self.source.functions[key].calls)
        return tuple(key for key in self.source.functions if key in seen)

    # --- edits -----------------------------------------------------------------------------------------------
    def restrict(self, keep: frozenset[NodeId], cuts: Mapping[str, CutMode] | None = None) -> OnnxProgram:
        """Only the nodes `keep`; `cuts` overrides what single cut edges become."""
        if not keep:
            raise EditConflict("no node is left")
        patches = {i: record for i, record in self.patches.items() if i in keep}
        return replace(self, keep=keep, cuts={**self.cuts, **(cuts or {})}, patches=patches, whole=False, selected=None)

    def with_outputs(self, names: tuple[str, ...]) -> OnnxProgram:
        """Only these of the present graph outputs."""
        if not names or not set(names) <= set(self.interface.outputs):
            raise EditConflict("these are not graph outputs")
        return replace(self, selected=names, whole=False)

    def patched(self, record: NodeRecord) -> OnnxProgram:
        """With another form of one kept node."""
        return replace(self, patches={**self.patches, record.ref.id: record}, whole=False)

    def bypass(self, node: NodeId, output: str, stand_in: str) -> OnnxProgram:
        """Without `node`: whoever read `output` reads `stand_in` instead."""
        patches = dict(self.patches)
        for record in self.records:
            if record.ref.id != node and output in record.reads:
                patches[record.ref.id] = _renamed(record, output, stand_in)
        return replace(self, patches=patches).restrict(self.keep - {node})

    # --- the interface ---------------------------------------------------------------------------------------
    @cached_property
    def interface(self) -> Interface:
        """Inputs, weights, constants and outputs of this program. Raises EditConflict for an untyped cut."""
        made = {name for record in self.records for name in record.outputs if name}
        if self.whole:
            return Interface(tuple(self.source.inputs), tuple(self.source.weights), (), tuple(self.source.outputs))
        needed = dict.fromkeys(name for record in self.records for name in record.reads if name not in made)
        inputs: list[str] = []
        weights: list[str] = []
        constants: list[str] = []
        for name in needed:
            if name in self.source.weights:
                weights.append(name)
            if name in self.source.inputs:
                inputs.append(name)
            elif name not in self.source.weights and name in self.source.producers:
                (constants if self.cut_mode(name) is CutMode.CONSTANT else inputs).append(name)
        return Interface(tuple(inputs), tuple(weights), tuple(constants), self._outputs(made))

    def _outputs(self, made: set[str]) -> tuple[str, ...]:
        if self.selected is not None:
            return tuple(name for name in self.selected if name in made)
        read = {name for record in self.records for name in record.reads}
        names = [name for name in self.source.outputs if name in made]
        for record in self.records:
            live = [n for n in record.outputs if n and (n in self.source.consumers or n in self.source.outputs)]
            # A node that nobody reads would be dropped by the runtime: show one of its outputs.
            live = live or [n for n in record.outputs if n][:1]
            if not any(n in read for n in live):
                names += live
            else:
                names += [n for n in live if n not in read]
        return tuple(dict.fromkeys(names))

    def cut_mode(self, name: str) -> CutMode:
        """What the cut edge `name` becomes: as told, else constant when it always was."""
        told = self.cuts.get(name)
        can = name in self.source.values
        if told is not None:
            return told if can or told is CutMode.INPUT else CutMode.INPUT
        if name in self.source.constants and can:
            return CutMode.CONSTANT
        if self.policy.by_command and can and self._steers_shapes(name):
            return CutMode.CONSTANT
        return CutMode.INPUT

    def _steers_shapes(self, name: str) -> bool:
        kind = self.source.values[name].summary[0]
        return kind.startswith(("int", "uint", "bool"))

    def type_of(self, name: str) -> bytes | None:
        """The TypeProto of a tensor, serialized: declared, else inferred, else None."""
        if name in self.declared:
            return self.declared[name]
        for table in (self.source.inputs, self.source.outputs, self.source.value_info):
            if table.get(name):
                return table[name]
        return self.source.types.get(name)

    def cut_type(self, name: str) -> bytes:
        """The type of a cut edge that becomes an input. Raises EditConflict when nothing is known."""
        found = self.type_of(name)
        ref = self.source.values.get(name)
        if name not in self.source.inputs and ref is not None and (found is None or self.policy.by_command):
            # A foreign command cannot know symbolic sizes; elsewhere dims that nobody declared stay open.
            guess = type_of_tensor(ref, static=self.policy.by_command)
            found = guess or found
        if found is None:
            raise EditConflict(f"nothing is known of the type of {name!r}")
        return found

    # --- assembling ------------------------------------------------------------------------------------------
    def model_bytes(self, *, inline: bool = False) -> bytes:
        """The serialized ModelProto. Spilled weights stay outside unless `inline`."""
        source, face = self.source, self.interface
        parts = [record.bare if self.bare else record.encoded for record in self.records]
        parts.append(wire.field(wire.GRAPH_NAME, b"g") if self.bare else source.graph_rest)
        for weight in self.weights():
            parts.append(inline_weight(weight) if inline else weight.encoded)
        for name in face.constants:
            parts.append(constant_wire(name, source.values[name], inline=inline))
        for name in face.inputs:
            parts.append(wire.field(wire.GRAPH_INPUT, wire.value_info(name, self._input_type(name))))
        for name in face.outputs:
            parts.append(wire.field(wire.GRAPH_OUTPUT, wire.value_info(name, self.type_of(name))))
        inner = {name for record in self.records for name in record.outputs} - set(face.outputs)
        for name in source.value_info if self.whole else (n for n in source.value_info if n in inner):
            parts.append(wire.field(wire.GRAPH_VALUE_INFO, wire.value_info(name, source.value_info[name])))
        model = [source.bare_header if self.bare else source.header, wire.message(wire.MODEL_GRAPH, parts)]
        model += [wire.field(wire.MODEL_FUNCTION, source.functions[key].encoded) for key in self.functions]
        return b"".join(model)

    def _input_type(self, name: str) -> bytes | None:
        return self.type_of(name) if self.whole else self.cut_type(name)

    def weights(self) -> Iterable[WeightRecord]:
        """The initializers of this program, definitions that stand twice included."""
        return (record for name in self.interface.weights for record in self.source.weights[name])

    @property
    def folder(self) -> Path | None:
        """Where the model must lie to find its spilled weights and big constants; None when it has none."""
        if any(weight.spilled for weight in self.weights()):
            return self.source.folder
        refs = (self.source.values[name] for name in self.interface.constants)
        return next((Path(ref.path).parent for ref in refs if big_extent(ref) is not None), None)

    # --- order and identity ----------------------------------------------------------------------------------
    @cached_property
    def _size(self) -> Size:
        return (len(self.nodes()), *detail(self))

    def size(self) -> Size:
        """Nodes with bodies and functions, then what programs/onnx_size.py counts."""
        return self._size

    def key(self) -> str:
        """Kept ids and edits, hashed."""
        bits = bytearray(len(self.source.nodes))
        for i in self.keep:
            bits[i] = 1
        rest = (
            (self.interface.inputs, self.interface.constants),
            [(i, hashlib.sha256(p.encoded).hexdigest()) for i, p in sorted(self.patches.items())],
            self.interface.outputs,
            sorted(self.declared.items()),
            [(name, fed.digest) for name, fed in sorted(self.fed.items())],
            (self.bare, self.whole, self.policy.by_command, self.source.tag),
        )
        return hashlib.blake2b(bytes(bits) + repr(rest).encode(), digest_size=16).hexdigest()


def _renamed(record: NodeRecord, old: str, new: str) -> NodeRecord:
    """The record with one tensor name replaced in its inputs and in what its bodies capture."""
    node = record.proto()
    rename_reads([node], {old: new})
    return rebuilt(record, node)
