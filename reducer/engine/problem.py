"""The reduction problem: the best program so far, its cache and its budget. The only mutable object of the engine."""

from __future__ import annotations

import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from reducer.engine.events import Event, Improved, Judged, Listener, PassFault, PassStarted
from reducer.engine.verdict import Judgement, Oracle, Verdict
from reducer.errors import EditConflict
from reducer.programs.base import Program

P = TypeVar("P", bound=Program)


class OutOfBudget(Exception):
    """The calls or seconds that the user allowed are used up; the best so far stands."""


class TurnOver(OutOfBudget):
    """The time that one part of the work was given is used up; what it found stands, and the rest goes on."""


@dataclass(frozen=True)
class Budget:
    """None means no limit. `jobs` candidates are judged side by side; the result does not depend on it. After
    `recheck` calls a new best is judged once more (0: never), for failures that come and go."""

    calls: int | None = None
    seconds: float | None = None
    jobs: int = 1
    recheck: int = 0


def ignore(_: Event) -> None:
    """The listener of those who do not listen."""


class Problem(Generic[P]):
    """Judges candidates and keeps the smallest that still fails in the same way.

    `remembered` are judgements of an earlier run on the same problem, by key: they cost no call.
    """

    def __init__(
        self,
        start: P,
        oracle: Oracle[P],
        budget: Budget | None = None,
        listener: Listener = ignore,
        remembered: Mapping[str, Judgement] | None = None,
    ) -> None:
        self.best, self._oracle, self.budget, self._tell = start, oracle, budget or Budget(), listener
        self._remembered = dict(remembered or {})
        # Every best before the present one, oldest first; `_sure` is how many of them are beyond doubt.
        self.earlier: list[P] = []
        self._sure, self._checked = 0, 0
        self.phase = ""
        self.calls = self.cache_hits = self.speculated = 0
        self.oracle_seconds = 0.0
        # What else must hold of a candidate that fails in the same way: "" when it does, else why not.
        self.guard: Callable[[P], str] | None = None
        # Until when the present part of the work may go on (time.perf_counter), None: no limit of its own.
        self.deadline: float | None = None
        self.spent_in: defaultdict[str, float] = defaultdict(float)
        self.successes: Counter[str] = Counter()
        self.tries: Counter[str] = Counter()
        self._started, self._ended = time.perf_counter(), 0.0
        self._cache: dict[str, Judgement] = {}
        self._pending: dict[str, Future[tuple[Judgement, float]]] = {}
        jobs = self.budget.jobs
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="oracle") if jobs > 1 else None

    def enter(self, phase: str) -> None:
        """Name what follows, for people and for the log."""
        self.phase = phase
        self._tell(PassStarted(phase, self.best.size()[0]))

    def consider(self, candidate: P, upcoming: Iterable[P] = ()) -> bool:
        """Judge a candidate; when it is interesting and smaller it becomes the best. `upcoming` are likely next
        candidates, judged meanwhile by idle workers. Raises OutOfBudget."""
        try:
            if not candidate.size() < self.best.size():
                return False
            judgement = self.judge(candidate, upcoming)
        except EditConflict:
            return False
        if judgement.verdict is not Verdict.INTERESTING:
            return False
        self.earlier.append(self.best)
        self.best = candidate
        self.successes[self.phase] += 1
        self._tell(Improved(self.calls, candidate.size()[0], candidate))
        self._recheck()
        return True

    def retreat(self) -> bool:
        """Go back to the best before this one; False when there is none."""
        if not self.earlier:
            return False
        self.best = self.earlier.pop()
        self._tell(Improved(self.calls, self.best.size()[0], self.best))
        return True

    def _recheck(self) -> None:
        """Judge the best again when it is due. One that was taken by luck is given back, and so on."""
        if not self.budget.recheck or self.calls - self._checked < self.budget.recheck:
            return
        self._checked = self.calls
        while len(self.earlier) > self._sure:
            judgement, spent = self._timed(self.best)
            self._count(self.best.key(), self.best, judgement, spent)
            if judgement.verdict is Verdict.INTERESTING:
                break
            self.retreat()
        self._sure = len(self.earlier)

    def judge(self, candidate: P, upcoming: Iterable[P] = ()) -> Judgement:
        """The judgement, from the cache when the same program was judged before."""
        key = candidate.key()
        known = self._cache.get(key)
        if known is not None and not self._oracle.outdated(known):
            self.cache_hits += 1
            return known
        known = self._remembered.pop(key, None)
        if known is not None and not self._oracle.outdated(known):
            self.cache_hits += 1
            self._cache[key] = known
            self._report(key, candidate, known, cached=True)
            return known
        self._check_budget()
        judgement, spent = self._run(key, candidate, upcoming)
        self._count(key, candidate, judgement, spent)
        return judgement

    def _count(self, key: str, candidate: P, judgement: Judgement, spent: float) -> None:
        self.calls += 1
        self.tries[self.phase] += 1
        self.oracle_seconds += spent
        self.spent_in[self.phase] += spent
        self._cache[key] = judgement
        self._report(key, candidate, replace(judgement, seconds=spent), cached=False)

    def _report(self, key: str, candidate: P, judgement: Judgement, *, cached: bool) -> None:
        verdict, nodes = judgement.verdict.value, candidate.size()[0]
        told = (verdict, judgement.signature, judgement.seconds, cached, judgement.reason, key, candidate)
        self._tell(Judged(self.calls, self.phase, nodes, *told, judgement.limit))

    def known(self, candidate: P) -> Judgement | None:
        """A judgement that was made before, without making one."""
        return self._cache.get(candidate.key())

    def spent(self, seconds: float) -> None:
        """Time in isolated runs that serve the search without judging a candidate: recording types and values."""
        self.oracle_seconds += seconds

    def statistics(self) -> tuple[dict[str, Any], ...]:
        """Calls, successes and wall seconds in the oracle of every phase and pass, in the order of their first call."""
        return tuple(
            {
                "pass": name,
                "calls": calls,
                "successes": self.successes[name],
                "seconds": round(self.spent_in[name], 4),
            }
            for name, calls in self.tries.items()
        )

    @property
    def seconds(self) -> float:
        """Wall seconds from when the problem was posed until it was closed."""
        return (self._ended or time.perf_counter()) - self._started

    def report_fault(self, name: str, error: Exception) -> None:
        """A pass broke: listeners hear of it, the run goes on without it."""
        self._tell(PassFault(name, "".join(traceback.format_exception(error))))

    def close(self) -> None:
        """The search is over: stop the clock, forget speculation, wait for candidates that are being judged."""
        self._ended = time.perf_counter()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _check_budget(self) -> None:
        if self.budget.calls is not None and self.calls >= self.budget.calls:
            raise OutOfBudget(f"{self.calls} calls")
        if self.budget.seconds is not None and self.seconds >= self.budget.seconds:
            raise OutOfBudget(f"{self.seconds:.0f} s")
        if self.deadline is not None and time.perf_counter() > self.deadline:
            raise TurnOver(self.phase)

    def _run(self, key: str, candidate: P, upcoming: Iterable[P]) -> tuple[Judgement, float]:
        if self._pool is None:
            return self._timed(candidate)
        future = self._pending.pop(key, None) or self._pool.submit(self._timed, candidate)
        self._speculate(upcoming)
        return future.result()

    def _speculate(self, upcoming: Iterable[P]) -> None:
        """Start judging what will probably be asked next; verdicts are only used if it really is."""
        assert self._pool is not None
        for key in [key for key, future in self._pending.items() if future.done() or future.cancel()]:
            # Finished but not asked for yet: it may still be; cancelled: it never ran.
            if self._pending[key].cancelled():
                del self._pending[key]
                self.speculated -= 1
        running = sum(1 for future in self._pending.values() if not future.done())
        for program in upcoming:
            if running >= self.budget.jobs - 1:
                return
            try:
                key = program.key()
            except EditConflict:
                continue
            if key not in self._cache and key not in self._pending:
                self.speculated += 1
                self._pending[key] = self._pool.submit(self._timed, program)
                running += 1

    def _timed(self, candidate: P) -> tuple[Judgement, float]:
        start = time.perf_counter()
        judgement = self._oracle.judge(candidate)
        if judgement.verdict is Verdict.INTERESTING and self.guard is not None and (why := self.guard(candidate)):
            judgement = Judgement(Verdict.INVALID, judgement.signature, judgement.seconds, why)
        return judgement, time.perf_counter() - start
