"""From the best program to what may be shared: the canonical form that still fails, and the private table of names."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import onnx

from reducer.canonical import Published, published
from reducer.drafts import Draft
from reducer.engine.problem import Problem
from reducer.engine.verdict import Verdict
from reducer.errors import EditConflict
from reducer.finding import Artifact
from reducer.oracles.base import Oracle
from reducer.oracles.confirm import TIMES, confirmations
from reducer.oracles.flaky import Rate, confirmed_best
from reducer.oracles.ladder import Aim
from reducer.oracles.mismatch import MismatchOracle
from reducer.oracles.prober import Prober
from reducer.oracles.simplifier import fed_of
from reducer.programs.fed import SPLAT, pattern_of
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_source import subgraphs, walk
from reducer.programs.onnx_tensors import read_type
from reducer.signature import words
from reducer.workspace import Workspace

NAMES = "private/names.json"
# conv_1 and up say what a model is made of; t, x_1 and vg_h do not.
SHORT_NAME = 5
V = TypeVar("V")
AnyOracle = TypeVar("AnyOracle", bound=Oracle)
# With node names as a second thought: some messages are other ones for a node without a name. Last: as it was.
_FORMS = ((True, False), (True, True), (False, True))


@dataclass(frozen=True)
class Edition(Generic[AnyOracle]):
    """The final form, and an oracle that knows it by its new names."""

    form: Published
    oracle: AnyOracle


@dataclass(frozen=True)
class Wish:
    """Names and numbers as they are or not, in how many fresh processes to confirm, how often to ask for a verdict.

    `spoken` are names that stay because the failure's message speaks of them and they tell nothing.
    """

    keep_names: bool = False
    keep_weights: bool = False
    confirm: int = TIMES
    tries: int = 1
    spoken: frozenset[str] = frozenset()


def final_edition(
    problem: Problem[OnnxProgram], oracle: AnyOracle, prober: Prober, wish: Wish
) -> tuple[Edition[AnyOracle], Rate]:
    """The best program in its final form, and how often that fails in fresh processes. Where it never does, the best
    that does is looked for; where even its final form does not, it is handed over as it is."""
    confirmed = Rate(0, wish.confirm)
    for _ in range(2):
        final = edition(problem.best, oracle, prober, wish)
        shown = Rate(confirmations(final.oracle, final.form.program, wish.confirm), wish.confirm)
        if shown.failed or not wish.confirm:
            return final, shown
        confirmed = confirmed_best(problem, oracle, wish.confirm)
    return Edition(Published(problem.best), oracle), confirmed


def edition(best: OnnxProgram, oracle: AnyOracle, prober: Prober, wish: Wish) -> Edition[AnyOracle]:
    """The first of the final forms that still fails in the same way; at worst the program as it is."""
    assert oracle.target is not None
    best = replace(best, fed={**fed_of(prober, best), **best.fed})
    avoid = frozenset(words(oracle.target.detail))
    given = {name: name for name in wish.spoken & best.source.names()}
    for rename, node_names in _FORMS[2:] if wish.keep_names else _FORMS:
        try:
            form = published(best, avoid, rename=rename, node_names=node_names, given=given)
            if given:  # equal bugs are to have equal hashes, whatever their messages speak of
                form = replace(form, canonical=published(best, avoid, rename=rename, node_names=node_names).sha256)
        except EditConflict:
            continue
        knowing = _knowing(oracle, form)
        if any(knowing.judge(form.program).verdict is Verdict.INTERESTING for _ in range(wish.tries)):
            return Edition(form, knowing)
    return Edition(Published(best), oracle)


def spoken_names(message: str) -> frozenset[str]:
    """Words of the raw message that are too short to tell anything of the model. As names they may stay, so that the
    message that the user knows is that of the result too."""
    return frozenset(word for word in words(message) if len(word) <= SHORT_NAME)


def _knowing(oracle: AnyOracle, form: Published) -> AnyOracle:
    """The oracle with the new names: to mask in messages, and of outputs whose right values are known."""
    knowing = copy.copy(oracle)
    knowing.learn_names(form.program)
    if isinstance(knowing, MismatchOracle) and knowing.dispute.expected:
        expected = renamed(knowing.dispute.expected, form.table)
        knowing.dispute = replace(knowing.dispute, expected=expected)
    return knowing


def renamed(values: Mapping[str, V], table: Mapping[str, str]) -> dict[str, V]:
    """The same values under their new names."""
    return {table.get(name, name): value for name, value in values.items()}


def write_names(workspace: Workspace, names: Mapping[str, str], path: str) -> tuple[Artifact, ...]:
    """The table of names, in a folder that says what it is; nothing when nothing was renamed. `path` is the result."""
    if not names:
        return ()
    told = {
        "private": True,
        "note": f"Original names of what {path} calls otherwise. Do not share this file.",
        "names": names,
    }
    workspace.write(NAMES, json.dumps(told, indent=1))
    return (Artifact("other", NAMES),)


def why_original(aim: Aim, *, keep_weights: bool) -> str:
    """Why numbers of the source are still in the final form."""
    if keep_weights:
        return "kept on request"
    known = aim.dispute is not None and aim.dispute.b is None
    return "the verdict is known for these alone" if known or aim.nan else "the failure needs them"


def names_of(program: OnnxProgram, form: Published) -> dict[str, str]:
    """Every name of the source `program` with what the final form calls it; nothing when nothing was renamed."""
    return {**dict.fromkeys(secret_names(program), ""), **form.table} if form.names else {}


def secret_names(program: OnnxProgram) -> set[str]:
    """Everything that the source gives a name: tensors, nodes, bodies, functions, symbolic dims."""
    source = program.source
    found = set(source.names())
    for (domain, name), function in source.functions.items():
        proto = onnx.FunctionProto.FromString(function.encoded)
        found |= {name, f"{domain}.{name}", domain, *proto.input, *proto.output}
        found |= {tensor for node, _ in walk(proto.node) for tensor in (*node.input, *node.output)}
    for record in source.nodes if any(record.body for record in source.nodes) else []:
        for node, _ in walk([record.proto()]) if record.body else []:
            found |= {node.name, *node.input, *node.output}
            found |= {value.name for _, body in subgraphs(node) for value in (*body.input, *body.output)}
            found |= {body.name for _, body in subgraphs(node)}
    types = [*source.inputs.values(), *source.outputs.values(), *source.value_info.values()]
    found |= {dim.dim_param for wire in types for dim in read_type(wire).tensor_type.shape.dim}
    found.add(onnx.GraphProto.FromString(source.graph_rest).name)
    return found - {""}


def original_values(program: OnnxProgram, aim: Aim, wish: Wish) -> dict[str, str]:
    """Tensors of a final program that still hold numbers of the source, each with the reason."""
    why = why_original(aim, keep_weights=wish.keep_weights)

    found = {}
    draft = Draft.of(program)
    for slot in draft.slots():
        try:
            array = draft.array(slot)
        except EditConflict:
            continue
        pattern = pattern_of(array)
        number = f"{float(array.ravel()[0]):.1g}" if pattern == SPLAT and array.dtype.kind in "iuf" else ""
        plain = pattern is not None and (pattern != SPLAT or (number and float(number) == float(array.ravel()[0])))
        if not plain:
            found[slot.name or slot.attribute] = why
    return found
