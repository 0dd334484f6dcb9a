"""Trials: the reduced model run once more with one thing changed, for the localizers (step 10 of the data path).

The question is always "does it still fail in the same way?"; what a trial costs is counted against a budget, so
that no localizer can hold up the end of a run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from reducer.errors import EditConflict, ToolFault
from reducer.observation import FAILED, HUNG, PASSED, Comparison, Observation, Probe, plain
from reducer.oracles.base import Oracle
from reducer.oracles.crash import CrashOracle
from reducer.oracles.mismatch import MismatchOracle
from reducer.oracles.nan import NanOracle
from reducer.oracles.prober import Order, Prober
from reducer.oracles.randomness import random_outputs
from reducer.programs.onnx import OnnxProgram
from reducer.signature import NEVER_A_MATCH, of_observation
from reducer.values import ValueRef

FAILS, PASSES, DIFFERS, UNKNOWN = "fails", "passes", "differs", "unknown"
RUNTIME = "onnxruntime"


class TrialsSpent(Exception):
    """The calls or seconds of a localizer are used up: it costs its fact and nothing else."""


@dataclass(frozen=True)
class Outcome:
    """`verdict` is fails (the same failure) | passes | differs (another failure) | unknown; `detail` what was seen."""

    verdict: str
    detail: str = ""


@dataclass(frozen=True)
class Variant:
    """A serialized model that is no program of ours, with its feeds by input name."""

    raw: bytes
    feeds: Mapping[str, ValueRef]


class Trials:
    """Asks whether a changed model or setting still shows one failure, within a budget of calls and seconds."""

    def __init__(self, oracle: Oracle, prober: Prober) -> None:
        self.oracle, self.prober = oracle, prober
        self.calls = 0
        self._most, self._end = 0, 0.0

    def allow(self, calls: int, seconds: float) -> None:
        """A fresh budget: that many more calls, that many seconds from now."""
        self._most, self._end = self.calls + calls, time.monotonic() + seconds

    @property
    def probe(self) -> Probe | None:
        """The system that fails, as the user runs it; None for a user's own command."""
        if isinstance(self.oracle, CrashOracle | NanOracle):
            return self.oracle.probe
        if isinstance(self.oracle, MismatchOracle):
            dispute = self.oracle.dispute
            return dispute.b if dispute.b is not None and dispute.b.label == dispute.odd else dispute.a
        return None

    @property
    def hangs(self) -> bool:
        """Whether every failing trial has to be waited for."""
        return self.oracle.limits.hang

    def run(self, case: OnnxProgram | Variant, options: Mapping[str, str] | None = None) -> Outcome:
        """What the model does when the failing system gets these options on top of its own. Raises TrialsSpent."""
        probe = self.probe
        if probe is None:
            return Outcome(UNKNOWN)
        changed = replace(probe, options={**probe.options, **(options or {})})
        if isinstance(self.oracle, MismatchOracle):
            return self._mismatch(self.oracle, case, (probe, changed))
        return self._single(case, changed)

    def order(self, case: OnnxProgram | Variant, order: Order) -> tuple[list[Observation], Comparison]:
        """Any probes on any model, under the budget. Raises TrialsSpent, EditConflict, ToolFault."""
        seconds = min(self.oracle.limits.candidate, self._end - time.monotonic())
        if self.calls >= self._most or seconds <= 0:
            raise TrialsSpent
        self.calls += 1
        if isinstance(case, Variant):
            return self.prober.climb_bytes(case.raw, case.feeds, order, seconds)
        return self.prober.climb(case, order, seconds)

    def _tried(self, case: OnnxProgram | Variant, order: Order) -> tuple[list[Observation], Comparison] | Outcome:
        try:
            return self.order(case, order)
        except (EditConflict, ToolFault) as error:
            return Outcome(UNKNOWN, plain(error))

    def _single(self, case: OnnxProgram | Variant, probe: Probe) -> Outcome:
        found = self._tried(case, Order((probe,)))
        if isinstance(found, Outcome):
            return found
        return self._told(found[0][-1])

    def _told(self, seen: Observation) -> Outcome:
        target = self.oracle.target
        if isinstance(self.oracle, NanOracle) and seen.outcome == PASSED:
            return Outcome(FAILS, f"NaN in {', '.join(seen.nan_outputs)}") if seen.nan_outputs else Outcome(PASSES)
        if seen.outcome == PASSED:
            return Outcome(PASSES)
        if seen.error in NEVER_A_MATCH:
            return Outcome(UNKNOWN, plain(seen.message))
        detail = plain(seen.message) if seen.outcome == FAILED else seen.signal or seen.outcome
        if target is not None and of_observation(seen, self.oracle.vocabulary, target.context) == target:
            return Outcome(FAILS, detail)
        # Out of time under the budget of a localizer says nothing.
        return Outcome(UNKNOWN if seen.outcome == HUNG else DIFFERS, detail)

    def _mismatch(self, oracle: MismatchOracle, case: OnnxProgram | Variant, swap: tuple[Probe, Probe]) -> Outcome:
        dispute, (old, new) = oracle.dispute, swap
        probes = tuple(new if probe == old else probe for probe in dispute.probes)
        if len(set(map(_key, probes))) < len(probes):
            return Outcome(PASSES, "it is the other witness now")
        skip = random_outputs(case) if isinstance(case, OnnxProgram) else ()
        expected = dispute.expected if isinstance(case, OnnxProgram) else {}
        if dispute.b is None and not expected:
            return Outcome(UNKNOWN, "nothing to compare with")
        found = self._tried(case, Order(probes, True, skip, expected, stop_early=True))
        if isinstance(found, Outcome):
            return found
        last = found[0][-1]
        if last.outcome != PASSED:
            return Outcome(UNKNOWN if last.outcome == HUNG else DIFFERS, plain(last.message) or last.signal)
        difference = found[1].between(probes[0], probes[1] if len(probes) > 1 else None)
        if difference is None:
            return Outcome(PASSES)
        size = f" by {difference.max_abs:.3g}" if difference.max_abs is not None else f" {difference.detail}".rstrip()
        told = f"differs in {difference.kind}{size}"
        same = difference.kind == dispute.difference.kind
        if same and difference.excess < oracle.least:
            return Outcome(UNKNOWN, f"{told}, near the tolerance")
        return Outcome(FAILS if same else DIFFERS, told)


def _key(probe: Probe) -> tuple[str, tuple[tuple[str, str], ...]]:
    return probe.backend, tuple(sorted(probe.options.items()))
