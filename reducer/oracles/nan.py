"""The oracle for NaN that all witnesses agree on: finite feeds, and yet NaN comes out."""

from __future__ import annotations

from reducer.engine.verdict import Judgement, Verdict
from reducer.errors import EditConflict, ToolFault
from reducer.observation import FAILED, HUNG, PASSED, Probe
from reducer.oracles.base import Oracle
from reducer.oracles.limits import Limits
from reducer.oracles.prober import Order, Prober
from reducer.programs.onnx import OnnxProgram
from reducer.signature import FailureSignature, Vocabulary, of_observation


class NanOracle(Oracle):
    """INTERESTING when finite feeds still give NaN; an infinity is something else."""

    target: FailureSignature

    def __init__(self, prober: Prober, probe: Probe, vocabulary: Vocabulary, limits: Limits) -> None:
        self.prober, self.probe, self.vocabulary, self.limits = prober, probe, vocabulary, limits
        self.target = FailureSignature("compare", probe.backend, "nan", "finite inputs give NaN")

    def judge(self, program: OnnxProgram) -> Judgement:
        """The verdict on a candidate, in a warm worker under the candidate limit."""
        return self._judge(program, self.limits.candidate, fresh=False)

    def confirm(self, program: OnnxProgram) -> Judgement:
        """The verdict in a process that never opened a model, under the full limit."""
        return self._judge(program, self.limits.full, fresh=True)

    def _judge(self, program: OnnxProgram, seconds: float, *, fresh: bool) -> Judgement:
        try:
            observations, _ = self.prober.climb(program, Order((self.probe,)), seconds, fresh=fresh)
        except EditConflict as conflict:
            return Judgement(Verdict.INVALID, reason=str(conflict))
        except ToolFault as fault:
            return Judgement(Verdict.UNRESOLVED, reason=str(fault))
        seen = observations[-1]
        if seen.outcome == PASSED:
            self.limits.saw(seen.seconds)
            if seen.nan_outputs:
                return Judgement(Verdict.INTERESTING, self.target.id, seen.seconds)
            return Judgement(Verdict.PASSED, seconds=seen.seconds)
        if seen.outcome == FAILED:
            signature = of_observation(seen, self.vocabulary)
            return Judgement(Verdict.SLIPPED, signature.id, seen.seconds, signature.detail)
        limit = seconds if seen.outcome == HUNG else 0.0
        return Judgement(Verdict.UNRESOLVED, seconds=seen.seconds, reason=seen.outcome, limit=limit)
