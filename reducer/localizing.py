"""Which nodes a message speaks of: by node name, by tensor name, by op type. Used before and after reduction."""

from __future__ import annotations

from reducer.programs.base import NodeId, NodeRef
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_source import NodeRecord
from reducer.signature import words


def nodes_named(program: OnnxProgram, message: str) -> list[NodeId]:
    """Nodes whose own name stands in the message, innermost mention last in a message, so that one first."""
    by_name = {record.name: record.ref.id for record in program.records}
    for record in program.records:
        by_name.update((ref.name, record.ref.id) for ref in inner_nodes(program, record))
    found = [by_name[word] for word in words(message) if word in by_name]
    if not found:
        # Names with spaces or brackets are no words; look for them as they are quoted.
        fitting = ((name, i) for name, i in by_name.items() if len(name) <= len(message))
        found = [i for name, i in fitting if f"'{name}'" in message or f"({name})" in message]
    return list(dict.fromkeys(reversed(found)))


def inner_nodes(program: OnnxProgram, record: NodeRecord) -> list[NodeRef]:
    """Nodes in the bodies of a node and in the functions that it calls."""
    called = [ref for key in record.calls for ref in program.source.functions[key].body]
    return [*record.body, *called]


def nodes_of_tensors(program: OnnxProgram, message: str) -> list[tuple[NodeId, ...]]:
    """For each tensor that the message names: all its producers together, then its consumers."""
    groups: list[tuple[NodeId, ...]] = []
    kept = program.keep
    for word in dict.fromkeys(words(message)):
        makers = tuple(i for i in program.source.producers.get(word, ()) if i in kept)
        readers = tuple(i for i in program.source.consumers.get(word, ()) if i in kept)
        if makers:
            groups.append(makers)
        groups += [(reader,) for reader in readers[:2]]
    return groups


def nodes_of_types(program: OnnxProgram, message: str, most: int = 4) -> list[NodeId]:
    """The first nodes of each op type that the message names."""
    mentioned = set()
    for word in words(message):
        mentioned.update({word, word.rsplit(":", 1)[-1], word.rsplit(".", 1)[-1]})
    found: dict[str, list[NodeId]] = {}
    for record in program.records:
        refs = [record.ref, *inner_nodes(program, record)]
        for bare in dict.fromkeys(ref.op_type.rsplit(".", 1)[-1] for ref in refs):
            if bare in mentioned and len(found.setdefault(bare, [])) < most:
                found[bare].append(record.ref.id)
    return list(dict.fromkeys(node for nodes in found.values() for node in nodes))
