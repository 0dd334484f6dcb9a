"""Failures that come and go: how often, and what that means for the search (step 4 of the data path)."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from reducer.engine.problem import Problem
from reducer.engine.verdict import Judgement, Verdict
from reducer.engine.verdict import Oracle as Asked
from reducer.oracles.base import Oracle
from reducer.oracles.confirm import confirmations
from reducer.programs.onnx import OnnxProgram

# The ladder (or the first run of a check) showed it once; so many fresh processes more make it stable.
FIRST = 2
TRIES = 20
AT_ONCE = 2
MOST_SECONDS = 60.0
# A candidate that fails at this rate is missed with that probability.
MISSED = 0.02
MOST_REPETITIONS = 40
RECHECK_CALLS = 25


@dataclass(frozen=True)
class Rate:
    """`failed` of `tried` runs in fresh processes showed the failure."""

    failed: int
    tried: int

    @property
    def stable(self) -> bool:
        """Whether it failed every time."""
        return self.failed == self.tried

    @property
    def repetitions(self) -> int:
        """Runs per candidate, so that one that fails at this rate is seldom missed (engine.md section 5, step 1)."""
        if self.stable:
            return 1
        rate = max(self.failed, 0.5) / self.tried
        return min(MOST_REPETITIONS, math.ceil(math.log(MISSED) / math.log(1 - rate)))

    def __str__(self) -> str:
        return f"{self.failed}/{self.tried}"


def measured(oracle: Oracle, program: OnnxProgram) -> Rate:
    """Run the source again in fresh processes: twice where it always fails, up to TRIES times where it does not."""
    failed = confirmations(oracle, program, FIRST)
    tried, end = FIRST, time.perf_counter() + MOST_SECONDS
    while failed < tried < TRIES and time.perf_counter() < end:
        failed += confirmations(oracle, program, AT_ONCE)
        tried += AT_ONCE
    return Rate(failed, tried)


class Repeating:
    """Asks another oracle again until it says INTERESTING, at most `times` times, `jobs` fresh processes at once.

    Fresh ones, because the rate was measured in such: what a warm worker holds may change it.
    """

    def __init__(self, oracle: Oracle, times: int, jobs: int = AT_ONCE) -> None:
        self.oracle, self.times, self.jobs = oracle, times, jobs

    def judge(self, program: OnnxProgram) -> Judgement:
        """INTERESTING if any run shows the failure, else the verdict that says most."""
        judged: list[Judgement] = []
        with ThreadPoolExecutor(self.jobs) as pool:
            while len(judged) < self.times:
                judged += pool.map(self.oracle.confirm, [program] * min(self.jobs, self.times - len(judged)))
                for judgement in judged[-self.jobs :]:
                    if judgement.verdict in (Verdict.INTERESTING, Verdict.INVALID):
                        return judgement
        return max(judged, key=lambda judgement: _WEIGHT[judgement.verdict])

    def outdated(self, judgement: Judgement) -> bool:
        """As the oracle that is asked."""
        return self.oracle.outdated(judgement)


_WEIGHT = {
    Verdict.PASSED: 0,
    Verdict.UNRESOLVED: 1,
    Verdict.INVALID: 2,
    Verdict.SLIPPED: 3,
    Verdict.INTERESTING: 4,
}


class Settling:
    """Stands for an oracle that is chosen at the first question, when `settle` knows how stable the failure is."""

    def __init__(self, settle: Callable[[], Asked[OnnxProgram]]) -> None:
        self._settle = settle
        self._lock = threading.Lock()
        self._chosen: Asked[OnnxProgram] | None = None

    def _asked(self) -> Asked[OnnxProgram]:
        with self._lock:
            if self._chosen is None:
                self._chosen = self._settle()
            return self._chosen

    def judge(self, program: OnnxProgram) -> Judgement:
        """As the oracle that was chosen."""
        return self._asked().judge(program)

    def outdated(self, judgement: Judgement) -> bool:
        """As the oracle that was chosen."""
        return self._asked().outdated(judgement)


def confirmed_best(problem: Problem[OnnxProgram], oracle: Oracle, times: int) -> Rate:
    """How often the best fails in fresh processes. One that never does is given up for the one before it, in
    growing steps back, so that what is handed over does fail."""
    shown = Rate(confirmations(oracle, problem.best, times), times)
    step = 1
    while times and not shown.failed and problem.earlier:
        for _ in range(step):
            if not problem.retreat():
                break
        step *= 2
        shown = Rate(confirmations(oracle, problem.best, times), times)
    return shown
