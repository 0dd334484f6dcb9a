"""The order of work: windows around suspects, the shortest failing prefix, chunks, then passes to a fixpoint."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from reducer.engine.problem import OutOfBudget, Problem
from reducer.engine.search import chunked_deletion, grown_window, shortest_prefix
from reducer.errors import EditConflict, ToolFault
from reducer.passes.base import Edit, ReductionPass
from reducer.programs.base import NodeId, Program

P = TypeVar("P", bound=Program)

WINDOW_RADII = (0, 1, 2, 4)
# A wrong suspect must cost less than it can save: this many calls for all windows together.
WINDOW_CALLS = 12
WIDE_WINDOW = 24
GLANCES = 4


@dataclass(frozen=True)
class Seed:
    """Nodes that belong together in a suspicion, best first in a list of seeds."""

    nodes: tuple[NodeId, ...]


class Reducer(Generic[P]):
    """Runs one problem to its fixpoint."""

    def __init__(self, problem: Problem[P], passes: Sequence[ReductionPass[P]]) -> None:
        self.problem, self.passes = problem, passes

    def run(self, seeds: Sequence[Seed]) -> None:
        """Reduce; the result is `problem.best`. Raises OutOfBudget with the best so far in place."""
        start = self.problem.best
        if len(start.units()) > 1:
            self._subsets(self._prepared(start), seeds)
            if self.problem.best is start and self._prepared(start).key() != start.key():
                # Nothing held: perhaps the failure needs what the eager edits take away.
                self._subsets(start, seeds)
        self._fixpoint()

    def finish(self) -> None:
        """The passes alone, to a fixpoint: for a program that is small already."""
        self._fixpoint()

    def glance(self, seeds: Sequence[Seed]) -> bool:
        """Try each suspect alone. True: one node is left, and nothing else need be known of the program."""
        start = self._prepared(self.problem.best)
        self.problem.enter("the suspect alone")
        for seed in [seed for seed in seeds if len(seed.nodes) == 1][:GLANCES]:
            if len(start.units()) > 1 and self._keeps(start)(seed.nodes, []):
                self._fixpoint()
                return True
        return False

    def _prepared(self, program: P) -> P:
        """The program with the edits of all eager passes, untested."""
        for reduction in (r for r in self.passes if r.eager):
            for edit in reduction.propose(program):
                program = _applied(edit, program) or program
        return program

    def _subsets(self, base: P, seeds: Sequence[Seed]) -> None:
        if not self._windows(base, seeds):
            self._bisect(base)
        self._chunks(self._current(base), frozenset())

    def _current(self, base: P) -> P:
        """The best so far; `base` while nothing was found."""
        return self.problem.best if self.problem.successes else base

    # --- subsets of nodes ------------------------------------------------------------------------------------
    def _windows(self, start: P, seeds: Sequence[Seed]) -> bool:
        """Small windows around each suspect, narrow ones of all suspects first."""
        self.problem.enter("window around the suspect")
        first_call = self.problem.calls
        most = max(WIDE_WINDOW, len(start.units()) // 2)
        for radii in ((0,), (1,), (2, 4)):
            for seed in seeds:
                if self.problem.calls - first_call >= WINDOW_CALLS:
                    return False
                nodes = [node for node in seed.nodes if node in start.units()]
                if nodes and grown_window(nodes, start.neighbours, self._keeps(start), radii, most):
                    return True
        return False

    def _bisect(self, start: P) -> None:
        """Cut the longest tail that is not needed; the node before it is then a suspect of its own."""
        self.problem.enter("shortest failing prefix")
        prefix = shortest_prefix(start.units(), self._keeps(start))
        most = max(WIDE_WINDOW, len(prefix) // 2)
        self.problem.enter("window around its last node")
        best = self._current(start)
        hit = grown_window(prefix[-1:], best.neighbours, self._keeps(best), (0, 1, 2), most)
        if hit is None:
            self._chunks(self._current(start), frozenset(prefix[-1:]))

    def _chunks(self, start: P, pinned: frozenset[NodeId]) -> None:
        if len(start.units()) <= 2:
            return  # the passes try single nodes anyway
        self.problem.enter("chunks")
        chunked_deletion(start.units(), self._keeps(start), pinned)

    def _keeps(self, base: P) -> _KeepTest[P]:
        return _KeepTest(self.problem, base)

    # --- passes ----------------------------------------------------------------------------------------------
    def _fixpoint(self) -> None:
        """All passes in turn until a round changes nothing. A pass that breaks is switched off, no more."""
        working = list(self.passes)
        while True:
            size = self.problem.best.size()
            for reduction in list(working):
                try:
                    self._apply(reduction)
                except (OutOfBudget, ToolFault):
                    raise
                except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
                    working.remove(reduction)
                    self.problem.report_fault(reduction.name, error)
            if self.problem.best.size() == size:
                return

    def _apply(self, reduction: ReductionPass[P]) -> None:
        edits = list(reduction.propose(self.problem.best))
        if edits:
            self.problem.enter(reduction.name)
        missed = 0
        for position, edit in enumerate(edits):
            candidate = _applied(edit, self.problem.best)
            if candidate is not None:
                ahead = [_applied(later, self.problem.best) for later in edits[position + 1 : position + 2]]
                kept = self.problem.consider(candidate, [program for program in ahead if program is not None])
                missed = 0 if kept else missed + 1
                if reduction.patience and missed >= reduction.patience:
                    return


def _applied(edit: Edit[P], program: P) -> P | None:
    try:
        return edit.apply(program)
    except EditConflict:
        return None


class _KeepTest(Generic[P]):
    """`test(kept)` of the searches: judge `base` restricted to the kept nodes."""

    def __init__(self, problem: Problem[P], base: P) -> None:
        self.problem, self.base = problem, base

    def __call__(self, kept: Sequence[NodeId], upcoming: Iterable[Sequence[NodeId]]) -> bool:
        ahead = (self.base.restrict(frozenset(nodes), {}) for nodes in upcoming)
        return self.problem.consider(self.base.restrict(frozenset(kept), {}), ahead)


def is_one_minimal(problem: Problem[P], removals: Iterable[P]) -> bool:
    """Whether every one of these programs was judged and none was interesting."""
    judgements = [problem.known(program) for program in removals]
    return all(judgement is not None and judgement.verdict.value != "interesting" for judgement in judgements)
