"""The oracle for wrong outputs: two witnesses (or a witness and --expected) must still differ in the same way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reducer.engine.verdict import Judgement, Verdict
from reducer.errors import EditConflict, ToolFault
from reducer.observation import FAILED, HUNG, PASSED, Difference, Probe
from reducer.oracles.base import Oracle
from reducer.oracles.limits import Limits
from reducer.oracles.prober import Order, Prober
from reducer.oracles.randomness import random_outputs
from reducer.programs.onnx import OnnxProgram
from reducer.signature import FailureSignature, Vocabulary, of_difference, of_observation
from reducer.values import ValueRef

# A gross error must not be followed down to one at the edge of the tolerance.
GROSS, STILL_GROSS = 30.0, 3.0


@dataclass(frozen=True)
class Dispute:
    """Who differs from whom, how, and which side stands alone. `b` None is --expected, with which no witness agrees;
    `second` is then another witness, asked of candidates."""

    a: Probe
    b: Probe | None
    difference: Difference
    odd: str
    expected: Mapping[str, ValueRef] = field(default_factory=dict)
    second: Probe | None = None

    @property
    def probes(self) -> tuple[Probe, ...]:
        """The witnesses that a candidate needs."""
        return (self.a,) if self.b is None else (self.a, self.b)

    @property
    def signature(self) -> FailureSignature:
        """The signature of the dispute."""
        return of_difference(self.difference, self.odd)


class MismatchOracle(Oracle):
    """INTERESTING when the two sides of the dispute still differ in kind, and grossly if they did at first."""

    target: FailureSignature

    def __init__(
        self,
        prober: Prober,
        dispute: Dispute,
        vocabulary: Vocabulary,
        limits: Limits,
    ) -> None:
        self.prober, self.dispute, self.vocabulary, self.limits = prober, dispute, vocabulary, limits
        self.target = dispute.signature
        self.least = STILL_GROSS if dispute.difference.excess > GROSS else 1.0
        # For a difference that comes and goes: while the first output is there, no other one counts. Where memory
        # is corrupted any output may differ, and following whichever does leads astray.
        self.pinned = False

    def judge(self, program: OnnxProgram) -> Judgement:
        """The verdict on a candidate, in a warm worker under the candidate limit."""
        return self._judge(program, self.limits.candidate, fresh=False)

    def confirm(self, program: OnnxProgram) -> Judgement:
        """The verdict in a process that never opened a model, under the full limit."""
        return self._judge(program, self.limits.full, fresh=True)

    def _judge(self, program: OnnxProgram, seconds: float, *, fresh: bool) -> Judgement:
        found = self.difference(program, seconds, fresh=fresh)
        if isinstance(found, Judgement):
            return found
        if found is None:
            return Judgement(Verdict.PASSED)
        signature = of_difference(found, self.dispute.odd)
        if signature != self.target:
            return Judgement(Verdict.SLIPPED, signature.id, reason=signature.detail)
        if found.excess < self.least:
            return Judgement(Verdict.UNRESOLVED, signature.id, reason="the difference is near the tolerance")
        came_in = self._came_in(program, found.output, seconds, fresh=fresh)
        return came_in or Judgement(Verdict.INTERESTING, signature.id)

    def _came_in(self, program: OnnxProgram, output: str, seconds: float, *, fresh: bool) -> Judgement | None:
        """A verdict when a difference from the known right `output` may have come in through a cut edge: no witness
        agrees with it, so recorded values may be wrong. Another witness, fed with the same values, tells."""
        first, second = self.dispute.a, self.dispute.second
        if self.dispute.b is not None or not _is_cut(program):
            return None
        if second is None:
            return Judgement(Verdict.UNRESOLVED, reason="the values at the cut may be wrong")
        others = tuple(name for name in program.interface.outputs if name != output)
        order = Order((first, second), True, others, stop_early=True)
        observations, comparison = self.prober.climb(program, order, seconds, fresh=fresh)
        if observations[-1].outcome != PASSED:
            return Judgement(Verdict.UNRESOLVED, reason="the values at the cut may be wrong: no other witness runs it")
        if comparison.between(first, second) is None:
            return Judgement(Verdict.PASSED, reason="the difference comes in with the values at the cut")
        return None

    def hand_over(self, program: OnnxProgram) -> bool:
        """Let the second witness stand for the known right outputs from here on: where it runs this program and gives
        them, while the failing one does not. What they are known for is only the outputs of the source."""
        old = self.dispute
        if old.b is not None or old.second is None:
            return False
        order = Order((old.a, old.second), True, random_outputs(program), old.expected)
        try:
            _, comparison = self.prober.climb(program, order, self.limits.full)
        except (EditConflict, ToolFault):
            return False
        found = comparison.between(old.a, old.second)
        if found is None or found.kind != old.difference.kind or not comparison.agree(old.second, None):
            return False
        self.dispute = Dispute(found.a, found.b, found, old.odd)
        self.target = self.dispute.signature
        return True

    def _unpinned(self, program: OnnxProgram) -> tuple[str, ...]:
        outputs, first = program.interface.outputs, self.dispute.difference.output
        return tuple(name for name in outputs if name != first) if self.pinned and first in outputs else ()

    def difference(self, program: OnnxProgram, seconds: float, *, fresh: bool = False) -> Difference | Judgement | None:
        """How the two sides differ on this program, None when they agree, a Judgement when one did not run."""
        try:
            skipped = (*random_outputs(program), *self._unpinned(program))
            order = Order(self.dispute.probes, True, skipped, self.dispute.expected, stop_early=True)
            observations, comparison = self.prober.climb(program, order, seconds, fresh=fresh)
        except EditConflict as conflict:
            return Judgement(Verdict.INVALID, reason=str(conflict))
        except ToolFault as fault:
            return Judgement(Verdict.UNRESOLVED, reason=str(fault))
        last = observations[-1]
        if last.outcome == PASSED:
            self.limits.saw(sum(o.seconds for o in observations))
            return comparison.between(self.dispute.a, self.dispute.b)
        if last.outcome == FAILED:
            signature = of_observation(last, self.vocabulary)
            return Judgement(Verdict.SLIPPED, signature.id, last.seconds, signature.detail)
        limit = seconds if last.outcome == HUNG else 0.0
        return Judgement(
            Verdict.UNRESOLVED, seconds=last.seconds, reason=f"{last.probe.label} {last.outcome}", limit=limit
        )


def _is_cut(program: OnnxProgram) -> bool:
    """Whether anything but the model's own inputs is given to it."""
    face, own = program.interface, program.source.inputs
    return any(name not in own for name in (*face.inputs, *face.constants))
