"""The data path of a run on a TensorFlow source, from settings to a Finding (architecture.md section 5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from reducer import registry
from reducer.converted import GRAPH, LAYERS, TFLITE, Converted, Manner, conclude, entry_at_fault, nothing_found
from reducer.engine.problem import Budget, OutOfBudget, Problem
from reducer.engine.reducer import Reducer, Seed
from reducer.engine.verdict import Verdict
from reducer.errors import UsageError
from reducer.finding import Finding
from reducer.frontends.tensorflow import (
    CONVERTED,
    TensorFlowSource,
    check_source,
    layer_program,
    observe,
    record,
    record_tflite,
    wait_for_tensorflow,
)
from reducer.localizers.conversion import as_seeds, seeds, typed_seeds
from reducer.oracles.conversion import CURED, GROSS, JUDGE_LAYERS, STILL_GROSS, ConversionOracle, Observed
from reducer.oracles.conversion_signature import died_signature, signature_of
from reducer.oracles.graph_lifter import GraphLifter
from reducer.oracles.limits import Limits
from reducer.passes.base import Stage
from reducer.programs.graphdef import GraphProgram
from reducer.programs.graphdef_source import GraphSource
from reducer.programs.tflite import TfliteProgram
from reducer.recording import Recorder
from reducer.second_level import Place, with_second_level
from reducer.sessions.base import Session
from reducer.signature import FailureSignature, Vocabulary
from reducer.tf_onnx import Conversion, left_in
from reducer.uncut import in_its_place
from reducer.workspace import Workspace

REDUCED_GRAPH, REDUCED_LAYERS, REDUCED_TFLITE = "reduced.pb", "reduced.keras.json", "reduced.tflite"
# A conversion may take a while on a busy machine; a hang is another matter.
CANDIDATE_SECONDS = 120.0


@dataclass(frozen=True)
class Aim:
    """The failure under reduction, as the source showed it."""

    source: TensorFlowSource
    observed: Observed
    target: FailureSignature
    oracle: ConversionOracle

    @property
    def report(self) -> Mapping[str, Any]:
        """What the ladder said of the source; empty when its process died."""
        found: Mapping[str, Any] = self.observed.reply.get("report") or {}
        return found

    @property
    def wrong_tensor(self) -> str | None:
        """The tensor of the frozen graph that is the output which differs most."""
        output = (self.report.get("difference") or {}).get("output")
        graph = self.observed.reply.get("graph") or {}
        names = {new: old for old, new in (graph.get("renamed") or {}).items()}
        return names.get(output, output) if output else None

    def finding_of(self, problem: Problem[Any], status: str, path: str, *, keep_names: bool = False) -> Converted:
        """What the end of the run has to work with."""
        return Converted(self.source, self.observed, self.oracle, problem, status, path, keep_names)


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
        if observed.died is None and report and report["failure"] is None and report["difference"] is None:
            return nothing_found(source, observed, self.host)
        graph = self._graph(observed)
        aim = self._aim(source, observed, graph)
        if graph is not None:
            whole = (TfliteProgram if source.form == "tflite" else GraphProgram).whole(graph)
            aim.oracle.task = f"{whole.tasks}:judge"
            if whole.keep and aim.oracle.judge(whole).verdict is Verdict.INTERESTING:
                return self._reduce_graph(aim, whole)
            capturing = self._capturing(aim)
            if capturing is not None and aim.oracle.judge(capturing).verdict is Verdict.INTERESTING:
                self._say("it fails only while constants are captured by the function")
                return self._reduce_graph(aim, capturing)
            self._say("the frozen graph does not fail in this way: the entry point is at fault")
        return self._reduce_layers(aim)

    # --- the failure -----------------------------------------------------------------------------------------
    def _graph(self, observed: Observed) -> GraphSource | None:
        """The frozen graph with recorded values, when the entry point came that far."""
        graph = observed.reply.get("graph")
        if graph is None or len(graph["inputs"]) != len(observed.reply["inputs"]):
            return None
        self._say("recording the value of every tensor")
        return self._recorded(observed, graph)

    def _recorded(self, observed: Observed, graph: Mapping[str, Any]) -> GraphSource | None:
        feeds = [given["value"] for given in observed.reply["inputs"]]
        table = (record_tflite if graph.get("form") == "tflite" else record)(self.host, graph, feeds)
        return None if table is None else GraphSource.from_table(graph["path"], table, graph["outputs"])

    def _capturing(self, aim: Aim) -> GraphProgram | None:
        """The graph before grappler, with the constants that the function captures as captures; None without any."""
        graph = aim.observed.reply["graph"]
        if not graph.get("captured") or graph["unfolded"] is None:
            return None
        source = self._recorded(aim.observed, {**graph, "path": graph["unfolded"]})
        if source is None:
            return None
        known, oracle = aim.oracle.vocabulary, aim.oracle
        oracle.vocabulary = Vocabulary(known.names | source.names(), known.op_types | source.op_types())
        return replace(GraphProgram.whole(source), captured=frozenset(graph["captured"]))

    def _aim(self, source: TensorFlowSource, observed: Observed, graph: GraphSource | None) -> Aim:
        # What an entry point raises and what it only logs are told apart where a handler failed, and only there.
        at_once = (report := observed.reply.get("report")) and (report["failure"] or {}).get("stage") == "convert"
        how = replace(source.how, raises=bool(observed.reply.get("raises") and at_once))
        names = frozenset(i["name"] for i in observed.reply.get("inputs", ()))
        types = graph.op_types() if graph else frozenset()
        vocabulary = Vocabulary(names | (graph.names() if graph else frozenset()), types)
        limits = Limits(self.settings.timeout, first=CANDIDATE_SECONDS)
        # A conversion under load takes seconds; a candidate gets ten times that.
        limits.saw(max(1.0, observed.reply.get("seconds", 3.0)))
        if observed.died is not None:
            target: FailureSignature | None = died_signature(observed.died)
            limits.hang = target is not None and target.kind == "hang"
        else:
            target = signature_of(report or {}, vocabulary)
        assert target is not None
        if self.settings.stage not in (None, target.stage):
            said = f"it fails at the stage {target.stage}, not at {self.settings.stage}"
            raise UsageError(said, f"leave --stage away, or --stage {target.stage}")
        oracle = ConversionOracle(self.host, (target, vocabulary), how, limits, source.tolerance)
        if report and report["difference"]:
            oracle.least = STILL_GROSS if report["difference"]["excess"] > GROSS else 1.0
        return Aim(source, observed, target, oracle)

    # --- the reduction ---------------------------------------------------------------------------------------
    def _problem(self, program: Any, oracle: ConversionOracle, path: str) -> Problem[Any]:
        settings, workspace = self.settings, self.workspace
        assert workspace is not None
        budget = Budget(settings.budget_calls, settings.budget_seconds, max(1, settings.jobs))
        listener = Recorder(workspace, self._tell, self._say, path, oracle.written, lambda _: True)
        return Problem(program, oracle, budget, listener)

    def _searched(self, problem: Problem[Any], search: Callable[[], None]) -> str:
        """Run the search to its end; how it ended."""
        try:
            search()
            return "reduced"
        except OutOfBudget:
            return "budget_exhausted"
        except KeyboardInterrupt:
            self._say("interrupted: keeping the best so far")
            return "interrupted"
        finally:
            problem.close()

    def _reduce_graph(self, aim: Aim, program: GraphProgram) -> Finding:
        oracle, passes = aim.oracle, registry.passes(self.kind)
        self._cheaper(aim, program)
        tflite = isinstance(program, TfliteProgram)
        path, manner = (REDUCED_TFLITE, TFLITE) if tflite else (REDUCED_GRAPH, GRAPH)
        problem = self._problem(program, oracle, path)

        def search() -> None:
            problem.enter("the frozen graph")
            problem.judge(program)
            reducer = Reducer(problem, [p for p in passes if p.stage is Stage.CUT])
            reducer.run(self._seeds(aim, program))
            lifter = GraphLifter(oracle, lambda opened: self._seeds_inside(aim, opened))
            while lifter.lift(problem):
                reducer.run(self._seeds_inside(aim, problem.best))
            self._publicly(oracle, problem, program)
            Reducer(problem, passes).finish()

        status = self._searched(problem, search)
        if not oracle.target.context:
            oracle.aim_at_beginning(problem.best)
        end = aim.finding_of(problem, status, path, keep_names=self.settings.keep_names)
        return self._concluded(end, manner)

    def _publicly(self, oracle: ConversionOracle, problem: Problem[Any], program: GraphProgram) -> None:
        """From here on through the public entry point with its defaults, which is what a script can show: what is
        left is small, so it costs little. If only more of the graph shows it there, the search begins anew."""
        small = problem.best.units()
        core = oracle.how
        oracle.ask(replace(core, optimizers=None), public=True)
        if problem.judge(problem.best).verdict is Verdict.INTERESTING:
            return
        if problem.judge(program).verdict is Verdict.INTERESTING:
            self._say("once more through the public entry point")
            problem.best = program
            Reducer(problem, [p for p in registry.passes(self.kind) if p.stage is Stage.CUT]).run([Seed(tuple(small))])
        else:
            oracle.ask(core, public=False)

    def _cheaper(self, aim: Aim, program: GraphProgram) -> None:
        """Know whether ONNX Runtime's optimizations cause it; leave tf2onnx's out when it survives that."""
        oracle = aim.oracle
        if aim.target.stage != "convert" and aim.observed.died is None:
            seen = oracle.see(program, replace(oracle.how, level="none"), oracle.limits.full)
            if oracle.signature(seen) is None:
                oracle.target = replace(oracle.target, context=CURED)
        full, oracle.how = oracle.how, replace(oracle.how, optimizers=())
        if oracle.judge(program).verdict is not Verdict.INTERESTING:
            oracle.how = full

    def _seeds(self, aim: Aim, program: GraphProgram) -> list[Seed]:
        if not aim.report:
            return []
        if aim.report["difference"] is not None:
            return self._beginnings(aim, program, aim.wrong_tensor)
        return seeds(program, aim.report, aim.target)

    def _seeds_inside(self, aim: Aim, program: GraphProgram) -> list[Seed]:
        """Seeds in a graph that was opened up, which the source's report does not know."""
        if aim.report and aim.report["difference"] is not None:
            return self._beginnings(aim, program)
        return typed_seeds(program, aim.target)

    def _beginnings(self, aim: Aim, program: GraphProgram, output: str | None = None) -> list[Seed]:
        """The nodes with which the wrong output begins, from now on part of the failure's identity."""
        oracle = aim.oracle
        found = oracle.aim_at_beginning(program, output)
        # Those of the same type first: only they are the failure that is followed.
        ours = [b.record.ref.id for b in found if oracle.target.context.endswith(f" {b.op_type}")]
        return as_seeds(program, [*ours, *(b.record.ref.id for b in found)])

    def _reduce_layers(self, aim: Aim) -> Finding:
        """The failure is not in the graph: reduce the Keras layers, when there are any."""
        program = layer_program(self.host, aim.source, aim.observed)
        oracle = aim.oracle
        oracle.task = JUDGE_LAYERS
        if program is None or oracle.judge(program).verdict is not Verdict.INTERESTING:
            self._say("there are no Keras layers that show it")
            assert self.workspace is not None
            finding = entry_at_fault(aim.source, aim.observed, oracle)
            place = Place(self.host, self.workspace, self._say)
            return in_its_place(finding, left_in(self.host.folder / CONVERTED), place, self.settings)
        problem = self._problem(program, oracle, REDUCED_LAYERS)

        def search() -> None:
            problem.enter("the Keras layers")
            problem.judge(program)
            reducer = Reducer(problem, registry.passes("keras"))
            reducer.run([Seed((unit,)) for unit in (program.units()[-1], program.units()[0])])

        status = self._searched(problem, search)
        return self._concluded(aim.finding_of(problem, status, REDUCED_LAYERS), LAYERS)

    def _concluded(self, end: Converted, manner: Manner) -> Finding:
        """The finding, with what the ONNX engine makes of the converted model."""
        self._say("confirming the result in fresh processes")
        assert self.workspace is not None
        finding = conclude(end, self.workspace, manner)
        place = Place(self.host, self.workspace, self._say)
        return with_second_level(finding, Conversion(end.oracle, end.problem.best), place, self.settings)
