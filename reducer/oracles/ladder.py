"""The stage ladder: every rung climbed once on the source, and the failure that is worth reducing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from reducer.observation import (
    DIED,
    DIFFERS,
    FAILED,
    HUNG,
    OUT_OF_MEMORY,
    PASSED,
    SKIPPED,
    Comparison,
    Observation,
    Probe,
)
from reducer.oracles.limits import Limits
from reducer.oracles.mismatch import Dispute
from reducer.oracles.prober import Order, Prober
from reducer.oracles.randomness import random_outputs
from reducer.programs.onnx import OnnxProgram
from reducer.values import ValueRef

CHECKER, INFERENCE, INLINER = "onnx-checker", "onnx-shape-inference", "onnx-inliner"
RUNTIME, REFERENCE = "onnxruntime", "reference"
_VIOLENT = (DIED, HUNG, OUT_OF_MEMORY)


@dataclass(frozen=True)
class Plan:
    """Which witnesses run. `reference` is auto, none, onnxruntime-noopt or reference (as --reference); `system` is
    the system under test where it is not ONNX Runtime, with `arguments` for its options."""

    opt_level: str = "all"
    provider: str = "CPUExecutionProvider"
    reference: str = "auto"
    expected: Mapping[str, ValueRef] = field(default_factory=dict)
    # Further options of the runtime that all its probes have (reducer/custom_ops.py).
    extra: Mapping[str, str] = field(default_factory=dict)
    system: str = RUNTIME
    arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def primary(self) -> Probe:
        """The system that the user runs."""
        if self.system != RUNTIME:
            return Probe(self.system, {**self.arguments, **self.extra})
        return Probe(RUNTIME, {"opt_level": self.opt_level, "provider": self.provider, **self.extra})

    @property
    def unoptimized(self) -> Probe | None:
        """The same without optimizations, when it is another one and wanted."""
        other = self.opt_level != "none" or self.system != RUNTIME
        if not other or self.reference not in ("auto", "onnxruntime-noopt"):
            return None
        return Probe(RUNTIME, {"opt_level": "none", "provider": self.provider, **self.extra})

    @property
    def evaluator(self) -> Probe | None:
        """The reference evaluator, when wanted."""
        return Probe(REFERENCE) if self.reference in ("auto", "reference") else None


@dataclass
class Ladder:
    """What every rung said. `skipped_random` are outputs that cannot be compared; `spared` is the reference
    evaluator when it did not have to be waited for, because the runtime failed already."""

    observations: list[Observation] = field(default_factory=list)
    comparison: Comparison = field(default_factory=Comparison)
    compared: bool = False
    skipped_random: tuple[str, ...] = ()
    spared: Probe | None = None

    def of(self, probe: Probe | None) -> Observation | None:
        """What that probe did, or its load alone where nothing could be fed."""
        if probe is None:
            return None
        wanted = (probe, replace(probe, run=False))
        return next((o for o in self.observations if o.probe in wanted), None)


def climb(prober: Prober, program: OnnxProgram, plan: Plan, limits: Limits) -> Ladder:
    """All rungs in order. A rung that dies or hangs does not keep the others from being climbed."""
    ladder = Ladder(skipped_random=random_outputs(program))
    for backend in (CHECKER, INFERENCE, *((INLINER,) if program.source.functions else ())):
        observations, _ = prober.climb(program, Order((Probe(backend, run=False),)), limits.full)
        ladder.observations += observations
    feedable = prober.can_feed(program)
    waiting = [probe for probe in (plan.primary, plan.unoptimized, plan.evaluator) if probe is not None]
    if not feedable:  # the load rungs still say something
        waiting = [replace(probe, run=False) for probe in waiting]
    while waiting:
        failed = any(o.probe.backend == RUNTIME and o.outcome != PASSED for o in ladder.observations)
        if failed and [probe.backend for probe in waiting] == [REFERENCE]:
            ladder.spared = waiting[0]
            break
        gated = tuple(probe for probe in waiting if probe.backend == REFERENCE and len(waiting) > 1)
        # How a model behaves that hung already is only worth a glance.
        hung = any(o.probe.backend == RUNTIME and o.outcome == HUNG for o in ladder.observations)
        order = Order(
            tuple(waiting),
            feedable,
            ladder.skipped_random,
            plan.expected,
            gated=gated,
            patience={REFERENCE: limits.patience},
        )
        observations, comparison = prober.climb(program, order, limits.glance if hung else limits.full)
        ladder.observations += [_slow(seen, plan) for seen in observations]
        waiting = waiting[len(observations) :]
        if comparison.agreeing or comparison.differing:
            ladder.comparison, ladder.compared = comparison, True
    for seen in ladder.observations:
        if seen.outcome in (PASSED, FAILED, DIED):
            limits.saw(seen.seconds)
    return ladder


def _slow(seen: Observation, plan: Plan) -> Observation:
    """The specification in numpy may just be slow: that is a hang only for those who ask for it."""
    hung = seen.probe.backend == REFERENCE and seen.outcome == HUNG and plan.reference != REFERENCE
    return replace(seen, outcome=SKIPPED) if hung else seen


@dataclass(frozen=True)
class Aim:
    """What to reduce: a failed observation, a dispute of witnesses, or a run (`nan`) that gives NaN."""

    observation: Observation | None = None
    dispute: Dispute | None = None
    nan: Observation | None = None


def choose(ladder: Ladder, plan: Plan, stage: str | None = None, *, own_inputs: bool = False) -> Aim | None:
    """The failure worth reducing: a death or hang first, then the runtime's failure, a wrong output, the
    NaN that all agree on (for the user's own inputs: seeded ones may lie outside a model's domain), the checker's
    complaint, the reference evaluator's failure, strict inference's. `stage` admits one rung only."""
    failed = [o for o in ladder.observations if o.outcome not in (PASSED, SKIPPED)]
    if stage is not None and stage != "compare":
        failed = [o for o in failed if o.stage == stage]
    if stage != "compare":
        for outcomes, backends in (
            (_VIOLENT, (CHECKER, INFERENCE, INLINER, plan.system, RUNTIME)),
            ((FAILED,), (plan.system, RUNTIME)),
        ):
            for seen in sorted(failed, key=lambda o: o.probe.backend != plan.system):
                if _others_too(seen, ladder, plan):
                    continue
                if seen.outcome in outcomes and seen.probe.backend in backends:
                    return Aim(observation=seen)
    dispute = settle(ladder, plan) if stage in (None, "compare") else None
    if dispute is not None:
        return Aim(dispute=dispute)
    ran = ladder.of(plan.primary)
    if own_inputs and stage in (None, "compare") and ran is not None and ran.nan_outputs:
        return Aim(nan=ran)
    for backend in (CHECKER, REFERENCE, INLINER, INFERENCE):
        for seen in failed:
            if seen.probe.backend == backend and stage != "compare":
                return Aim(observation=seen)
    return None


def _others_too(seen: Observation, ladder: Ladder, plan: Plan) -> bool:
    """Whether a rewritten model that does not run says nothing of the rewriter: the original does not run either."""
    if plan.system == RUNTIME or seen.probe.backend != plan.system or seen.stage == "optimize":
        return False
    original = ladder.of(plan.unoptimized)
    return original is not None and original.outcome != PASSED


def settle(ladder: Ladder, plan: Plan) -> Dispute | None:
    """Vote among the witnesses: --expected decides; else two against one; else the optimizer is blamed."""
    comparison = ladder.comparison
    if not comparison.differing:
        return None
    witnesses = [p for p in (plan.primary, plan.unoptimized, plan.evaluator) if p is not None]
    ran = [p for p in witnesses if (o := ladder.of(p)) is not None and o.outcome == PASSED]
    if plan.expected:
        wrong = next((p for p in ran if comparison.between(p, None)), None)
        if wrong is not None:
            right = next((p for p in ran if comparison.agree(p, None) and comparison.between(wrong, p)), None)
            return _dispute(comparison, wrong, right, wrong, plan)
        if stands := [p for p in ran if comparison.agree(p, None)]:
            ran = stands
    for first in ran:
        for second in ran:
            if comparison.between(first, second) is not None and first != second:
                third = next((p for p in ran if p not in (first, second)), None)
                if third is None:
                    return _dispute(comparison, first, second, first, plan)
                odd = next((p for p in (first, second) if not comparison.agree(p, third)), first)
                other = second if odd == first else first
                return _dispute(comparison, odd, other, odd, plan)
    return None


def _dispute(comparison: Comparison, a: Probe, b: Probe | None, odd: Probe, plan: Plan) -> Dispute | None:
    difference = comparison.between(a, b)
    if difference is None:
        return None
    if b is None:
        others = (Probe(REFERENCE), plan.unoptimized)
        second = next((p for p in others if p is not None and p.backend != a.backend), None)
        return Dispute(difference.a, None, difference, odd.label, dict(plan.expected), second)
    # The order of the comparison: candidates are compared the same way round.
    return Dispute(difference.a, difference.b, difference, odd.label)


def outcome_of_compare(ladder: Ladder) -> tuple[str, str]:
    """(outcome, message) of the compare rung."""
    if not ladder.compared:
        return SKIPPED, "fewer than two witnesses ran"
    note = f"; not compared because random: {', '.join(ladder.skipped_random)}" if ladder.skipped_random else ""
    if ladder.comparison.differing:
        worst = max(ladder.comparison.differing, key=lambda d: d.excess)
        other = worst.b.label if worst.b else "expected"
        size = f", max abs difference {worst.max_abs:.3g}" if worst.max_abs is not None else ""
        return DIFFERS, f"{worst.a.label} against {other}: {worst.kind} of {worst.output!r}{size}{note}"
    return PASSED, f"largest absolute difference {ladder.comparison.seen:.3g}{note}"


def all_agree(dispute: Dispute, ladder: Ladder) -> bool:
    """Whether the witnesses agree with each other and only the known right outputs differ: the model is wrong then."""
    return dispute.b is None and ladder.comparison.supported(dispute.a)


def told_of(dispute: Dispute, ladder: Ladder) -> str:
    """The dispute in a sentence."""
    d, odd = dispute.difference, f"{dispute.odd} stands alone"
    other = d.b.label if d.b else "the expected values"
    size = f" by up to {d.max_abs:.4g}" if d.max_abs is not None else (f": {d.detail}" if d.detail else "")
    if all_agree(dispute, ladder):
        odd = "all witnesses agree with each other: the model itself computes something else"
    return f"output {d.output!r}: {d.a.label} and {other} differ in {d.kind}{size}; {odd}"
