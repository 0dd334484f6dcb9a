"""The smallest passing neighbour: one edit away from what fails (step 10 of the data path).

Every edit was judged on the final program when the passes came to rest, so the neighbours that pass are known
without another run; only the one that is saved runs once more, in its final form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from reducer import registry
from reducer.canonical import Published, published
from reducer.engine.problem import Problem
from reducer.engine.verdict import Verdict
from reducer.errors import EditConflict
from reducer.finding import Artifact, Contrast
from reducer.passes.base import Edit, ReductionPass
from reducer.programs.base import Size
from reducer.programs.onnx import OnnxProgram
from reducer.publishing import Edition
from reducer.saving import save_model
from reducer.workspace import Workspace

PATH = "contrast.onnx"
# What tells a reader most comes first: a type, an attribute, then sizes and numbers, then nodes.
_TELLING = ("plain element types", "drop attributes", "drop optional inputs and outputs", "simpler operators")
MOST_TRIES = 6


def contrast_of(
    problem: Problem[OnnxProgram], final: Edition[Any], workspace: Workspace
) -> tuple[Contrast | None, tuple[Artifact, ...]]:
    """Write the nearest passing neighbour, when there is one, in the names of the final form."""
    return save_contrast(passing_neighbours(problem, registry.passes()), final, workspace)


def passing_neighbours(
    problem: Problem[OnnxProgram], passes: Sequence[ReductionPass[Any]]
) -> Iterator[tuple[OnnxProgram, str]]:
    """(program, the edit in words) of every neighbour that is known to pass, the most telling first."""
    order = {name: position for position, name in enumerate(_TELLING)}
    for reduction in sorted(passes, key=lambda p: order.get(p.name, len(order))):
        found: list[tuple[Size, int, OnnxProgram, str]] = []
        for edit in _proposed(reduction, problem.best):
            if type(edit).__str__ is object.__str__:
                continue  # it has no words for what it does
            try:
                candidate = edit.apply(problem.best)
                known = problem.known(candidate)
            except EditConflict:
                continue
            if known is not None and known.verdict is Verdict.PASSED:
                found.append((candidate.size(), len(found), candidate, str(edit)))
        # The nearest one of a pass is the largest: it lost least.
        yield from ((candidate, words) for _, _, candidate, words in sorted(found, reverse=True, key=lambda f: f[:2]))


def _proposed(reduction: ReductionPass[Any], program: OnnxProgram) -> Iterable[Edit[OnnxProgram]]:
    try:
        return list(reduction.propose(program))
    except EditConflict:
        return []


def save_contrast(
    neighbours: Iterable[tuple[OnnxProgram, str]], final: Edition[Any], workspace: Workspace
) -> tuple[Contrast | None, tuple[Artifact, ...]]:
    """The first neighbour that passes in its final form, too, under the names that the failing model has."""
    form = final.form
    for number, (program, words) in enumerate(neighbours):
        if number == MOST_TRIES:
            break
        try:
            made = published(program, (), rename=bool(form.names), given=form.table)
        except EditConflict:
            continue
        if final.oracle.judge(made.program).verdict is Verdict.PASSED:
            workspace.write(PATH, partial(save_model, made.program))
            return Contrast(PATH, _renamed(words, form)), (Artifact("other", PATH),)
    return None, ()


def _renamed(words: str, form: Published) -> str:
    """The edit in the names of the final form; a node that has none there by its type."""
    table = form.table
    for new, old in form.names.items():
        if new.startswith("node "):
            table.setdefault(old, new.removeprefix("node ") if "(" not in new else f"the {new.split('(')[1][:-1]}")
    return re.sub(r"[^\s,:\[\]]+", lambda match: table.get(match.group(0), match.group(0)), words)
