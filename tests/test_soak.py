"""Minutes of random deaths, hangs and kills: nothing is lost and nothing is left behind (bench/reliability.py)."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from tests.conftest import ROOT


def reliability() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reliability", ROOT / "bench" / "reliability.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["reliability"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("candidates", [120, pytest.param(2000, marks=pytest.mark.slow)])
def test_random_deaths_lose_nothing_and_leave_nothing(candidates: int) -> None:
    bench = reliability()
    count = bench.soak(candidates)
    assert count.candidates == candidates
    assert (count.results_lost, count.files_left, count.orphans) == (0, 0, 0), count.outcomes
    assert {name.split(":")[0] for name in count.outcomes} >= {"segfaults", "aborts", "exits"}


@pytest.mark.slow
def test_kills_of_the_tool_lose_nothing_and_leave_nothing() -> None:
    count = reliability().kills(8)
    assert (count.results_lost, count.parents_lost, count.orphans, count.files_left) == (0, 0, 0, 0)
