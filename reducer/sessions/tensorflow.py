"""The data path of a run on a TensorFlow source, from settings to a Finding (architecture.md section 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from reducer import registry
from reducer.converted import Converted, conclude, nothing_found
from reducer.engine.problem import Budget, OutOfBudget, Problem
from reducer.engine.reducer import Reducer, Seed
from reducer.engine.verdict import Verdict
from reducer.finding import Finding
from reducer.frontends.tensorflow import TensorFlowSource, check_source, observe, record, wait_for_tensorflow
from reducer.localizers.conversion import differing_seeds, seeds
from reducer.oracles.conversion import CURED, GROSS, STILL_GROSS, ConversionOracle, Observed, signature_of
from reducer.oracles.limits import Limits
from reducer.passes.base import Stage
from reducer.programs.graphdef import GraphProgram
from reducer.programs.graphdef_source import GraphSource
from reducer.recording import Recorder
from reducer.sessions.base import Session
from reducer.signature import FailureSignature, Vocabulary
from reducer.workspace import Workspace

GRAPH = "reduced.pb"
# A candidate's conversion may take a while on a busy machine; a hang is another matter.
CANDIDATE_SECONDS = 120.0


@dataclass(frozen=True)
class Aim:
    """The failure under reduction, as the source showed it."""

    source: TensorFlowSource
    observed: Observed
    target: FailureSignature
    oracle: ConversionOracle


class TensorFlowSession(Session):
    """One run on one TensorFlow source."""

    kind: ClassVar[str] = "tensorflow"

    def run(self) -> Finding:
        """The whole data path. The finding's status says how it ended; files lie in `workspace`."""
        settings = self.settings
        source = check_source(self.target, settings)
        self.workspace = Workspace(settings.output_folder(Path(self.target)), force=settings.force)
        self._say("importing TensorFlow")
        wait_for_tensorflow(self.host)
        self._say("running the model in TensorFlow and converting it")
        observed = observe(self.host, source, settings)
        report = observed.reply.get("report")
        if report is not None and report["failure"] is None and report["difference"] is None:
            return nothing_found(source, observed, self.host)
        graph = self._graph(observed)
        aim = self._aim(source, observed, graph)
        if graph is not None and aim is not None:
            return self._reduce(aim, GraphProgram.whole(graph))
        raise NotImplementedError

    def _graph(self, observed: Observed) -> GraphSource | None:
        """The frozen graph with recorded values, when the entry point came that far."""
        graph = observed.reply.get("graph")
        if graph is None:
            return None
        self._say("recording the value of every tensor")
        feeds = [given["value"] for given in observed.reply["inputs"]]
        return GraphSource.from_table(graph["path"], record(self.host, graph, feeds), graph["outputs"])

    def _aim(self, source: TensorFlowSource, observed: Observed, graph: GraphSource | None) -> Aim | None:
        how = replace(source.how, raises=bool(observed.reply.get("raises")))
        names = frozenset(i["name"] for i in observed.reply.get("inputs", ()))
        vocabulary = Vocabulary(names | (graph.names() if graph else frozenset()), graph.op_types() if graph else frozenset())
        report = observed.reply["report"]
        target = signature_of(report, vocabulary)
        assert target is not None
        limits = Limits(self.settings.timeout, _first=CANDIDATE_SECONDS)
        limits.saw(observed.reply["seconds"])
        oracle = ConversionOracle(self.host, target, vocabulary, how, limits, source.tolerance)
        if report["difference"]:
            oracle.least = STILL_GROSS if report["difference"]["excess"] > GROSS else 1.0
        return Aim(source, observed, target, oracle)

    # --- the reduction ---------------------------------------------------------------------------------------
    def _reduce(self, aim: Aim, program: GraphProgram) -> Finding:
        settings, workspace, oracle = self.settings, self.workspace, aim.oracle
        assert workspace is not None
        budget = Budget(settings.budget_calls, settings.budget_seconds, max(1, settings.jobs))
        listener = Recorder(workspace, self._tell, self._say, GRAPH, oracle.written, lambda _: True)
        problem: Problem[GraphProgram] = Problem(program, oracle, budget, listener)
        status = "reduced"
        try:
            problem.enter("the frozen graph")
            first = problem.judge(program)
            if first.verdict is not Verdict.INTERESTING:
                raise NotImplementedError(first.reason)
            self._cheaper(problem, aim)
            passes = registry.passes(self.kind)
            reducer = Reducer(problem, [p for p in passes if p.stage is Stage.CUT])
            reducer.run(self._seeds(aim, program))
            Reducer(problem, passes).finish()
        except OutOfBudget:
            status = "budget_exhausted"
        except KeyboardInterrupt:
            status = "interrupted"
            self._say("interrupted: keeping the best so far")
        finally:
            problem.close()
        self._say("confirming the result in fresh processes")
        return conclude(Converted(aim.source, aim.observed, oracle, problem, status, GRAPH), workspace)

    def _cheaper(self, problem: Problem[GraphProgram], aim: Aim) -> None:
        """Leave tf2onnx's optimizers out when the failure survives that, and know whether ONNX Runtime's cause it."""
        oracle, program = aim.oracle, problem.best
        if aim.target.stage != "convert":
            seen = oracle.see(program, replace(oracle.how, level="none"), oracle.limits.full)
            if oracle.signature(seen) is None:
                oracle.target = replace(oracle.target, context=CURED)
        full, oracle.how = oracle.how, replace(oracle.how, optimizers=())
        if oracle.judge(program).verdict is not Verdict.INTERESTING:
            oracle.how = full

    def _seeds(self, aim: Aim, program: GraphProgram) -> list[Seed]:
        report: Mapping[str, Any] = aim.observed.reply["report"]
        if report["difference"] is not None:
            return differing_seeds(program, aim.oracle, aim.oracle.how)
        return seeds(program, report, aim.target)
