"""What torch.onnx writes beside the nodes of a model: the FX node that each was made of (metadata_props)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from reducer.worker.pytorch.failures import node_in

FX_NODE = "pkg.torch.onnx.fx_node"


def origins_in(model: Any, nodes: Sequence[Sequence[Any]]) -> list[dict[str, str] | None]:
    """For every (name, outputs) of a node of `model`: {node, target}, or None where nothing is written. A node is known
    by its name, one without by what it makes."""
    by_name, by_output = {}, {}
    for node in _all(model.graph.node):
        note = next((entry.value for entry in node.metadata_props if entry.key == FX_NODE), "")
        made = node_in(note)
        if not made["target"]:
            continue
        if node.name:
            by_name[node.name] = made
        by_output.update(dict.fromkeys(filter(None, node.output), made))
    found = []
    for name, outputs in nodes:
        made_of = by_name.get(name) or next((by_output[o] for o in outputs if o in by_output), None)
        found.append(made_of)
    return found


def _all(nodes: Iterable[Any]) -> Iterator[Any]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for body in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _all(body.node)
