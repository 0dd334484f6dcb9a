"""One more reduction with only the culprit passes on: what the others did to the graph is then out of the way.

Step 10 of the data path. A smaller model that also fails with the user's own settings replaces the result; one
that does not is kept beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from reducer.engine.problem import Budget, OutOfBudget, Problem
from reducer.engine.reducer import Reducer
from reducer.engine.verdict import Verdict
from reducer.observation import Probe
from reducer.oracles.base import Oracle
from reducer.oracles.crash import CrashOracle
from reducer.oracles.mismatch import MismatchOracle
from reducer.passes.base import ReductionPass, Stage
from reducer.programs.onnx import OnnxProgram

CALLS, SECONDS = 60, 4.0


def with_culprits_only(
    oracle: Oracle, program: OnnxProgram, options: Mapping[str, str], passes: Sequence[ReductionPass[OnnxProgram]]
) -> OnnxProgram:
    """The smallest model that fails with these options of the failing probe; `program` when nothing could go."""
    narrow = narrowed(oracle, options)
    if narrow is None or len(program.nodes()) < 2 or narrow.judge(program).verdict is not Verdict.INTERESTING:
        return program
    problem: Problem[OnnxProgram] = Problem(program, narrow, Budget(CALLS, SECONDS))
    try:
        Reducer(problem, [p for p in passes if p.stage is not Stage.INSIDE]).finish()
    except OutOfBudget:
        pass  # the best so far stands
    finally:
        problem.close()
    return problem.best


def narrowed(oracle: Oracle, options: Mapping[str, str]) -> Oracle | None:
    """The same oracle with these options on top of the failing probe's; None where options change nothing."""
    if isinstance(oracle, CrashOracle):
        probe = _with(oracle.probe, options)
        return CrashOracle(oracle.prober, probe, oracle.target, oracle.vocabulary, oracle.limits)
    if isinstance(oracle, MismatchOracle) and oracle.dispute.b is not None:
        old = oracle.dispute
        failing = next(p for p in old.probes if p.label == old.odd)
        probe = _with(failing, options)
        a, b = (probe if p == failing else p for p in old.probes)
        difference = replace(old.difference, a=a, b=b)
        dispute = replace(old, a=a, b=b, difference=difference, odd=probe.label)
        return MismatchOracle(oracle.prober, dispute, oracle.vocabulary, oracle.limits)
    return None


def _with(probe: Probe, options: Mapping[str, str]) -> Probe:
    return replace(probe, options={**probe.options, **options})
