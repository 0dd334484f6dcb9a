"""Runs the end of the data path on a small model: ladder, aim, all localizers; nothing is reduced."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from reducer import registry
from reducer.aiming import Target, aim
from reducer.explaining import Explanation, explain
from reducer.frontends.subject import InputOptions, load_subject
from reducer.localizers.base import Evidence, Localizer
from reducer.oracles.capture import Capture
from reducer.oracles.limits import Limits
from reducer.oracles.prober import Prober
from reducer.oracles.trial import Trials
from reducer.settings import Settings
from reducer.testcase import Tolerance
from reducer.worker.host import Host
from tests.models import model_of


@dataclass(frozen=True)
class Scene:
    """A failing model with everything that localizers see."""

    evidence: Evidence
    target: Target
    producer: str

    def explain(self, *names: str) -> Explanation:
        """What the localizers of these names find; all of them when none is named."""
        chosen: list[Localizer] = [one for one in registry.localizers() if not names or one.name in names]
        assert not names or len(chosen) == len(names)
        return explain(self.evidence, chosen, self.producer)

    @property
    def calls(self) -> int:
        """Trials so far."""
        assert self.evidence.trials is not None
        return self.evidence.trials.calls


def scene_of(
    host: Host,
    folder: Path,
    model: str | onnx.ModelProto,
    feeds: dict[str, Any] | None = None,
    opset: int = 17,
    **settings: Any,
) -> Scene:
    """The scene of a model in ONNX text or as a message. It must fail."""
    proto = model_of(model, opset) if isinstance(model, str) else model
    path, inputs = folder / "model.onnx", None
    path.write_bytes(proto.SerializeToString())
    if feeds is not None:
        inputs = folder / "inputs.npz"
        np.savez(inputs, **feeds)
    subject = load_subject(path, InputOptions(inputs=inputs), host, by_command=False)
    prober = Prober(host, registry.backends(), subject.feeds, Tolerance())
    limits = Limits()
    target, ladder, plan = aim(Settings(**settings), subject, prober, limits, lambda _: None)
    assert target is not None, [(o.stage, o.probe.label, o.outcome, o.message) for o in ladder.observations]
    learnt = Capture(prober, folder / "values.bin", limits).types(subject.program)
    trials = Trials(target.oracle, prober)
    evidence = Evidence(
        subject.program, learnt, target.aim, target.message, plan, ladder, prober, subject.opsets, None, trials
    )
    return Scene(evidence, target, subject.producer)
