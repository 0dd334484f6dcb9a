"""What every reduction pass and backend promises, as functions that tests call on each registered one.

For the author of a plug-in: `check_pass(MyPass(), programs)` and `check_backend("pkg.mod:MyBackend", host, ...)`
raise AssertionError with the promise that is broken.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Sequence

from reducer.backends.base import Backend
from reducer.engine.problem import Problem
from reducer.engine.reducer import Reducer
from reducer.engine.verdict import Judgement, Verdict
from reducer.errors import EditConflict
from reducer.passes.base import ReductionPass
from reducer.programs.onnx import OnnxProgram
from reducer.worker.host import Host
from reducer.worker.protocol import RETURNED, Call

CLIMB = "reducer.worker.tasks:climb"


def check_pass(reduction: ReductionPass[OnnxProgram], programs: Iterable[OnnxProgram]) -> None:
    """Deterministic, pure, every edit valid or a conflict, strictly smaller, and it ends on its own."""
    for program in programs:
        key = program.key()
        edits = list(reduction.propose(program))
        assert edits == list(reduction.propose(program)), "the same program must get the same proposals"
        assert program.key() == key, "proposing must not change the program"
        for edit in edits:
            _check_edit(reduction, program, edit.apply)
        assert program.key() == key, "applying must not change the program"
        _check_end(reduction, program)


def _check_edit(reduction: ReductionPass[OnnxProgram], program: OnnxProgram, apply: object) -> None:
    assert callable(apply)
    try:
        candidate = apply(program)
        raw = candidate.model_bytes(inline=True)
        size = candidate.size()
    except EditConflict:
        return
    assert raw, "an edit gives a program that can be written"
    assert reduction.may_grow or size < program.size(), "an edit makes the program strictly smaller"


class AlwaysTrue:
    """The oracle that finds everything interesting."""

    def judge(self, _: OnnxProgram) -> Judgement:
        """Yes."""
        return Judgement(Verdict.INTERESTING)

    def outdated(self, _: Judgement) -> bool:
        """Yes is yes."""
        return False


def _check_end(reduction: ReductionPass[OnnxProgram], program: OnnxProgram) -> None:
    problem = Problem(program, AlwaysTrue())
    Reducer(problem, [reduction]).run(())
    key = problem.best.key()
    Reducer(problem, [reduction]).run(())
    assert problem.best.key() == key, "a second run must leave the result of the first alone"


def check_backend(path: str, host: Host, good: bytes, bad: bytes) -> None:
    """Probed without importing its framework; runs a good model; fails on a bad one in `open`."""
    module, _, name = path.partition(":")
    before = set(sys.modules)
    backend: Backend = getattr(importlib.import_module(module), name)()
    heavy = {"onnxruntime", "torch", "tensorflow", "tf2onnx"} & (set(sys.modules) - before)
    assert not heavy, f"naming the backend imports {heavy}"
    assert backend.name, "a backend has a name"
    report = _report(path, host, good)
    assert report["error"] == "", f"a good model fails: {report['message']}"
    report = _report(path, host, bad)
    assert report["error"], "a bad model passes"
    assert report["stage"] == backend.open_stage, "a bad model must fail in open, not later"


def _report(path: str, host: Host, model: bytes) -> dict[str, str]:
    answer = host.call(Call(CLIMB, {"probes": [{"backend": path, "options": {}, "run": False}]}, (model,)))
    assert answer.outcome == RETURNED, f"the backend {answer.outcome}: {answer.stderr}"
    probes: Sequence[dict[str, str]] = answer.value["probes"]
    return probes[0]
