"""The search on a torch graph: the nodes that the message names, each node alone, then subsets; then simpler forms.

Between front end and conclusion on the data path of a PyTorch source (steps 6 to 9).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from reducer import registry
from reducer.engine.problem import Budget, OutOfBudget, Problem
from reducer.engine.reducer import Reducer, Seed, is_one_minimal
from reducer.engine.verdict import Verdict
from reducer.oracles.export import ExportOracle, nodes_of
from reducer.passes.base import Stage
from reducer.passes.fx_drop_node import DropFxNode
from reducer.programs.fx import FxProgram
from reducer.settings import Settings

# Nodes of a sweep that are run before the hits so far are looked at.
SWEEP = 64
NAMED = 4
# Simpler forms of the last few nodes are for the reader: they must not take longer than that.
SIMPLIFY_SECONDS = 20.0


@dataclass
class FxReduction:
    """One search with one oracle. `status` as in finding.json; `minimal`: no single node can be dropped."""

    oracle: ExportOracle
    problem: Problem[FxProgram]
    settings: Settings
    say: Callable[[str], None]
    status: str = "reduced"
    minimal: bool = False

    def run(self) -> bool:
        """Search; False when the graph as it was cut does not show the failure at all."""
        try:
            if not self._nodes():
                return False
            self._simpler()
        except OutOfBudget:
            self.status = "budget_exhausted"
        except KeyboardInterrupt:
            self.status = "interrupted"
            self.say("interrupted: keeping the best so far")
        finally:
            self.problem.close()
        return bool(self.problem.successes) or self.oracle.judge(self.problem.best).verdict is Verdict.INTERESTING

    def _nodes(self) -> bool:
        problem, start = self.problem, self.problem.best
        problem.enter("nodes that the message names")
        named = nodes_of(start, self.oracle.report)[:NAMED]
        found = (
            any(problem.consider(start.restrict(frozenset({node}), {})) for node in named)
            if len(start.keep) > 1
            else False
        )
        if not found:
            hits = self._sweep(start)
            if not hits and not self._whole_fails():
                return False
            cutting = [p for p in registry.passes("torch") if p.stage is Stage.CUT]
            Reducer(problem, cutting).run([Seed((node,)) for node in hits[:NAMED]])
        best = problem.best
        removals = (DropFxNode(node).apply(best) for node in best.units())
        self.minimal = len(best.keep) == 1 or is_one_minimal(problem, removals)
        return True

    def _sweep(self, start: FxProgram) -> list[int]:
        """Nodes that fail alone, those of the first batch that has any."""
        self.problem.enter("every node alone")
        units = list(start.units())
        for position in range(0, len(units), SWEEP):
            batch = start.restrict(frozenset(units[position : position + SWEEP]), {})
            hits = self.oracle.sweep(batch)
            if hits:
                return hits
            limit = self.settings.budget_seconds
            if limit is not None and self.problem.seconds > limit:
                raise OutOfBudget("the sweep")
        return []

    def _whole_fails(self) -> bool:
        """Whether the whole graph fails when it is cut loose; if only with its parameters as constants, so be it."""
        problem = self.problem
        problem.enter("the whole graph")
        for program in (problem.best, replace(problem.best, constants=True)):
            if problem.judge(program).verdict is Verdict.INTERESTING:
                problem.best = program
                return True
        return False

    def _simpler(self) -> None:
        problem = self.problem
        inputs = self.oracle.model.boundary(self.oracle.level, problem.best.order())
        problem.best = problem.best.described(inputs)
        limit = problem.seconds + SIMPLIFY_SECONDS
        allowed = min(limit, self.settings.budget_seconds or limit)
        problem.budget = Budget(self.settings.budget_calls, allowed, problem.budget.jobs)
        passes = [p for p in registry.passes("torch") if p.stage is Stage.SIMPLIFY]
        try:
            Reducer(problem, passes).finish()
        except OutOfBudget:
            self.say("simpler forms of the last nodes were not all tried")
