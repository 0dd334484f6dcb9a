"""Where to look first in a TensorFlow graph, free of oracle calls but one: what the converter and the runtime name,
and the first tensors that differ. Functions, not Localizer classes: those explain ONNX programs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from reducer.engine.reducer import Seed
from reducer.oracles.conversion_signature import UNSUPPORTED
from reducer.programs.base import NodeId
from reducer.programs.graphdef import GraphProgram
from reducer.programs.graphdef_source import GraphSource
from reducer.signature import FailureSignature, words

MOST_SEEDS = 8
_COUNTER = re.compile(r"__\d+$")


def seeds(program: GraphProgram, report: Mapping[str, Any], target: FailureSignature) -> list[Seed]:
    """Nodes named by tf2onnx's log or the runtime's message, the likeliest first."""
    source = program.source
    log, failure = report["log"], report["failure"] or {}
    found: list[NodeId] = []
    if target.kind == UNSUPPORTED:
        wanted = [u for u in log["unsupported"] if target.detail.endswith(f" {u['op']}")]
        found += named(source, (u["node"] for u in wanted))
    found += named(source, (error["node"] for error in log["raised"]))
    message = failure.get("message", "")
    found += named(source, words(message))
    # A type stands for its nodes, once the converter's name of it is TensorFlow's too.
    mentioned = set(words(message))
    found += [r.ref.id for r in source.records if r.ref.op_type in mentioned and not r.is_leaf]
    return as_seeds(program, found)


def typed_seeds(program: GraphProgram, target: FailureSignature) -> list[Seed]:
    """Nodes of the types that the failure's own text names."""
    mentioned = set(words(target.detail))
    return as_seeds(program, (r.ref.id for r in program.records if r.ref.op_type in mentioned))


def as_seeds(program: GraphProgram, nodes: Iterable[NodeId]) -> list[Seed]:
    """One seed per group of nodes, in order, a few."""
    leaders = {member: group for group in program.keep for member in program.source.groups[group]}
    groups = dict.fromkeys(leaders[node] for node in nodes if node in leaders)
    return [Seed((group,)) for group in list(groups)[:MOST_SEEDS]]


def named(source: GraphSource, texts: Iterable[str], among: Collection[NodeId] | None = None) -> list[NodeId]:
    """Nodes that these names mean: tf2onnx keeps TensorFlow's node names and appends a counter, a port or a suffix.
    With `among`, only those can be meant."""
    found = []
    for text in texts:
        name = text.strip().strip("'\"")
        if name not in source.by_name:  # names of TFLite may hold a colon of their own
            name = _COUNTER.sub("", name.partition(":")[0])
        while name:
            record = source.by_name.get(name)
            if record is not None and (among is None or record.ref.id in among):
                if not record.is_leaf:
                    found.append(record.ref.id)
                break
            shorter = max(name.rfind("/"), name.rfind("_"), name.rfind("__"))
            name = _COUNTER.sub("", name[:shorter]) if shorter > 0 else ""
    return found
