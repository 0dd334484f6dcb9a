"""The data path of a run on an ONNX file, from settings to a Finding (architecture.md section 5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from reducer import registry
from reducer.aiming import Target, aim, identity
from reducer.conclusion import Conclusion, conclude, environment, nothing_found, rungs
from reducer.engine.events import Listener
from reducer.engine.problem import Budget, OutOfBudget, Problem
from reducer.engine.reducer import Reducer, Seed
from reducer.engine.verdict import Judgement
from reducer.engine.verdict import Oracle as Asked
from reducer.errors import FlakyFailure, UsageError
from reducer.finding import Finding
from reducer.frontends.subject import WEIGHTS, InputOptions, Subject, load_subject
from reducer.localizers.divergence import diverging_nodes
from reducer.localizing import nodes_named, nodes_of_tensors, nodes_of_types
from reducer.observation import HUNG, PASSED, SKIPPED, Observation, Probe
from reducer.oracles.capture import Capture
from reducer.oracles.command import CommandOracle
from reducer.oracles.confirm import TIMES
from reducer.oracles.flaky import RECHECK_CALLS, Rate, Repeating, Settling, measured
from reducer.oracles.ladder import CHECKER, Ladder
from reducer.oracles.lifter import Lifter
from reducer.oracles.limits import Limits, first_limit
from reducer.oracles.mismatch import MismatchOracle
from reducer.oracles.prober import Order, Prober
from reducer.oracles.simplifier import Simplifier
from reducer.passes.base import ReductionPass, Stage
from reducer.programs.base import NodeId
from reducer.programs.onnx import OnnxProgram
from reducer.publishing import Wish, final_edition, spoken_names
from reducer.recording import Recorder
from reducer.resuming import remembered
from reducer.saving import FEW_BYTES, outside_bytes, save_model
from reducer.sessions.base import Session
from reducer.settings import Settings
from reducer.testcase import Tolerance
from reducer.worker.host import Host
from reducer.worker.protocol import Call
from reducer.workspace import MODEL, Content, Workspace

FLAKY_TIMES = 10
# The reference evaluator is given that long beside a reduction that does not need it.
SPARED_SECONDS = 3.0
PROVIDERS = "reducer.worker.knowledge:providers"


class OnnxSession(Session):
    """One run on one ONNX model."""

    kind: ClassVar[str] = "onnx"

    def __init__(
        self, settings: Settings, target: str, listener: Listener, say: Callable[[str], None], host: Host | None = None
    ) -> None:
        super().__init__(settings, target, listener, say, host)
        self.model = Path(target)
        self._beside = ThreadPoolExecutor(2)
        self._late: tuple[Ladder, Future[list[Observation]]] | None = None

    def __exit__(self, *_: object) -> None:
        self.rest()
        super().__exit__()

    def rest(self) -> None:
        """End what runs beside the reduction; the host stays."""
        self._beside.shutdown(wait=False, cancel_futures=True)

    def worth(self, subject: Subject, target: Target) -> bool:
        """Whether to reduce the failure that was found."""
        return True

    def run(self) -> Finding:
        """The whole data path. The finding's status says how it ended; files lie in `workspace`."""
        settings = self.settings
        options = InputOptions(
            settings.inputs, settings.expected, settings.dim, settings.input_shape, settings.seed, settings.trust
        )
        subject = load_subject(self.model, options, self.host, by_command=bool(settings.check))
        self.workspace = Workspace(settings.output_folder(self.model), force=settings.force, resume=settings.resume)
        self._check_provider()
        tolerance = Tolerance(settings.rtol, settings.rtol if settings.atol is None else settings.atol)
        prober = Prober(self.host, registry.backends(), subject.feeds, tolerance)
        limits = Limits(settings.timeout, first=first_limit(subject.nodes, subject.size))
        target, ladder, plan = aim(settings, subject, prober, limits, self._say)
        if target is None or not self.worth(subject, target):
            return nothing_found(subject, ladder, plan, prober)
        known = remembered(self.workspace, identity(settings, subject, target, environment(prober)))
        # Both run beside the reduction; neither changes what it does.
        rate = self._beside.submit(measured, target.oracle, subject.program)
        if ladder.spared:
            self._late = (ladder, self._beside.submit(self._spared, subject, prober, target))
        try:
            return self._reduce(subject, prober, target, rate, known)
        except FlakyFailure as gone:
            return replace(nothing_found(subject, ladder, plan, prober), flaky=f"{gone.failed}/{gone.tried}")

    def completed(self, finding: Finding) -> Finding:
        """The finding with what the reference evaluator said meanwhile; waits for it."""
        if self._late is None:
            return finding
        ladder, late = self._late
        ladder.observations += late.result()
        self._late = None
        return replace(finding, ladder=rungs(ladder, finding.environment))

    def _check_provider(self) -> None:
        """Raise UsageError for a provider that this onnxruntime does not have."""
        wanted = self.settings.provider_name()
        if self.settings.check or wanted == "CPUExecutionProvider":
            return
        answer = self.host.call(Call(PROVIDERS))
        have = list(answer.value.get("providers", []))
        if have and wanted not in have:
            short = ", ".join(name.removesuffix("ExecutionProvider") for name in have)
            raise UsageError(f"onnxruntime has no provider {self.settings.provider!r} here", f"it has: {short}")

    def _spared(self, subject: Subject, prober: Prober, target: Target) -> list[Observation]:
        assert target.ladder.spared is not None
        limit = min(SPARED_SECONDS, target.oracle.limits.full)
        seen = prober.climb(subject.program, Order((target.ladder.spared,), gentle=True), limit)[0]
        if seen[-1].outcome == HUNG:
            return [replace(seen[-1], outcome=SKIPPED, message=f"not done in {limit:g} s beside the reduction")]
        return seen

    # --- the reduction ---------------------------------------------------------------------------------------
    def _reduce(
        self,
        subject: Subject,
        prober: Prober,
        target: Target,
        rate: Future[Rate],
        known: Mapping[str, Judgement],
    ) -> Finding:
        settings, workspace = self.settings, self.workspace
        assert workspace is not None
        budget = Budget(settings.budget_calls, settings.budget_seconds, max(1, settings.jobs))
        listen = self._listen(prober, target)
        asked = Settling(lambda: self._settled(problem, target, rate))
        problem: Problem[OnnxProgram] = Problem(subject.program, asked, budget, listen, known)
        status = self._search(subject, prober, target, problem)
        self._say("confirming the result in fresh processes")
        stable = rate.result()
        by_script = isinstance(target.oracle, CommandOracle)  # its repro script runs that very command
        times = 0 if by_script else TIMES if stable.stable else FLAKY_TIMES
        spoken = spoken_names(target.message)
        wish = Wish(settings.keep_names, settings.keep_weights, times, stable.repetitions, spoken)
        final, confirmed = final_edition(problem, target.oracle, prober, wish)
        if status == "reduced" and not (stable.stable and confirmed.stable):
            status = "flaky"
        end = Conclusion(
            subject,
            target.oracle,
            replace(target.aim, dispute=target.dispute),
            target.ladder,
            target.plan,
            target.message,
            problem,
            status,
            confirmed,
            final,
            wish,
        )
        finding = conclude(end, prober, workspace)
        return finding if stable.stable else replace(finding, flaky=str(stable))

    def _settled(self, problem: Problem[OnnxProgram], target: Target, rate: Future[Rate]) -> Asked[OnnxProgram]:
        """The oracle to ask once it is known how often the source fails. A hang is not waited for again."""
        if target.oracle.limits.hang:
            return target.oracle
        found = rate.result()
        if found.stable:
            return target.oracle
        if not found.failed:
            raise FlakyFailure("the failure was seen once and never again", found.failed, found.tried)
        self._say(f"the failure comes and goes ({found} fresh processes): {found.repetitions} runs a candidate")
        problem.budget = replace(problem.budget, recheck=RECHECK_CALLS)
        if isinstance(target.oracle, MismatchOracle):
            target.oracle.pinned = True
        return Repeating(target.oracle, found.repetitions)

    def _search(self, subject: Subject, prober: Prober, target: Target, problem: Problem[OnnxProgram]) -> str:
        """Reduce; the status of the finding."""
        passes = self._passes(target)
        capture = Capture(prober, self.host.folder / WEIGHTS / "values.bin", target.oracle.limits, target.plan.extra)
        try:
            problem.enter("inferring types")
            problem.best = program = capture.types(subject.program)
            reducer = Reducer(problem, [p for p in passes if p.stage is Stage.CUT])
            # For a foreign check recorded values are a second thought: a suspect named by its output comes first.
            if not (self.settings.check and reducer.glance(self._seeds(program, prober, target, []))):
                problem.enter("recording values")
                problem.best = program = self._learn(capture, program, target)
                reducer.run(self._seeds(program, prober, target, capture.refused))
            if target.hand_over(problem.best):
                # Other verdicts than before, so other programs.
                source = problem.best.source
                problem.best = replace(problem.best, source=replace(source, tag=f"{source.tag}/second witness"))
                passes = self._passes(target)
                reducer = Reducer(problem, [p for p in passes if p.stage is Stage.CUT])
                reducer.run(self._seeds(problem.best, prober, target, []))
            lifter = Lifter(prober, capture, lambda lifted: self._learn(capture, lifted, target))
            while lifter.lift(problem):
                target.oracle.learn_names(problem.best)
                reducer.run(self._seeds(problem.best, prober, target, []))
            Simplifier(prober, capture, lambda program: self._learn(capture, program, target), passes).run(problem)
        except OutOfBudget:
            return "budget_exhausted"
        except KeyboardInterrupt:
            self._say("interrupted: keeping the best so far")
            return "interrupted"
        finally:
            problem.spent(capture.seconds)
            problem.close()
            if self.workspace is not None:
                self.workspace.log({"passes": problem.statistics()})
        return "reduced"

    def _passes(self, target: Target) -> list[ReductionPass[OnnxProgram]]:
        found = [p for p in registry.passes(self.kind) if not (p.changes_values and _fixed_values(target))]
        return [p for p in found if not (p.changes_numbers and self.settings.keep_weights)]

    def _learn(self, capture: Capture, program: OnnxProgram, target: Target) -> OnnxProgram:
        """Values where the verdict can depend on them."""
        seen = target.aim.observation
        if len(program.keep) == 1:
            return program  # nothing can be cut
        if seen is not None and seen.stage in ("check", "shape_inference", "load"):
            known = capture.constants(program)
            return capture.ranks(known) if seen.stage == "check" else known
        return capture.values(program)

    def _seeds(self, program: OnnxProgram, prober: Prober, target: Target, refused: list[NodeId]) -> list[Seed]:
        """Groups of nodes to try first, free of oracle calls."""
        if target.dispute is not None:
            found = diverging_nodes(prober, program, target.dispute, target.oracle.limits.full)
            return [Seed((node,)) for node, _ in found[:4]]
        message = target.message
        groups: list[tuple[NodeId, ...]] = [(node,) for node in nodes_named(program, message)]
        groups += nodes_of_tensors(program, message)
        if not self.settings.check:
            groups += [(node,) for node in refused]
        groups += [(node,) for node in nodes_of_types(program, message)]
        return [Seed(group) for group in dict.fromkeys(groups)]

    def _listen(self, prober: Prober, target: Target) -> Listener:
        """Log every verdict, save every improvement, keep what else was found."""
        assert self.workspace is not None
        checked = target.ladder.of(Probe(CHECKER, run=False))
        lawful = checked is not None and checked.outcome == PASSED

        def write(program: OnnxProgram) -> Content:
            return partial(save_model, program)

        def worth_keeping(program: OnnxProgram) -> bool:
            if outside_bytes(program) > FEW_BYTES:
                return False  # each would be another copy of the weights
            return not lawful or _is_lawful(prober, program, target.oracle.limits)

        return Recorder(self.workspace, self._tell, self._say, MODEL, write, worth_keeping, outside_bytes)


def _fixed_values(target: Target) -> bool:
    """Whether other inputs or weights would make the verdict worthless: known right outputs are those of the present
    ones, and NaN from present ones says nothing of NaN from others."""
    dispute = target.dispute
    return target.aim.nan is not None or (dispute is not None and dispute.b is None)


def _is_lawful(prober: Prober, program: OnnxProgram, limits: Limits) -> bool:
    """Whether the checker accepts a candidate: what a cut broke is no finding of the model's."""
    observations, _ = prober.climb(program, Order((Probe(CHECKER, run=False),)), limits.full)
    return observations[-1].outcome == PASSED
