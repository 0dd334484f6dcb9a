"""The oracle for everything that is not a wrong output: exceptions, deaths, hangs, memory, in any backend."""

from __future__ import annotations

from dataclasses import replace

from reducer.engine.verdict import Judgement, Verdict
from reducer.errors import EditConflict, ToolFault
from reducer.observation import DIED, FAILED, HUNG, PASSED, Observation, Probe
from reducer.oracles.base import Oracle
from reducer.oracles.limits import Limits
from reducer.oracles.prober import Order, Prober
from reducer.programs.onnx import OnnxProgram
from reducer.signature import NEVER_A_MATCH, FailureSignature, Vocabulary, of_observation

CURED = "passes without optimizations"


class CrashOracle(Oracle):
    """INTERESTING when the probe fails with the target's signature. A failure that optimization causes must also
    still go away without it: else it is another one with the same words."""

    target: FailureSignature
    # Where the model must run for the failure to count as cured; None: in the same backend without optimizations.
    without: Probe | None = None

    def __init__(
        self, prober: Prober, probe: Probe, target: FailureSignature, vocabulary: Vocabulary, limits: Limits
    ) -> None:
        # A load failure needs no run, and no feeds.
        self.probe = replace(probe, run=target.stage == "run")
        self.prober, self.target, self.vocabulary, self.limits = prober, target, vocabulary, limits

    def judge(self, program: OnnxProgram) -> Judgement:
        """The verdict on a candidate, in a warm worker under the candidate limit."""
        return self._judge(program, self.limits.candidate, fresh=False)

    def confirm(self, program: OnnxProgram) -> Judgement:
        """The verdict in a process that never opened a model, under the full limit."""
        return self._judge(program, self.limits.full, fresh=True)

    def observe(self, program: OnnxProgram) -> Observation:
        """What the failing probe does, under the full limit."""
        return self.prober.climb(program, Order((self.probe,)), self.limits.full)[0][-1]

    def _judge(self, program: OnnxProgram, seconds: float, *, fresh: bool) -> Judgement:
        try:
            observations, _ = self.prober.climb(program, Order((self.probe,)), seconds, fresh=fresh)
        except EditConflict as conflict:
            return Judgement(Verdict.INVALID, reason=str(conflict))
        except ToolFault as fault:
            return Judgement(Verdict.UNRESOLVED, reason=str(fault))
        seen = observations[-1]
        if seen.outcome in (PASSED, FAILED, DIED):
            self.limits.saw(seen.seconds)
        if seen.outcome == PASSED:
            return Judgement(Verdict.PASSED, seconds=seen.seconds)
        if seen.error in NEVER_A_MATCH:
            return Judgement(Verdict.UNRESOLVED, seconds=seen.seconds, reason=seen.message)
        if seen.outcome == HUNG and self.target.kind != "hang":
            reason = f"no answer in {seconds:.1f} s"
            return Judgement(Verdict.UNRESOLVED, seconds=seen.seconds, reason=reason, limit=seconds)
        signature = of_observation(seen, self.vocabulary, self.target.context)
        if signature == self.target and self._context_holds(program, seconds, fresh=fresh):
            limit = seconds if seen.outcome == HUNG else 0.0
            return Judgement(Verdict.INTERESTING, signature.id, seen.seconds, limit=limit)
        return Judgement(Verdict.SLIPPED, signature.id, seen.seconds, signature.detail)

    def _context_holds(self, program: OnnxProgram, seconds: float, *, fresh: bool) -> bool:
        if self.target.context != CURED:
            return True
        without = self.without or replace(self.probe, options={**self.probe.options, "opt_level": "none"})
        observations, _ = self.prober.climb(program, Order((without,)), seconds, fresh=fresh)
        return observations[-1].outcome == PASSED
