"""The form that equal bugs share: names a, b, c..., sorted attributes and inputs, nothing that no runtime reads.

Step 9 of the data path, behind all passes. The text of the model says nothing of its origin then; the table of names
stays with the user. Operators, their domains and attribute names are what a failure is made of: they stay.
"""

from __future__ import annotations

import hashlib
import itertools
import string
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from reducer.errors import EditConflict, UsageError
from reducer.frontends.onnx import load_source
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_source import subgraphs, walk
from reducer.saving import FEW_BYTES, outside_bytes

GRAPH, FUNCTION_DOMAIN = "g", "d"


@dataclass(frozen=True)
class FixedProgram(OnnxProgram):
    """A program that is written as exactly these bytes."""

    raw: bytes = b""

    def model_bytes(self, *, inline: bool = False) -> bytes:
        """The bytes, weights inside."""
        return self.raw


@dataclass(frozen=True)
class Published:
    """What may be shared: the program in its final form, and what everything in it was called before (new: old)."""

    program: OnnxProgram
    names: dict[str, str] = field(default_factory=dict)
    # The hash of the form in which no name was given, where one was.
    canonical: str = ""

    @property
    def sha256(self) -> str:
        """Equal for equal bugs."""
        return self.canonical or hashlib.sha256(self.program.model_bytes()).hexdigest()

    @property
    def table(self) -> dict[str, str]:
        """Old names to new ones; of node names, that are gone, nothing."""
        return {old: new for new, old in self.names.items() if not new.startswith("node ")}


def published(
    program: OnnxProgram,
    words: Collection[str],
    *,
    rename: bool = True,
    node_names: bool = False,
    given: Mapping[str, str] | None = None,
) -> Published:
    """The canonical form of `program`. Names that are `words` of the failure's message are not given to anything: they
    would be taken for names there; `given` ones (old: new) stand. Raises EditConflict when it cannot be written."""
    # Weights that are too many to be held stay outside; save_model puts them in.
    model = onnx.ModelProto.FromString(program.model_bytes(inline=outside_bytes(program) <= FEW_BYTES))
    form = _Form(model, words, given or {})
    form.rename, form.node_names = rename, node_names
    form.apply()
    return fixed(program, model, form.names)


def fixed(program: OnnxProgram, model: onnx.ModelProto, names: dict[str, str]) -> Published:
    """A program that is exactly `model`, with the feeds and output roles of `program` under their new names."""
    raw = model.SerializeToString(deterministic=True)
    old_to_new = {old: new for new, old in names.items() if not new.startswith("node ")}
    try:
        source = load_source(model, program.folder, program.folder if outside_bytes(program) > FEW_BYTES else None)
    except UsageError as error:
        raise EditConflict(str(error)) from error
    whole = OnnxProgram.of(replace(source, tag=f"final {hashlib.sha256(raw).hexdigest()}"), program.policy)
    fed = {old_to_new.get(name, name): value for name, value in program.fed.items()}
    kept = {name: value for name, value in fed.items() if name in source.inputs}
    made = FixedProgram(**{f: getattr(whole, f) for f in whole.__dataclass_fields__} | {"fed": kept}, raw=raw)
    return Published(made, names)


def letters(avoid: Collection[str]) -> Iterator[str]:
    """a, b, c ... z, a1, b1 ... without those to avoid."""
    for number in itertools.count():
        for letter in string.ascii_lowercase:
            name = letter if number == 0 else f"{letter}{number}"
            if name not in avoid:
                yield name


