"""Loops, branches and calls of a frozen graph opened up (child side): the node gives way to what its function does.

A loop is run for one iteration, with the state that it began with; whether the failure survives that is for the
oracle to say. Values are recorded anew afterwards.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from reducer.values import append_values
from reducer.worker.main import Context
from reducer.worker.tf_graph import STALE, Candidate
from reducer.worker.tf_subject import quiet

Reply = tuple[dict[str, Any], tuple[bytes, ...]]
# How many inputs of a node come before the arguments of its functions.
_CONDITION_FIRST = ("If", "StatelessIf", "Case", "StatelessCase")


def lift(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """{"order", "node", "folder"} -> {"graphs": [{"path", "inputs", "outputs", "feeds", "function"}]}: the candidate
    once per function of the node, with that function in the node's place. Functions that do not fit are left out."""
    quiet()
    candidate = Candidate(arguments["order"])
    node = next(n for n in candidate.graph.node if n.name == arguments["node"])
    store = Path(arguments["folder"]) / "lifted.bin"
    refs = append_values(store, dict(zip(candidate.inputs, candidate.feeds, strict=True)))
    feeds = [refs[name].to_wire() for name in candidate.inputs]
    graphs = []
    for name in _functions(node):
        opened = _opened(candidate, node, name)
        if opened is None:
            continue
        graph, outputs = opened
        handle, path = tempfile.mkstemp(suffix=".pb", prefix="lifted-", dir=arguments["folder"])
        with open(handle, "wb") as stream:
            stream.write(graph.SerializeToString())
        graphs.append({"path": path, "inputs": candidate.inputs, "outputs": outputs, "feeds": feeds, "function": name})
    return {"graphs": graphs}, ()


def _functions(node: Any) -> list[str]:
    """Functions that the node's attributes name: the body of a loop before its condition."""
    found = [a.func.name for key, a in sorted(node.attr.items()) if a.HasField("func")]
    return list(dict.fromkeys([*found, *(f.name for a in node.attr.values() for f in a.list.func)]))


def _opened(candidate: Candidate, node: Any, name: str) -> tuple[Any, list[str]] | None:
    """(the graph without the node, its outputs by their new names); None when the function's types do not fit."""
    import tensorflow as tf
    from tensorflow.python.framework.function_def_to_graph import function_def_to_graph

    definition = next((f for f in candidate.graph.library.function if f.signature.name == name), None)
    given = [text for text in node.input if not text.startswith("^")]
    given = given[1:] if node.op in _CONDITION_FIRST else given
    if definition is None or len(definition.signature.input_arg) != len(given):
        return None
    with tf.Graph().as_default():
        # The functions that this one calls must be known where it is rebuilt.
        library = tf.compat.v1.GraphDef()
        library.library.CopyFrom(candidate.graph.library)
        tf.import_graph_def(library, name="")
        inner = function_def_to_graph(definition)
    prefix = f"{node.name}/{name}"
    places = {tensor.name: ref for tensor, ref in zip(inner.inputs, given, strict=True)}
    graph = tf.compat.v1.GraphDef()
    graph.versions.CopyFrom(candidate.graph.versions)
    graph.library.CopyFrom(candidate.graph.library)
    arguments = {tensor.op.name for tensor in inner.inputs}
    for inside in inner.as_graph_def().node:
        if inside.name not in arguments:
            _add(graph, inside, f"{prefix}/{inside.name}", lambda text: _inside(text, prefix, places, arguments))
    made = {f"{node.name}:{port}": _inside(t.name, prefix, places, arguments) for port, t in enumerate(inner.outputs)}
    for other in candidate.graph.node:
        if other.name != node.name:
            _add(graph, other, other.name, lambda text: _outside(text, node.name, made))
    outputs = [_tensor(_outside(text, node.name, made)) for text in candidate.outputs]
    computed = {n.name for n in graph.node if n.op not in ("Placeholder", "Const")}
    outputs += [_tensor(text) for text in made.values()]
    return graph, [text for text in dict.fromkeys(outputs) if text.partition(":")[0] in computed]


def _add(graph: Any, node: Any, name: str, place: Any) -> None:
    copy = graph.node.add()
    copy.CopyFrom(node)
    copy.name = name
    for stale in STALE:
        copy.attr.pop(stale, None)
    references = [place(text) for text in node.input]
    del copy.input[:]
    copy.input.extend(text for text in references if text)


def _inside(text: str, prefix: str, places: dict[str, str], arguments: set[str]) -> str:
    """A reference between nodes of the function; control inputs on arguments are dropped."""
    if text.startswith("^"):
        return "" if text[1:] in arguments else f"^{prefix}/{text[1:]}"
    tensor = _tensor(text)
    return places.get(tensor) or f"{prefix}/{tensor}"


def _outside(text: str, gone: str, made: dict[str, str]) -> str:
    """A reference of a node around the function's; a control input on the node itself is dropped."""
    if text.startswith("^"):
        return "" if text[1:] == gone else text
    return made.get(_tensor(text), text)


def _tensor(text: str) -> str:
    return text if ":" in text else f"{text}:0"
