"""Failures that come and go: their rate, repetitions that follow from it, and a best that was taken by luck."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from reducer import registry
from reducer.engine.problem import Budget, Problem
from reducer.engine.reducer import Reducer
from reducer.engine.verdict import Judgement, Verdict
from reducer.observation import FAILED, Probe
from reducer.oracles.crash import CrashOracle
from reducer.oracles.flaky import FIRST, TRIES, Rate, Repeating, confirmed_best, measured
from reducer.oracles.limits import Limits
from reducer.oracles.prober import Order, Prober
from reducer.programs.onnx import OnnxProgram
from reducer.signature import Vocabulary, of_observation
from reducer.testcase import Tolerance
from reducer.worker.host import Host
from tests.conftest import ROOT
from tests.fakes.backends import ALL
from tests.models import chain_text, feeds_for, model_of, program_of


def oracle_for(host: Host, folder: Path, program: OnnxProgram, name: str) -> CrashOracle:
    prober = Prober(host, {**registry.backends(), **ALL}, feeds_for(program, folder), Tolerance())
    probe = Probe(name)
    seen = next(o for _ in range(80) if (o := prober.climb(program, Order((probe,)), 9)[0][0]).outcome == FAILED)
    return CrashOracle(prober, probe, of_observation(seen, Vocabulary()), Vocabulary(), Limits(9.0))


def test_the_rate_is_measured_where_it_is_needed(host: Host, tmp_path: Path) -> None:
    program = program_of(chain_text(3, {1: "Elu"}), tmp_path)
    steady = measured(oracle_for(host, tmp_path, program, "raises"), program)
    assert (steady.failed, steady.tried) == (FIRST, FIRST)
    assert steady.repetitions == 1
    rates = [measured(oracle_for(host, tmp_path, program, "flaky"), program) for _ in range(4)]
    shaky = [rate for rate in rates if not rate.stable]
    assert shaky, "four times two heads in a row"
    assert all(rate.tried == TRIES and 0 < rate.failed < TRIES for rate in shaky)


@pytest.mark.parametrize(
    ("failed", "tried", "times"), [(20, 20, 1), (10, 20, 6), (18, 20, 2), (2, 20, 38), (1, 20, 40)]
)
def test_repetitions_follow_from_the_rate(failed: int, tried: int, times: int) -> None:
    assert Rate(failed, tried).repetitions == times


def test_a_flaky_failure_is_reduced_by_repetition(host: Host, tmp_path: Path) -> None:
    program = program_of(chain_text(24, {17: "Elu"}), tmp_path)
    oracle = oracle_for(host, tmp_path, program, "flaky")
    problem = Problem(program, Repeating(oracle, 12), Budget(recheck=5))
    Reducer(problem, registry.passes()).run(())
    assert [ref.op_type for ref in problem.best.nodes()] == ["Elu"]
    shown = confirmed_best(problem, oracle, 20)
    assert 0 < shown.failed < 20


class Lucky:
    """Finds programs without the needed operator interesting at the first look only."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def judge(self, program: OnnxProgram) -> Judgement:
        real = any(ref.op_type == "Elu" for ref in program.nodes())
        luck = len(program.keep) in (10, 5) and program.key() not in self.seen
        self.seen.add(program.key())
        return Judgement(Verdict.INTERESTING if real or luck else Verdict.PASSED)

    def outdated(self, judgement: Judgement) -> bool:
        return False


def test_a_best_that_was_taken_by_luck_is_given_back(tmp_path: Path) -> None:
    program = program_of(chain_text(20, {15: "Elu"}), tmp_path)
    without = Problem(program, Lucky())
    Reducer(without, registry.passes()).run(())
    assert [ref.op_type for ref in without.best.nodes()] != ["Elu"], "the fake must mislead who never looks again"
    problem = Problem(program, Lucky(), Budget(recheck=1))
    Reducer(problem, registry.passes()).run(())
    assert [ref.op_type for ref in problem.best.nodes()] == ["Elu"]


def test_a_result_that_never_shows_again_is_given_up_for_an_earlier_one(host: Host, tmp_path: Path) -> None:
    program = program_of(chain_text(12, {2: "Elu"}), tmp_path)
    oracle = oracle_for(host, tmp_path, program, "raises")
    problem = Problem(program, oracle)
    for last in (8, 5, 3):
        assert problem.consider(program.restrict(frozenset(range(last))))
    problem.earlier.append(problem.best)
    problem.best = program.restrict(frozenset({0}))
    assert str(confirmed_best(problem, oracle, 3)) == "3/3"
    assert len(problem.best.keep) == 3


FLAKY_CHECK = """
import os, sys, onnx
hit = any(node.op_type == "Elu" for node in onnx.load(sys.argv[1]).graph.node)
sys.exit(7 if hit and os.urandom(1)[0] < 150 else 0)
"""


def test_the_finding_says_flaky_and_the_rate(tmp_path: Path) -> None:
    (tmp_path / "check.py").write_text(FLAKY_CHECK)
    onnx.save(model_of(chain_text(8, {5: "Elu"})), str(tmp_path / "bad.onnx"))
    words = ["bad.onnx", "-q", "--check", sys.executable, "check.py"]
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    command = [sys.executable, "-c", "from reducer.cli import entry; entry()", *words]
    for _ in range(8):  # the first run, or the two after it, may happen to pass or to fail alike
        subprocess.run(["rm", "-rf", "bad.reduced"], cwd=tmp_path, check=True)
        ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        if ended.returncode == 0:
            finding = json.loads((tmp_path / "bad.reduced" / "finding.json").read_text())
            if finding["flaky"]:
                break
    failed, tried = map(int, finding["flaky"].split("/"))
    assert finding["status"] == "flaky"
    assert 0 < failed < tried
    assert finding["reduced"]["op_types"] == {"Elu": 1}