class _Form:
    """Brings one model into the canonical form, in place."""

    def __init__(self, model: onnx.ModelProto, words: Collection[str], given: Mapping[str, str]) -> None:
        self.model, self.rename, self.node_names = model, True, False
        self.names: dict[str, str] = {}
        self._new, self._dims = dict(given), dict(given)
        self._fresh = letters(frozenset(words) | frozenset(given.values()))
        self._nodes = 0

    def apply(self) -> None:
        """Everything: clean, sort, rename."""
        _clean(self.model)
        graph = self.model.graph
        self._sort_interface(graph)
        if self.rename:
            self._rename_graph(graph, self._new)
            self._rename_functions()
            self.names.update({new: old for old, new in self._new.items()})
            self.names.update({new: old for old, new in self._dims.items()})
        _sort_attributes(self.model)
        entries = sorted(self.model.opset_import, key=lambda entry: entry.domain)
        pairs = [(entry.domain, entry.version) for entry in entries]
        del self.model.opset_import[:]
        for domain, version in pairs:
            self.model.opset_import.add(domain=domain, version=version)

    def _sort_interface(self, graph: onnx.GraphProto) -> None:
        """Inputs and initializers in the order in which nodes read them."""
        order: dict[str, int] = {}
        for node, _ in walk(graph.node):
            for name in node.input:
                order.setdefault(name, len(order))
        last = len(order)
        graph.input.sort(key=lambda value: order.get(value.name, last))
        bodies = [body for node, _ in walk(graph.node) for _, body in subgraphs(node)]
        for each in (graph, *bodies):  # the inputs of a body are told by their position
            each.initializer.sort(key=lambda tensor: order.get(tensor.name, last))

    # --- names -----------------------------------------------------------------------------------------------
    def _name(self, old: str, table: dict[str, str]) -> str:
        if not old:
            return old
        if old not in table:
            table[old] = next(self._fresh)
        return table[old]

    def _rename_graph(self, graph: onnx.GraphProto, table: dict[str, str]) -> None:
        graph.name = GRAPH
        for value in graph.input:
            value.name = self._name(value.name, table)
            self._rename_dims(value.type)
        for node in graph.node:
            node.input[:] = [self._name(name, table) for name in node.input]
            self._rename_bodies(node, table)
            node.output[:] = [self._name(name, table) for name in node.output]
        for tensor in graph.initializer:
            tensor.name = self._name(tensor.name, table)
        for sparse in graph.sparse_initializer:
            sparse.values.name = self._name(sparse.values.name, table)
        for value in (*graph.output, *graph.value_info):
            value.name = self._name(value.name, table)
            self._rename_dims(value.type)

    def _rename_bodies(self, node: onnx.NodeProto, table: dict[str, str]) -> None:
        # One table for all: a name that a body shadows gets the same new name there.
        for _, body in subgraphs(node):
            self._rename_graph(body, table)
        self._rename_node(node)

    def _rename_node(self, node: onnx.NodeProto) -> None:
        old = node.name
        if self.node_names:
            self._nodes += 1
            node.name = f"n{self._nodes}"
            self.names[f"node {node.name}"] = old
        else:
            if old:
                self.names[f"node {len(self.names)} ({node.op_type})"] = old
            node.ClearField("name")

    def _rename_dims(self, kind: onnx.TypeProto) -> None:
        for dim in _dims_below(kind):
            if dim.dim_param:
                dim.dim_param = self._dims.setdefault(dim.dim_param, f"N{len(self._dims)}")

    def _rename_functions(self) -> None:
        """Functions of the model: their names, their domains where no other operator lives there, and all inside."""
        mine = {function.domain for function in self.model.functions}
        called = {(f.domain, f.name) for f in self.model.functions}
        nodes = [node for node, _ in walk(self.model.graph.node)]
        nodes += [node for function in self.model.functions for node, _ in walk(function.node)]
        shared = {node.domain for node in nodes if (node.domain, node.op_type) not in called}
        domains = {old: f"{FUNCTION_DOMAIN}{i}" for i, old in enumerate(sorted(mine - shared))}
        new = {key: f"F{i}" for i, key in enumerate(called_in_order(nodes, called))}
        for node in nodes:
            key = (node.domain, node.op_type)
            if key in new:
                node.op_type, node.domain = new[key], domains.get(node.domain, node.domain)
        for function in self.model.functions:
            self._rename_function(function, new, domains)
        for entry in [*self.model.opset_import, *(e for f in self.model.functions for e in f.opset_import)]:
            entry.domain = domains.get(entry.domain, entry.domain)

    def _rename_function(
        self, function: onnx.FunctionProto, new: dict[tuple[str, str], str], domains: dict[str, str]
    ) -> None:
        key = (function.domain, function.name)
        self.names[new.get(key, key[1])] = f"{key[0]}.{key[1]}"
        function.name, function.domain = new.get(key, key[1]), domains.get(key[0], key[0])
        table: dict[str, str] = {}
        function.input[:] = [self._name(name, table) for name in function.input]
        for node in function.node:
            node.input[:] = [self._name(name, table) for name in node.input]
            self._rename_bodies(node, table)
            node.output[:] = [self._name(name, table) for name in node.output]
        function.output[:] = [self._name(name, table) for name in function.output]
        self.names.update({name: old for old, name in table.items()})


def called_in_order(nodes: Iterable[onnx.NodeProto], called: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Function keys, first called first; those that nobody calls at the end."""
    seen = dict.fromkeys((n.domain, n.op_type) for n in nodes if (n.domain, n.op_type) in called)
    return [*seen, *sorted(called - set(seen))]


def _clean(model: onnx.ModelProto) -> None:
    """Only what a runtime reads; tensors in one form."""
    for name in ("producer_name", "producer_version", "domain", "model_version", "doc_string", "metadata_props"):
        model.ClearField(name)
    model.ClearField("training_info")
    model.graph.ClearField("quantization_annotation")
    _clean_message(model)


def _clean_message(message: Any) -> None:
    if isinstance(message, TensorProto):
        _plain_tensor(message)
        return
    for descriptor, value in list(message.ListFields()):
        if descriptor.name in ("doc_string", "metadata_props", "denotation", "device_configurations", "configuration"):
            message.ClearField(descriptor.name)
        elif descriptor.message_type is not None:
            for inner in value if descriptor.is_repeated else [value]:
                _clean_message(inner)


def _plain_tensor(tensor: TensorProto) -> None:
    """Numbers as raw data; a tensor whose numbers do not fit its dims stays as it is, but for its notes."""
    tensor.ClearField("doc_string")
    tensor.ClearField("metadata_props")
    if tensor.data_location == TensorProto.EXTERNAL or tensor.data_type in (TensorProto.UNDEFINED, TensorProto.STRING):
        return
    try:
        made = numpy_helper.from_array(np.asarray(numpy_helper.to_array(tensor)), tensor.name)
    except (TypeError, ValueError, KeyError):
        return
    if made.data_type == tensor.data_type and list(made.dims) == list(tensor.dims):
        tensor.CopyFrom(made)


def _sort_attributes(model: onnx.ModelProto) -> None:
    nodes = [node for node, _ in walk(model.graph.node)]
    nodes += [node for function in model.functions for node, _ in walk(function.node)]
    for node in nodes:
        node.attribute.sort(key=lambda attribute: attribute.name)
        if node.domain == "ai.onnx":
            node.domain = ""


def _dims_below(kind: onnx.TypeProto) -> Iterator[onnx.TensorShapeProto.Dimension]:
    """The dims of a type, of the items of a sequence or optional, too."""
    which = kind.WhichOneof("value")
    if which in ("tensor_type", "sparse_tensor_type"):
        yield from getattr(kind, which).shape.dim
    elif which in ("sequence_type", "optional_type"):
        yield from _dims_below(getattr(kind, which).elem_type)
    elif which == "map_type":
        yield from _dims_below(kind.map_type.value_type)
