"""A localizer that breaks, or wants too much, costs its fact and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from reducer import registry
from reducer.explaining import explain
from reducer.finding import Suspect
from reducer.localizers.base import Evidence, Fact, Localizer
from reducer.oracles.trial import TrialsSpent
from reducer.worker.host import Host
from tests.localizers.harness import Scene, scene_of

TEXT = "g (int16[4] a, int16[4] b) => (int16[4] y) { y = Max(a, b) }"


class Breaks(Localizer):
    name, rank = "breaks", 1

    def locate(self, evidence: Evidence) -> Iterable[Fact]:
        yield Suspect("op", "First", "said before it broke")
        raise ZeroDivisionError("never mind")


class Greedy(Localizer):
    name, rank, calls = "greedy", 2, 3

    def locate(self, evidence: Evidence) -> Iterable[Fact]:
        assert evidence.trials is not None
        while True:
            evidence.trials.run(evidence.reduced)
            yield Suspect("op", f"After {evidence.trials.calls}", "")


class Late(Localizer):
    name, rank, seconds = "late", 3, 0.0

    def locate(self, evidence: Evidence) -> Iterable[Fact]:
        assert evidence.trials is not None
        evidence.trials.run(evidence.reduced)
        yield Suspect("op", "Never", "")


@pytest.fixture
def scene(host: Host, tmp_path: Path) -> Scene:
    return scene_of(host, tmp_path, TEXT)


def test_what_broke_is_told_and_the_others_go_on(scene: Scene) -> None:
    told = explain(scene.evidence, [Breaks(), *registry.localizers()])
    assert told.faults == ["breaks: ZeroDivisionError: never mind"]
    assert [s.name for s in told.suspects][:2] == ["First", "Max"]


def test_a_budget_of_calls_and_of_seconds(scene: Scene) -> None:
    told = explain(scene.evidence, [Greedy(), Late()])
    assert [s.name for s in told.suspects] == ["After 1", "After 2", "After 3"]
    assert told.faults == []


def test_no_trial_without_a_budget(scene: Scene) -> None:
    assert scene.evidence.trials is not None
    with pytest.raises(TrialsSpent):
        scene.evidence.trials.run(scene.evidence.reduced)


def test_a_failure_that_comes_and_goes_is_told_without_trials(scene: Scene) -> None:
    told = explain(replace(scene.evidence, trials=None), registry.localizers())
    assert told.routing.tracker == "microsoft/onnxruntime"
    assert told.suspects[0].kind == "type"  # tables need no run
    assert not told.neighbours
    assert not told.optimizers
    assert not told.faults


def test_all_localizers_together_stay_within_a_budget_of_calls(scene: Scene) -> None:
    scene.explain()
    assert scene.calls <= 20
