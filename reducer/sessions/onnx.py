"""The data path of a run on an ONNX file, from settings to a Finding (architecture.md section 5)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from reducer import registry
from reducer.conclusion import Conclusion, conclude, nothing_found, rungs
from reducer.engine.events import Listener
from reducer.engine.problem import Budget, OutOfBudget, Problem
from reducer.engine.reducer import Reducer, Seed
from reducer.errors import UsageError
from reducer.finding import Finding
from reducer.frontends.subject import InputOptions, Subject, load_subject
from reducer.localizers.divergence import diverging_nodes
from reducer.localizing import nodes_named, nodes_of_tensors, nodes_of_types
from reducer.observation import FAILED, HUNG, PASSED, SKIPPED, Observation, Probe
from reducer.oracles.capture import Capture
from reducer.oracles.command import Check, CommandOracle
from reducer.oracles.confirm import confirmations
from reducer.oracles.crash import CURED, CrashOracle
from reducer.oracles.ladder import CHECKER, REFERENCE, Aim, Ladder, Plan, choose, climb
from reducer.oracles.lifter import Lifter
from reducer.oracles.limits import Limits
from reducer.oracles.mismatch import MismatchOracle
from reducer.oracles.nan import NanOracle
from reducer.oracles.prober import Order, Prober
from reducer.oracles.simplifier import Simplifier
from reducer.passes.base import Stage
from reducer.programs.base import NodeId
from reducer.programs.onnx import OnnxProgram
from reducer.recording import Recorder
from reducer.sessions.base import Session
from reducer.settings import Settings
from reducer.signature import of_observation
from reducer.testcase import Tolerance
from reducer.worker.host import Host
from reducer.worker.protocol import Call
from reducer.workspace import MODEL, Workspace

AnyOracle = CrashOracle | MismatchOracle | NanOracle | CommandOracle
# With the observation of the ladder (or the first run of a check) that makes three.
CONFIRM_SOURCE = 2
# The reference evaluator is given that long beside a reduction that does not need it.
SPARED_SECONDS = 3.0
PROVIDERS = "reducer.worker.knowledge:providers"


@dataclass(frozen=True)
class Target:
    """The failure under reduction: its oracle, how it was found, and its raw message."""

    oracle: AnyOracle
    aim: Aim
    ladder: Ladder
    plan: Plan
    message: str

    @property
    def fixed_values(self) -> bool:
        """Whether other inputs or weights would make the verdict worthless: known right outputs are those of the
        present ones, and NaN from present ones says nothing of NaN from others."""
        dispute = self.aim.dispute
        return self.aim.nan is not None or (dispute is not None and dispute.b is None)


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
        self._beside.shutdown(wait=False, cancel_futures=True)
        super().__exit__()

    def run(self) -> Finding:
        """The whole data path. The finding's status says how it ended; files lie in `workspace`."""
        settings = self.settings
        options = InputOptions(settings.inputs, settings.expected, settings.dim, settings.input_shape, settings.seed)
        subject = load_subject(self.model, options, self.host, by_command=bool(settings.check))
        self.workspace = Workspace(settings.output_folder(self.model), force=settings.force)
        self._check_provider()
        tolerance = Tolerance(settings.rtol, settings.rtol if settings.atol is None else settings.atol)
        prober = Prober(self.host, registry.backends(), subject.feeds, tolerance)
        limits = Limits(settings.timeout)
        target, ladder, plan = self._aim(subject, prober, limits)
        if target is None:
            return nothing_found(subject, ladder, plan, prober)
        # Both run beside the reduction; neither changes what it does.
        stable = self._beside.submit(confirmations, target.oracle, subject.program, CONFIRM_SOURCE)
        if ladder.spared:
            self._late = (ladder, self._beside.submit(self._spared, subject, prober, target))
        return self._reduce(subject, prober, target, stable)

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

    # --- the failure -----------------------------------------------------------------------------------------
    def _aim(self, subject: Subject, prober: Prober, limits: Limits) -> tuple[Target | None, Ladder, Plan]:
        settings = self.settings
        plan = Plan(settings.opt_level, settings.provider_name(), settings.reference, subject.expected)
        if settings.check:
            return self._aim_command(subject, limits), Ladder(), plan
        self._say("climbing the stage ladder")
        ladder = climb(prober, subject.program, plan, limits)
        aim = choose(ladder, plan, settings.stage, own_inputs=subject.own_inputs)
        if aim is None:
            return None, ladder, plan
        if aim.dispute is not None:
            if any(probe.backend == REFERENCE for probe in aim.dispute.probes):
                self.host.preload(["onnx.reference"])
            oracle: AnyOracle = MismatchOracle(prober, aim.dispute, subject.vocabulary, limits, subject.expected)
            return Target(oracle, aim, ladder, plan, aim.dispute.signature.detail), ladder, plan
        if aim.nan is not None:
            oracle = NanOracle(prober, aim.nan.probe, subject.vocabulary, limits)
            return Target(oracle, aim, ladder, plan, f"NaN in {', '.join(aim.nan.nan_outputs)}"), ladder, plan
        return self._aim_crash(subject, prober, limits, (aim, ladder, plan)), ladder, plan

    def _aim_crash(self, subject: Subject, prober: Prober, limits: Limits, found: tuple[Aim, Ladder, Plan]) -> Target:
        aim, ladder, plan = found
        seen = aim.observation
        assert seen is not None
        limits.hang = seen.outcome == HUNG
        vocabulary = subject.vocabulary
        context = ""
        without = ladder.of(plan.unoptimized)
        if replace(seen.probe, run=True) == plan.primary and without is not None:
            # A load failure is cured when the model loads, whatever running it would do.
            loads = without.stage == "run" and seen.stage == "load" and without.outcome in (PASSED, FAILED)
            context = CURED if without.outcome == PASSED or loads else ""
        if seen.probe.backend == REFERENCE:
            self.host.preload(["onnx.reference"])
        signature = of_observation(seen, vocabulary, context)
        oracle = CrashOracle(prober, seen.probe, signature, vocabulary, limits)
        return Target(oracle, aim, ladder, plan, seen.message or signature.detail)

    def _aim_command(self, subject: Subject, limits: Limits) -> Target | None:
        settings = self.settings
        check = Check(settings.check, settings.fail_code, settings.ignore_fail_code, settings.fail_regex or "")
        oracle = CommandOracle(check, self.host.folder / "candidates", subject.vocabulary, limits)
        self._say("running the check on the original model")
        ending = oracle.aim(subject.program)
        if oracle.target is None:
            return None
        return Target(oracle, Aim(), Ladder(), Plan(), ending.text.strip()[-2000:])

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
        stable: Future[int],
    ) -> Finding:
        settings, workspace = self.settings, self.workspace
        assert workspace is not None
        limits = target.oracle.limits
        budget = Budget(settings.budget_calls, settings.budget_seconds, max(1, settings.jobs))
        passes = [p for p in registry.passes(self.kind) if not (p.changes_values and target.fixed_values)]
        passes = [p for p in passes if not (p.changes_numbers and settings.keep_weights)]
        problem: Problem[OnnxProgram] = Problem(subject.program, target.oracle, budget, self._listen(prober, target))
        status = "reduced"
        capture = Capture(prober, self.host.folder / "values.bin", limits)
        try:
            problem.enter("inferring types")
            problem.best = program = capture.types(subject.program)
            reducer = Reducer(problem, [p for p in passes if p.stage is Stage.CUT])
            # For a foreign check recorded values are a second thought: a suspect named by its output comes first.
            if not (settings.check and reducer.glance(self._seeds(program, prober, target, []))):
                problem.enter("recording values")
                problem.best = program = self._learn(capture, program, target)
                reducer.run(self._seeds(program, prober, target, capture.refused))
            lifter = Lifter(prober, capture, lambda lifted: self._learn(capture, lifted, target))
            while lifter.lift(problem):
                target.oracle.learn_names(problem.best)
                reducer.run(self._seeds(problem.best, prober, target, []))
            Simplifier(prober, capture, lambda program: self._learn(capture, program, target), passes).run(problem)
        except OutOfBudget:
            status = "budget_exhausted"
        except KeyboardInterrupt:
            status = "interrupted"
            self._say("interrupted: keeping the best so far")
        finally:
            problem.spent(capture.seconds)
            problem.close()
            workspace.log({"passes": problem.statistics()})
        self._say("confirming the result in fresh processes")
        if status == "reduced" and stable.result() < CONFIRM_SOURCE:
            status = "flaky"
        return conclude(
            Conclusion(
                subject,
                target.oracle,
                target.aim,
                target.ladder,
                target.plan,
                target.message,
                problem,
                status,
                keep_names=settings.keep_names,
                keep_weights=settings.keep_weights,
            ),
            prober,
            workspace,
        )

    def _learn(self, capture: Capture, program: OnnxProgram, target: Target) -> OnnxProgram:
        """Values where the verdict can depend on them."""
        seen = target.aim.observation
        if len(program.keep) == 1:
            return program  # nothing can be cut
        if seen is not None and seen.stage in ("check", "shape_inference", "load"):
            return capture.constants(program)
        return capture.values(program)

    def _seeds(self, program: OnnxProgram, prober: Prober, target: Target, refused: list[NodeId]) -> list[Seed]:
        """Groups of nodes to try first, free of oracle calls."""
        if target.aim.dispute is not None:
            found = diverging_nodes(prober, program, target.aim.dispute, target.oracle.limits.full)
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

        def write(program: OnnxProgram) -> bytes:
            return program.model_bytes(inline=True)

        def worth_keeping(program: OnnxProgram) -> bool:
            return not lawful or _is_lawful(prober, program, target.oracle.limits)

        return Recorder(self.workspace, self._tell, self._say, MODEL, write, worth_keeping)


def _is_lawful(prober: Prober, program: OnnxProgram, limits: Limits) -> bool:
    """Whether the checker accepts a candidate: what a cut broke is no finding of the model's."""
    observations, _ = prober.climb(program, Order((Probe(CHECKER, run=False),)), limits.full)
    return observations[-1].outcome == PASSED
