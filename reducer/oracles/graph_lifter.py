"""Loops, branches and calls that are left in a reduced TensorFlow graph: opened up where the failure survives it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from reducer.engine.problem import Problem
from reducer.engine.reducer import Seed
from reducer.errors import EditConflict, ToolFault
from reducer.oracles.conversion import ConversionOracle
from reducer.programs.graphdef import GraphProgram
from reducer.programs.graphdef_source import GraphSource
from reducer.signature import Vocabulary
from reducer.worker.protocol import RETURNED, Call

# More kept nodes than that are not reduced yet: lifting is for what could not be cut.
MOST_NODES = 12


def _parts(program: GraphProgram) -> list[GraphProgram]:
    """All of it, then what works on plain tensors: tf2onnx converts no list outside of the loop that fills it."""
    source = program.source
    plain = set()
    for group in program.keep:
        records = [source.records[node] for node in source.groups[group]]
        names = {t.name for r in records for t in r.outputs} | {name for r in records for name in r.reads}
        if all(source.tensors[name].can_cut or name in source.constants for name in names):
            plain.add(group)
    if not plain or plain == program.keep:
        return [program]
    return [program, program.restrict(frozenset(plain), {})]


class GraphLifter:
    """Asks the worker for graphs in which a function stands in the place of the node that calls it."""

    def __init__(self, oracle: ConversionOracle, suspects: Callable[[GraphProgram], Sequence[Seed]]) -> None:
        self.oracle, self.suspects = oracle, suspects

    def lift(self, problem: Problem[GraphProgram]) -> bool:
        """Replace the best by one with a node opened up; False when none fails in the same way."""
        best = problem.best
        callers = [record for record in best.records if record.inner]
        if not callers or len(best.records) > MOST_NODES:
            return False
        problem.enter("open loops, branches and calls")
        for record in callers:
            for graph in self._graphs(best, record.name):
                program = self._program(graph, best)
                if program is not None and self._shows(problem, program):
                    return True
        return False

    def _shows(self, problem: Problem[GraphProgram], program: GraphProgram) -> bool:
        """Whether the opened graph fails in the same way, or a suspect in it alone: what a loop holds together, such
        as a list that it fills, may fail otherwise when it is open."""
        closed = self.oracle.target
        for part in _parts(program):
            # What began at the node that was opened begins at another one inside of it.
            suspects = self.suspects(part)
            if problem.consider(part):
                return True
            alone = [seed for seed in suspects if len(part.keep) > 1]
            if any(problem.consider(part.restrict(frozenset(seed.nodes), {})) for seed in alone):
                return True
        self.oracle.target = closed
        return False

    def _graphs(self, program: GraphProgram, node: str) -> list[dict[str, Any]]:
        host = self.oracle.host
        try:
            arguments = {"order": program.order(), "node": node, "folder": str(host.folder)}
        except EditConflict:
            return []
        answer = host.call(Call(program.lift, arguments, (), self.oracle.limits.full))
        return list(answer.value["graphs"]) if answer.outcome == RETURNED else []

    def _program(self, graph: dict[str, Any], closed: GraphProgram) -> GraphProgram | None:
        """The whole opened graph, recorded anew; None when TensorFlow does not take it. What the `closed` one captures
        stays captured."""
        host = self.oracle.host
        arguments = {**graph, "graph": graph["path"], "store": str(host.folder / "values.bin")}
        answer = host.call(Call(closed.record, arguments, (), self.oracle.limits.full))
        if answer.outcome != RETURNED or "nodes" not in answer.value:
            return None
        source = GraphSource.from_table(graph["path"], answer.value, graph["outputs"], lifted=True)
        known = self.oracle.vocabulary
        self.oracle.vocabulary = Vocabulary(known.names | source.names(), known.op_types | source.op_types())
        whole = replace(type(closed).whole(source), captured=closed.captured)
        try:
            whole.order()
        except (EditConflict, ToolFault):
            return None
        return whole
