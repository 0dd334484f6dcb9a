"""Frozen graphs (child side): the table that the parent reduces, recorded values, and candidates built from ids.

The parent sees names, op types, edges and where recorded values lie; the GraphDef itself stays in a file of the
host's folder and, parsed once, in each worker.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from reducer.values import ValueRef, append_values
from reducer.worker.tf_ladder import as_array
from reducer.worker.tf_names import rename, renamed
from reducer.worker.tf_values import UNCUTTABLE, recordable, recorded, stand_in

LEAVES = ("Const", "Placeholder", "PlaceholderWithDefault")
# Facts that an edit makes stale; TensorFlow infers them again.
STALE = ("_class", "_output_shapes", "_has_manual_control_dependencies")
# Only the shape of what comes in decides what comes out.
SHAPE_OPS = ("Shape", "ShapeN", "Size", "Rank")


@lru_cache(maxsize=4)
def load_graph(path: str) -> Any:
    """The GraphDef in a file, and its nodes by name. Cached: a worker serves many candidates of one graph."""
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef()
    graph.ParseFromString(Path(path).read_bytes())
    return graph, {node.name: node for node in graph.node}


def table_of(path: str, inputs: Sequence[str], feeds: Sequence[Any], store: Path) -> dict[str, Any]:
    """Every node with its edges and the recorded value of every tensor that can be had.

    Reply: {"nodes": [{name, op, inner: [[name, op]], inputs, outputs: [{name, dtype, shape, value, by_shape,
    stand_in}]}], "constants": {tensor: value}}, topological. `inner` is what lies in the functions that a node calls;
    `by_shape`: the value follows from the shapes of the inputs alone; `stand_in`: zeros for what never gets a value,
    as on the branch of a switch that is not taken.
    """
    import tensorflow as tf

    graph, by_name = load_graph(path)
    inner = inner_nodes(graph)
    with tf.Graph().as_default() as opened:
        tf.import_graph_def(graph, name="")
        operations = _sorted(opened.get_operations())
        tensors = [t for op in operations for t in op.outputs if op.type != "Const" and recordable(t)]
        dead: list[Any] = []
        with tf.compat.v1.Session(graph=opened) as session:
            found = recorded(session, tensors, dict(zip(inputs, feeds, strict=False)), dead)
        refs = append_values(store, found)
        zeros = append_values(store, {t.name: stand_in(t) for t in dead if t.shape.rank is not None})
        shaped: set[str] = set()
        nodes = []
        for op in operations:
            if _follows_shapes(op, shaped):
                shaped.update(t.name for t in op.outputs)
            nodes.append(
                {
                    "name": op.name,
                    "op": op.type,
                    "inner": [place for f in called_functions(by_name[op.name]) for place in inner.get(f, [])],
                    "inputs": [t.name for t in op.inputs],
                    "outputs": [
                        _described(t, (refs.get(t.name), zeros.get(t.name)), t.name in shaped) for t in op.outputs
                    ],
                }
            )
    constants = [n for n in graph.node if n.op == "Const"]
    for name, value in append_values(store, {f"{n.name}:0": _constant(n) for n in constants if _plain(n)}).items():
        refs[name] = value
    return {"nodes": nodes, "constants": {f"{n.name}:0": refs[f"{n.name}:0"].to_wire() for n in constants if _plain(n)}}


def inner_nodes(graph: Any) -> dict[str, list[list[str]]]:
    """[name, op type] of everything that a library function does, the functions that it calls included."""
    functions = {f.signature.name: f for f in graph.library.function}

    def inside(name: str, seen: frozenset[str]) -> list[list[str]]:
        found = []
        for node in functions[name].node_def:
            if node.op not in (*LEAVES, "NoOp"):
                found.append([f"{name}/{node.name}", node.op])
            for called in called_functions(node):
                if called in functions and called not in seen:
                    found += inside(called, seen | {called})
        return found

    return {name: inside(name, frozenset({name})) for name in functions}


def _sorted(operations: Iterable[Any]) -> list[Any]:
    """Producers first; a cycle (loops of TensorFlow 1) stays in its given order."""
    done: dict[str, Any] = {}
    for first in operations:
        stack = [(first, iter([t.op for t in first.inputs] + list(first.control_inputs)))]
        open_names = {first.name}
        while stack:
            op, sources = stack[-1]
            nearest = next((s for s in sources if s.name not in done and s.name not in open_names), None)
            if nearest is None:
                done[op.name] = op
                stack.pop()
            elif op.name not in done:
                open_names.add(nearest.name)
                stack.append((nearest, iter([t.op for t in nearest.inputs] + list(nearest.control_inputs))))
    return list(done.values())


def _follows_shapes(op: Any, shaped: set[str]) -> bool:
    if op.type in SHAPE_OPS:
        return True
    sources = [t for t in op.inputs if t.op.type != "Const"]
    return bool(sources) and all(t.name in shaped for t in sources)


def _described(tensor: Any, refs: tuple[ValueRef | None, ValueRef | None], by_shape: bool) -> dict[str, Any]:
    ref, zeros = refs
    shape = None if tensor.shape.rank is None else tensor.shape.as_list()
    return {
        "name": tensor.name,
        "dtype": tensor.dtype.name,
        "shape": shape,
        "value": ref.to_wire() if ref is not None else None,
        "by_shape": by_shape,
        "stand_in": zeros.to_wire() if zeros is not None else None,
    }


def _plain(node: Any) -> bool:
    import tensorflow as tf

    return tf.as_dtype(node.attr["dtype"].type).name not in UNCUTTABLE


def _constant(node: Any) -> Any:
    import tensorflow as tf

    return as_array(tf.make_ndarray(node.attr["value"].tensor))


# --- candidates ----------------------------------------------------------------------------------------------
class Candidate:
    """A GraphDef cut out of a source graph, with its inputs, outputs, feeds and expected outputs. `called` are the
    inputs as the source calls them, `names` what is called otherwise here."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.source, self.nodes = load_graph(order["graph"])
        self.kept = set(order["keep"])
        self.values = {name: ValueRef.from_wire(wire) for name, wire in order["values"].items()}
        self.places: dict[str, str] = {}
        self.inputs: list[str] = []
        self.feeds: list[Any] = []
        self.graph = self._build()
        self.outputs: list[str] = list(order["outputs"])
        # Constants that the function captures instead of making them.
        self.captured: list[str] = list(order.get("captured") or ())
        self.called = list(self.inputs)
        self.names: dict[str, str] = {}
        if order.get("renamed"):
            self._rename()

    @property
    def given(self) -> list[str]:
        """What the converter's core is told to be inputs: tf2onnx takes captured constants for some, too."""
        return [*self.inputs, *self.captured]

    def _rename(self) -> None:
        table = rename(self.graph)
        self.inputs = [renamed(name, table) for name in self.inputs]
        self.outputs = [renamed(name, table) for name in self.outputs]
        self.captured = [renamed(name, table) for name in self.captured]
        self.names = {**table, **{tensor: f"{table[name]}:0" for tensor, name in self.places.items()}}

    def _build(self) -> Any:
        import tensorflow as tf

        graph = tf.compat.v1.GraphDef()
        graph.versions.CopyFrom(self.source.versions)
        for tensor, cut in self.order["cuts"].items():
            self._cut(graph, tensor, cut)
        for name in self.order["keep"]:
            self._keep(graph, self.nodes[name])
        self._library(graph)
        return graph

    def _cut(self, graph: Any, tensor: str, cut: dict[str, Any]) -> None:
        """A Placeholder or a Const where the edge was."""
        import tensorflow as tf

        base, _, port = tensor.partition(":")
        name = base if port == "0" and base not in self.kept else self._free(f"{base}_{port}")
        self.places[tensor] = name
        value = self.values[tensor].read()
        node = graph.node.add(name=name, op="Placeholder" if cut["mode"] == "input" else "Const")
        dtype = tf.as_dtype(cut["dtype"])
        node.attr["dtype"].type = dtype.as_datatype_enum
        if cut["mode"] == "input":
            node.attr["shape"].shape.CopyFrom(tf.TensorShape(cut["shape"]).as_proto())
            self.inputs.append(f"{name}:0")
            self.feeds.append(value)
        else:
            node.attr["value"].tensor.CopyFrom(_tensor_proto(value, dtype))

    def _free(self, name: str) -> str:
        taken = self.kept | set(self.places.values())
        while name in taken:
            name += "_"
        return name

    def _keep(self, graph: Any, node: Any) -> None:
        import tensorflow as tf

        made = graph.node.add()
        made.CopyFrom(node)
        for name in STALE:
            made.attr.pop(name, None)
        made.device = ""
        references = [self._reference(text) for text in node.input]
        del made.input[:]
        made.input.extend(r for r in references if r)
        changed = self.values.get(f"{node.name}:0") if node.op == "Const" else None
        if changed is not None:
            dtype = tf.as_dtype(node.attr["dtype"].type)
            made.attr["value"].tensor.CopyFrom(_tensor_proto(changed.read(), dtype))

    def _reference(self, text: str) -> str:
        """An input as it is called in the candidate; empty for a control input on a node that is gone."""
        if text.startswith("^"):
            return text if text[1:] in self.kept else ""
        tensor = text if ":" in text else f"{text}:0"
        return self.places.get(tensor, text)

    def _library(self, graph: Any) -> None:
        """Only the functions that are still called."""
        have = {f.signature.name: f for f in self.source.library.function}
        wanted: dict[str, Any] = {}
        stack = [name for node in graph.node for name in called_functions(node)]
        while stack:
            name = stack.pop()
            if name in have and name not in wanted:
                wanted[name] = have[name]
                stack += [inner for node in have[name].node_def for inner in called_functions(node)]
        for name in have:
            if name in wanted:
                graph.library.function.add().CopyFrom(have[name])

    def expected(self) -> list[Any]:
        """The right outputs: recorded, or what TensorFlow makes of changed feeds. Raises OpError, ValueError."""
        if not self.order["recompute"]:
            recorded = [self.order["expected"].get(name) for name in self.order["outputs"]]
            return [ValueRef.from_wire(wire).read() if wire else None for wire in recorded]
        return self.run()

    def run(self) -> list[Any]:
        """TensorFlow's outputs for the feeds."""
        import tensorflow as tf

        with tf.Graph().as_default() as opened:
            tf.import_graph_def(self.graph, name="")
            with tf.compat.v1.Session(graph=opened) as session:
                made = session.run(self.outputs, dict(zip(self.inputs, self.feeds, strict=True)))
        return [as_array(value) for value in made]


def _tensor_proto(value: Any, dtype: Any) -> Any:
    import tensorflow as tf

    return tf.make_tensor_proto(np.asarray(value), dtype=dtype, shape=np.asarray(value).shape)


def called_functions(node: Any) -> list[str]:
    """Names of library functions that a node calls."""
    names = [attribute.func.name for attribute in node.attr.values() if attribute.HasField("func")]
    names += [f.name for attribute in node.attr.values() for f in attribute.list.func]
    return [*names, node.op]
