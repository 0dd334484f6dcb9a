"""What must stay as it is for the failure: the reduced model with one thing changed at a time (step 10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count
from typing import ClassVar

import onnx

from reducer.errors import EditConflict
from reducer.finding import Neighbour
from reducer.localizers.base import Evidence, Localizer, small_model
from reducer.oracles.crash import CrashOracle
from reducer.oracles.ladder import RUNTIME
from reducer.oracles.trial import DIFFERS, FAILS, PASSES, Outcome, Variant
from reducer.values import Tensors, ValueRef, append_values
from reducer.variants import neighbours_of

MOST_BYTES = 1_000_000
MOST_NODES = 12
LOADING: tuple[tuple[str, str, Mapping[str, str]], ...] = (("opt_level", "none", {"opt_level": "none"}),)
RUNNING: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    ("threads", "1 -> 4", {"threads": "4"}),
    ("prepacking", "off", {"config:session.disable_prepacking": "1"}),
)


class NeighbourLocalizer(Localizer):
    """Settings first, they need no other model; then types, opsets, attributes, constants, shapes, values."""

    name: ClassVar[str] = "neighbours"
    rank: ClassVar[int] = 80
    calls: ClassVar[int] = 40
    seconds: ClassVar[float] = 1.5

    def locate(self, evidence: Evidence) -> Iterable[Neighbour]:
        trials, program = evidence.trials, evidence.reduced
        if trials is None or trials.probe is None or trials.hangs or len(program.nodes()) > MOST_NODES:
            return
        runs = not isinstance(trials.oracle, CrashOracle) or trials.oracle.probe.run
        if trials.probe.backend == RUNTIME:
            for axis, change, options in (*LOADING, *RUNNING) if runs else LOADING:
                if not all(trials.probe.options.get(k) == v for k, v in options.items()):
                    yield from _told(axis, change, trials.run(program, options))
        raw = small_model(program, MOST_BYTES)
        if raw is None:
            return
        try:
            feeds = _feeds(evidence) if runs else {}
        except EditConflict:
            return
        store, numbers = trials.prober.host.folder / "neighbours.bin", count()
        for other in neighbours_of(onnx.ModelProto.FromString(raw), feeds):
            refs: dict[str, ValueRef] = append_values(store.with_suffix(f".{next(numbers)}"), other.feeds)
            outcome = trials.run(Variant(other.model.SerializeToString(), refs))
            yield from _told(other.axis, other.change, outcome)


def _feeds(evidence: Evidence) -> Tensors:
    return {name: ref.read() for name, ref in evidence.prober.feeds.feeds_of(evidence.reduced).items()}


def _told(axis: str, change: str, outcome: Outcome) -> Iterable[Neighbour]:
    """A neighbour that was judged; one of which nothing can be told is left out."""
    if outcome.verdict in (FAILS, PASSES, DIFFERS):
        yield Neighbour(axis, change, outcome.verdict, outcome.detail if outcome.verdict != PASSES else "")
