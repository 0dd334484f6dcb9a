"""A wrong output of the reduced model in numbers, and whether float64 cures it (step 10)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import onnx

from reducer.difference import measured
from reducer.finding import DifferenceFacts
from reducer.localizers.base import Evidence, Localizer, small_model
from reducer.observation import PASSED
from reducer.oracles.prober import Order
from reducer.oracles.trial import FAILS, PASSES, Trials, Variant
from reducer.values import append_values
from reducer.variants import widened

MOST_BYTES = 4_000_000


class DifferenceLocalizer(Localizer):
    """Counts what differs, measures it in steps of the type, and asks float64."""

    name: ClassVar[str] = "difference"
    rank: ClassVar[int] = 70
    calls: ClassVar[int] = 4
    seconds: ClassVar[float] = 5.0

    def locate(self, evidence: Evidence) -> Iterable[DifferenceFacts]:
        dispute, trials = evidence.aim.dispute, evidence.trials
        if dispute is None or trials is None:
            return
        keep = trials.prober.host.folder / "difference.bin"
        seen = trials.order(evidence.reduced, Order(dispute.probes, True, expected=dispute.expected, keep=keep))[0]
        if any(o.outcome != PASSED for o in seen):
            return
        sides = {o.probe.label: {k: ref.read() for k, ref in o.outputs.items()} for o in seen}
        if dispute.b is None:
            sides["expected"] = {k: ref.read() for k, ref in dispute.expected.items()}
        actual = sides.pop(dispute.odd, None)
        if actual is None or not sides:
            return
        expected = next(iter(sides.values()))
        output = dispute.difference.output
        name = output if output in actual and output in expected else next((n for n in actual if n in expected), "")
        if name:
            yield measured(name, expected[name], actual[name], wide_verdict(evidence, trials))


def wide_verdict(evidence: Evidence, trials: Trials) -> bool | None:
    """Whether the two sides differ in float64 too; None when float64 cannot be tried."""
    raw = small_model(evidence.reduced, MOST_BYTES)
    if raw is None:
        return None
    feeds = {name: ref.read() for name, ref in evidence.prober.feeds.feeds_of(evidence.reduced).items()}
    wide = widened(onnx.ModelProto.FromString(raw), feeds)
    if wide is None:
        return None
    refs = append_values(trials.prober.host.folder / "wide.bin", wide.feeds)
    verdict = trials.run(Variant(wide.model.SerializeToString(), refs)).verdict
    return {FAILS: True, PASSES: False}.get(verdict)
