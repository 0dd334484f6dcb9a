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
from reducer.errors import EditConflict
from reducer.oracles.capture import Capture
from reducer.oracles.prober import Prober
from reducer.passes.base import ReductionPass
from reducer.programs.fed import Fed
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_size import is_small

# Rounds of passes and fresh inference; the second finds nothing new as a rule.
ROUNDS = 4
# It may take as long as the node phase did, and at least that long.
LEAST_SECONDS = 5.0
Learn = Callable[[OnnxProgram], OnnxProgram]


class Simplifier:
    """`learn` gives a program the values that its verdict can depend on."""

    def __init__(self, prober: Prober, capture: Capture, learn: Learn, passes: Sequence[ReductionPass[Any]]) -> None:
        self.prober, self.capture, self.learn, self.passes = prober, capture, learn, passes

    def run(self, problem: Problem[OnnxProgram]) -> None:
        """All passes to a fixpoint. Raises OutOfBudget for the user's budget, never for its own."""
        problem.deadline = time.perf_counter() + max(LEAST_SECONDS, problem.seconds)
        try:
            if is_small(problem.best):
                self._open(problem)
            for _ in range(ROUNDS):
                size = problem.best.size()
                Reducer(problem, self.passes).finish()
                if problem.best.size() == size:
                    return
                self._know_again(problem)
        except TurnOver:
            return
        finally:
            problem.deadline = None

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
        except EditConflict:
            return

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
