"""A small program as an open message with its feeds: what the passes behind the node phase work on.

`Draft.of(program)` is a copy that may be changed at will; `draft.program(base)` closes it again. Tensors are reached
through slots: initializers of the graph and of its bodies, tensors in attributes, and feeds.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from reducer.errors import EditConflict, UsageError
from reducer.frontends.onnx import load_source
from reducer.passes.base import Edit
from reducer.programs.fed import Array, Fed
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_source import subgraphs, walk


@dataclass(frozen=True)
class Slot:
    """Where a tensor stands: a feed (`graph` -1), an initializer of the n-th graph, or the attribute of a node."""

    graph: int
    name: str
    attribute: str = ""

    @property
    def is_feed(self) -> bool:
        """Whether it is what a graph input is fed with."""
        return self.graph < 0


@dataclass
class Draft:
    """A message that belongs to nobody else, and the feeds of its inputs."""

    model: onnx.ModelProto
    fed: dict[str, Fed]
    folder: Path | None = None
    # Whether shapes or types changed: what was known of them is then no longer true.
    reshaped: bool = field(default=False)

    @staticmethod
    def of(program: OnnxProgram) -> Draft:
        """A copy of the program. Raises EditConflict when it cannot be written."""
        model = onnx.ModelProto.FromString(program.model_bytes())
        return Draft(model, {k: v for k, v in program.fed.items() if k in program.interface.inputs}, program.folder)

    def program(self, base: OnnxProgram) -> OnnxProgram:
        """A program that is exactly this message. Raises EditConflict when nothing is left of it."""
        if not self.model.graph.node:
            raise EditConflict("no node is left")
        inputs = {value.name for value in self.model.graph.input}
        fed = {name: value for name, value in self.fed.items() if name in inputs}
        raw = self.model.SerializeToString(deterministic=True)
        digest = hashlib.blake2b(raw, digest_size=16)
        for name, value in sorted(fed.items()):
            digest.update(f"{name}\0{value.digest}".encode())
        try:
            source = load_source(self.model, self.folder, self.folder)
        except UsageError as error:
            raise EditConflict(str(error)) from error
        source = replace(source, tag=f"draft {digest.hexdigest()}")
        if not self.reshaped:
            source = source.learn(types=base.source.types, values=base.source.values)
        return replace(OnnxProgram.of(source, base.policy), bare=base.bare, fed=fed)

    # --- graphs ----------------------------------------------------------------------------------------------
    def graphs(self) -> list[onnx.GraphProto]:
        """The graph and all bodies below it, outer ones first; those of functions are left alone."""
        found = [self.model.graph]
        for node, _ in walk(self.model.graph.node):
            found += [body for _, body in subgraphs(node)]
        return found

    def nodes(self) -> Iterator[onnx.NodeProto]:
        """All nodes, bodies and functions included."""
        yield from (node for node, _ in walk(self.model.graph.node))
        for function in self.model.functions:
            yield from (node for node, _ in walk(function.node))

    def opset(self, domain: str) -> int:
        """The imported version of a domain; 0 when it is not imported."""
        same = ("", "ai.onnx") if domain in ("", "ai.onnx") else (domain,)
        return next((entry.version for entry in self.model.opset_import if entry.domain in same), 0)

    def types(self) -> Iterator[onnx.ValueInfoProto]:
        """Every declared value of every graph."""
        for graph in self.graphs():
            yield from graph.input
            yield from graph.output
            yield from graph.value_info

    # --- tensors ---------------------------------------------------------------------------------------------
    def slots(self) -> list[Slot]:
        """Every tensor that can be replaced, feeds first."""
        found = [Slot(-1, name) for name, fed in sorted(self.fed.items()) if fed.is_tensor]
        for index, graph in enumerate(self.graphs()):
            found += [Slot(index, tensor.name) for tensor in graph.initializer]
            for node in graph.node:
                found += [Slot(index, node.name, a.name) for a in node.attribute if a.HasField("t")]
        return found

    def tensor(self, slot: Slot) -> TensorProto:
        """The message of a slot that is no feed. Raises EditConflict when it is gone."""
        graphs = self.graphs()
        if slot.graph >= len(graphs):
            raise EditConflict("the body is gone")
        graph = graphs[slot.graph]
        if slot.attribute:
            for node in graph.node:
                for attribute in node.attribute:
                    if node.name == slot.name and attribute.name == slot.attribute and attribute.HasField("t"):
                        held: TensorProto = attribute.t
                        return held
        found: list[TensorProto] = [] if slot.attribute else [t for t in graph.initializer if t.name == slot.name]
        if found:
            return found[0]
        raise EditConflict(f"the tensor {slot.name!r} is gone")

    def array(self, slot: Slot) -> Array:
        """The numbers of a slot. Raises EditConflict when they cannot be read."""
        if slot.is_feed:
            if slot.name not in self.fed or not self.fed[slot.name].is_tensor:
                raise EditConflict(f"{slot.name!r} is not fed")
            return np.asarray(self.fed[slot.name].value())
        tensor = self.tensor(slot)
        try:
            if tensor.data_location == TensorProto.EXTERNAL:
                return _mapped(tensor, self.folder)
            return np.asarray(numpy_helper.to_array(tensor))
        except (TypeError, ValueError, KeyError, OSError, onnx.checker.ValidationError) as error:
            raise EditConflict(f"{slot.name!r} cannot be read") from error

    def put(self, slot: Slot, array: Array) -> None:
        """Replace the numbers of a slot; the dims and dtype follow, and so does the type of a fed input."""
        if slot.is_feed:
            self.fed[slot.name] = Fed.of(array)
            return
        target = self.tensor(slot)
        try:
            made = numpy_helper.from_array(array, target.name)
        except (TypeError, ValueError, KeyError) as error:
            raise EditConflict(f"{slot.name!r} cannot be written") from error
        target.CopyFrom(made)

    def forget_shapes(self) -> None:
        """Shapes of outputs and of inner values follow from the inputs: they are inferred anew."""
        self.reshaped = True
        for index, graph in enumerate(self.graphs()):
            del graph.value_info[:]
            for value in graph.output:
                if value.type.HasField("tensor_type"):
                    value.type.tensor_type.ClearField("shape")
            for value in graph.input if index else []:
                if value.type.HasField("tensor_type"):
                    value.type.tensor_type.ClearField("shape")

    def sweep(self) -> None:
        """Drop initializers and graph inputs that nobody reads, and functions that nobody calls."""
        called = {(node.domain, node.op_type) for node in self.nodes()}
        for position in reversed(range(len(self.model.functions))):
            function = self.model.functions[position]
            if (function.domain, function.name) not in called:
                del self.model.functions[position]
        for graph in self.graphs():
            read = names_read(graph)
            for position in reversed(range(len(graph.initializer))):
                if graph.initializer[position].name not in read:
                    del graph.initializer[position]
        read = names_read(self.model.graph)
        for position in reversed(range(len(self.model.graph.input))):
            if self.model.graph.input[position].name not in read:
                del self.model.graph.input[position]


def _mapped(tensor: TensorProto, folder: Path | None) -> Array:
    """A weight that lies outside, read only where it is looked at; its file is one of ours."""
    facts = {entry.key: entry.value for entry in tensor.external_data}
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type))
    size = int(np.prod(tensor.dims, dtype=np.int64))
    if folder is None or dtype.itemsize * size != int(facts.get("length", "0")):
        raise ValueError("its bytes are not those of its dims")  # packed, or broken
    flat = np.memmap(folder / facts["location"], dtype, "r", int(facts["offset"]), (size,))
    return np.asarray(flat).reshape(tuple(tensor.dims))


class DraftEdit(Edit[OnnxProgram]):
    """An edit that is written as a change of a draft."""

    def apply(self, program: OnnxProgram) -> OnnxProgram:
        draft = Draft.of(program)
        self.change(draft)
        return smaller(draft.program(program), program)

    @abstractmethod
    def change(self, draft: Draft) -> None:
        """Change the draft in place. Raises EditConflict where the edit does not fit."""


def smaller(made: OnnxProgram, program: OnnxProgram) -> OnnxProgram:
    """`made` when it is strictly smaller. Raises EditConflict otherwise: the edit does not fit (any more)."""
    if not made.size() < program.size():
        raise EditConflict("not smaller")
    return made


def names_read(graph: onnx.GraphProto) -> set[str]:
    """Names that nodes of the graph, their bodies or its outputs read."""
    names = {value.name for value in graph.output}
    for node, _ in walk(graph.node):
        names.update(node.input)
        for _, body in subgraphs(node):
            names.update(value.name for value in body.output)
    return names


def dims_of(value: onnx.ValueInfoProto) -> list[Any] | None:
    """The dims of a declared tensor: numbers, names, or None for open ones; None when the shape is unknown."""
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        return None
    dims = value.type.tensor_type.shape.dim
    return [d.dim_value if d.HasField("dim_value") else (d.dim_param or None) for d in dims]


def set_dims(value: onnx.ValueInfoProto, dims: list[Any]) -> None:
    """Declare these dims."""
    shape = value.type.tensor_type.shape
    shape.ClearField("dim")
    for dim in dims:
        entry = shape.dim.add()
        if isinstance(dim, str):
            entry.dim_param = dim
        elif dim is not None:
            entry.dim_value = int(dim)


def readable(draft: Draft, keep: Callable[[Slot, Array], bool]) -> list[tuple[Slot, Array]]:
    """The slots whose numbers can be read and that `keep` accepts."""
    found = []
    for slot in draft.slots():
        try:
            array = draft.array(slot)
        except EditConflict:
            continue
        if keep(slot, array):
            found.append((slot, array))
    return found
