"""Behind the node phase: what is left is made simpler in all other ways, then brought into its final form.

Works on one problem whose best program is small. Feeds become part of the program first, so that they are seen by
sizes, keys and passes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from reducer.drafts import Draft
from reducer.engine.problem import Problem, TurnOver
from reducer.engine.reducer import Reducer
from reducer.engine.verdict import Verdict
from reducer.errors import EditConflict, ToolFault
from reducer.observation import PASSED, Probe
from reducer.oracles.capture import Capture
from reducer.oracles.ladder import CHECKER, INFERENCE
from reducer.oracles.prober import Order, Prober
from reducer.passes.base import ReductionPass, Stage
from reducer.passes.declare_shapes import with_shapes
from reducer.passes.drop_node import DropNode
from reducer.programs.fed import Fed
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_size import is_small

# Rounds of passes and fresh inference; the second finds nothing new as a rule.
ROUNDS = 4
# It may take as long as the node phase did, and at least that long.
LEAST_SECONDS = 5.0
_JUDGES = (Probe(CHECKER, run=False), Probe(INFERENCE, run=False))
Learn = Callable[[OnnxProgram], OnnxProgram]


class Simplifier:
    """`learn` gives a program the values that its verdict can depend on."""

    def __init__(self, prober: Prober, capture: Capture, learn: Learn, passes: Sequence[ReductionPass[Any]]) -> None:
        self.prober, self.capture, self.learn, self.passes = prober, capture, learn, list(passes)

    def run(self, problem: Problem[OnnxProgram]) -> None:
        """All passes to a fixpoint. Raises OutOfBudget for the user's budget, never for its own."""
        try:
            self._rounds(problem)
        except TurnOver:
            problem.deadline = None
            # What every result must have, in a few calls: no node too many, and outputs with shapes.
            last = [p for p in self.passes if p.stage is Stage.CANONICALISE or p.name == DropNode.name]
            self._know_again(problem)
            Reducer(problem, last if is_small(problem.best) else []).finish()
        finally:
            problem.deadline = problem.guard = None

    def _rounds(self, problem: Problem[OnnxProgram]) -> None:
        if is_small(problem.best):
            self._open(problem)
        # Fewer nodes are worth any time, inside bodies too; what follows has a limit of its own.
        Reducer(problem, [reduction for reduction in self.passes if reduction.stage is Stage.INSIDE]).finish()
        problem.deadline = time.perf_counter() + max(LEAST_SECONDS, problem.seconds)
        # Nodes were cut before; what has changed since may allow to cut more, but only at the end.
        passes = [reduction for reduction in self.passes if reduction.stage is not Stage.CUT]
        for _ in range(ROUNDS):
            size = problem.best.size()
            Reducer(problem, passes).finish()
            if problem.best.size() == size and passes == self.passes:
                return
            passes = self.passes
            self._know_again(problem)

    def _open(self, problem: Problem[OnnxProgram]) -> None:
        """Have the best program stand as a message of its own with its feeds, if it still fails then."""
        best = problem.best
        try:
            draft = Draft.of(best)
            draft.fed = fed_of(self.prober, best)
            made = draft.program(best)
            problem.enter("open form")
            if problem.judge(made).verdict is Verdict.INTERESTING:
                problem.best = made
            problem.guard = self._guard(problem.best)
        except EditConflict:
            return

    def _guard(self, program: OnnxProgram) -> Callable[[OnnxProgram], str]:
        """What accepts the program now must accept every simpler one: else an illegal model could fail in the same
        words, or die in the same way, and would be another bug."""
        accepting = tuple(probe for probe in _JUDGES if self._accepts(program, (probe,)))
        return lambda made: "" if self._accepts(made, accepting) else "no longer legal ONNX"

    def _accepts(self, program: OnnxProgram, probes: tuple[Probe, ...]) -> bool:
        if not probes:
            return True
        try:
            shaped = with_shapes(self.capture.types(program))
            seen = self.prober.climb(shaped, Order(probes), self.capture.limits.candidate)[0]
        except (EditConflict, ToolFault):
            return False
        return all(observation.outcome == PASSED for observation in seen)

    def _know_again(self, problem: Problem[OnnxProgram]) -> None:
        """Types, and values where nodes can still be cut, of the program as it is now."""
        try:
            known = self.capture.types(problem.best)
            problem.best = self.learn(known) if len(known.keep) > 1 else known
        except EditConflict:
            return


def fed_of(prober: Prober, program: OnnxProgram) -> dict[str, Fed]:
    """The feeds of a program as parts of it; none when it cannot be fed."""
    try:
        found = prober.feeds.feeds_of(program)
    except EditConflict:
        return {}
    return {name: Fed.recorded(ref) for name, ref in found.items()}
