"""Oracles on fakes that crash, hang, lie and flake, and on real failures: same failure, or not."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest

from reducer import registry
from reducer.engine.problem import Problem
from reducer.engine.reducer import Reducer
from reducer.engine.verdict import Verdict
from reducer.observation import DIED, FAILED, HUNG, OUT_OF_MEMORY, PASSED, Probe
from reducer.oracles.capture import Capture
from reducer.oracles.command import Check, CommandOracle
from reducer.oracles.confirm import confirmations
from reducer.oracles.crash import CURED, CrashOracle
from reducer.oracles.ladder import Ladder, Plan, choose, climb, settle
from reducer.oracles.limits import Limits
from reducer.oracles.mismatch import MismatchOracle
from reducer.oracles.prober import Order, Prober
from reducer.oracles.randomness import random_outputs
from reducer.programs.onnx import OnnxProgram
from reducer.signature import Vocabulary, of_observation
from reducer.testcase import Tolerance
from reducer.worker.host import Host
from tests.fakes.backends import ALL
from tests.models import chain_text, feeds_for, model_of, program_of


def prober_of(host: Host, program: OnnxProgram, folder: Path) -> Prober:
    return Prober(host, {**registry.backends(), **ALL}, feeds_for(program, folder), Tolerance())


def crash_oracle(host: Host, program: OnnxProgram, folder: Path, probe: Probe, limits: Limits) -> CrashOracle:
    prober = prober_of(host, program, folder)
    seen = prober.climb(program, Order((probe,)), limits.full)[0][-1]
    vocabulary = Vocabulary(program.source.names(), program.source.op_types())
    limits.hang = seen.outcome == HUNG
    return CrashOracle(prober, probe, of_observation(seen, vocabulary), vocabulary, limits)


@pytest.mark.parametrize("at", ["open", "run"])
@pytest.mark.parametrize(
    ("name", "outcome"),
    [("segfaults", DIED), ("aborts", DIED), ("divides", DIED), ("exits", DIED), ("raises", FAILED),
     ("eats_memory", OUT_OF_MEMORY)],
)  # fmt: skip
def test_every_kind_of_failure_is_reduced(host: Host, tmp_path: Path, name: str, outcome: str, at: str) -> None:
    program = program_of(chain_text(24, {17: "Elu"}), tmp_path)
    oracle = crash_oracle(host, program, tmp_path, Probe(name, {"at": at}), Limits(20.0))
    assert oracle.observe(program).outcome == outcome
    problem = Problem(program, oracle)
    Reducer(problem, registry.passes()).run(())
    assert [ref.op_type for ref in problem.best.nodes()] == ["Elu"]
    assert confirmations(oracle, problem.best) == 3


def test_a_hang_is_reduced_under_a_limit_that_shrinks(host: Host, tmp_path: Path) -> None:
    program = program_of(chain_text(110, {60: "Elu"}), tmp_path)
    oracle = crash_oracle(host, program, tmp_path, Probe("hangs"), Limits(4.0))
    start = time.perf_counter()
    problem = Problem(program, oracle)
    Reducer(problem, registry.passes()).run(())
    assert [ref.op_type for ref in problem.best.nodes()] == ["Elu"]
    assert oracle.limits.candidate < 4.0
    assert time.perf_counter() - start < 60


def test_a_time_out_is_no_match_for_another_failure(host: Host, tmp_path: Path) -> None:
    program = program_of(chain_text(3, {1: "Elu"}), tmp_path)
    oracle = crash_oracle(host, program, tmp_path, Probe("raises"), Limits(0.5))
    oracle.probe = Probe("hangs")
    assert oracle.judge(program).verdict is Verdict.UNRESOLVED


def test_a_missing_module_never_matches(host: Host, tmp_path: Path) -> None:
    program = program_of(chain_text(3, {1: "Elu"}), tmp_path)
    oracle = crash_oracle(host, program, tmp_path, Probe("lacks_module"), Limits(20.0))
    assert oracle.judge(program).verdict is Verdict.UNRESOLVED


def test_a_flaky_failure_shows_its_rate(host: Host, tmp_path: Path) -> None:
    program = program_of(chain_text(3, {1: "Elu"}), tmp_path)
    prober = prober_of(host, program, tmp_path)
    seen = next(
        o for _ in range(50) if (o := prober.climb(program, Order((Probe("flaky"),)), 9)[0][0]).outcome == FAILED
    )
    vocabulary = Vocabulary()
    oracle = CrashOracle(prober, Probe("flaky"), of_observation(seen, vocabulary), vocabulary, Limits(9.0))
    assert 0 < confirmations(oracle, program, 24) < 24


def test_wrong_answers_are_reduced_and_the_liar_stands_alone(host: Host, tmp_path: Path) -> None:
    program = program_of(chain_text(30, {11: "Elu"}), tmp_path)
    prober = prober_of(host, program, tmp_path)
    liar, honest = Probe("answers_wrong"), Probe("honest")
    _observations, comparison = prober.climb(program, Order((liar, honest), compare=True), 20.0)
    difference = comparison.between(liar, honest)
    assert difference is not None
    assert difference.kind == "value"
    from reducer.oracles.mismatch import Dispute

    oracle = MismatchOracle(prober, Dispute(liar, honest, difference, liar.label), Vocabulary(), Limits(20.0))
    problem = Problem(program, oracle)
    Reducer(problem, registry.passes()).run(())
    assert [ref.op_type for ref in problem.best.nodes()] == ["Elu"]


def test_an_optimizer_failure_must_still_be_cured_without_optimizations(host: Host, tmp_path: Path) -> None:
    text = """g (float[4] x) => (int32[4] y) {
      a = Cast<to = 6>(x)  b = Relu(a)  lo = Constant<value_int = 0>()  l = Cast<to = 6>(lo)
      hi = Constant<value_int = 6>()  h = Cast<to = 6>(hi)  y = Clip(b, l, h)
    }"""
    program = program_of(text, tmp_path)
    prober = prober_of(host, program, tmp_path)
    plan = Plan()
    ladder = climb(prober, program, plan, Limits())
    aim = choose(ladder, plan)
    assert aim is not None
    assert aim.observation is not None
    assert aim.observation.stage == "load"
    assert ladder.of(plan.unoptimized).outcome == PASSED  # type: ignore[union-attr]
    vocabulary = Vocabulary(program.source.names(), program.source.op_types())
    oracle = CrashOracle(prober, plan.primary, of_observation(aim.observation, vocabulary, CURED), vocabulary, Limits())
    assert oracle.judge(program).verdict is Verdict.INTERESTING
    oracle.target = of_observation(aim.observation, vocabulary, "")
    assert oracle.judge(program).verdict is Verdict.INTERESTING


def test_values_are_captured_around_a_node_that_cannot_run(host: Host, tmp_path: Path) -> None:
    text = """g (double[3] x) => (double[3] y) {
      a = Abs(x) b = Neg(a) c = Elu(b) d = Abs(c) e = Sqrt(d) y = Add(e, a)
    }"""
    program = program_of(text, tmp_path)
    capture = Capture(prober_of(host, program, tmp_path), tmp_path / "values.bin", Limits())
    learnt = capture.values(program).source.values
    assert set(learnt) == {"a", "b", "c", "d", "e", "y"}
    assert capture.refused == [2]
    b = learnt["b"].read()
    assert np.allclose(learnt["c"].read(), np.where(b > 0, b, np.expm1(b)))
    assert capture.runs <= 5


def test_types_are_inferred_around_a_node_that_kills_inference(host: Host, tmp_path: Path) -> None:
    lines = [f"t{i + 1} = Abs(t{i})" for i in range(8)]
    lines[4] = 't5 = EyeLike("")'
    text = "g (float[2,2] t0) => (float[2,2] t8) { " + " ".join(lines) + " }"
    from reducer.frontends.onnx import load_source

    program = OnnxProgram.of(load_source(model_of(text), tmp_path, tmp_path))
    learnt = Capture(prober_of(host, program, tmp_path), tmp_path / "v.bin", Limits()).types(program)
    assert {"t1", "t2", "t3", "t4"} <= set(learnt.source.types)


def test_the_checker_is_given_ranks_that_inference_does_not_know(host: Host, tmp_path: Path) -> None:
    # Before IR 4 every initializer was to be an input; inference then knows nothing of it, nor of what it makes.
    model = model_of("g (float[2,2] x) => (float[2,2] z) <float[2,2] w = {1, 2, 3, 4}> { y = MatMul(x, w) z = Abs(y) }")
    model.ir_version = 3
    program = program_of(model, tmp_path)
    capture = Capture(prober_of(host, program, tmp_path), tmp_path / "v.bin", Limits())
    learnt = capture.ranks(capture.types(program))
    wire = learnt.source.types["y"]
    assert len(onnx.TypeProto.FromString(wire).tensor_type.shape.dim) == 2


def test_random_outputs_are_not_compared(tmp_path: Path) -> None:
    text = """g (float[4] x) => (float[4] y, float[4] z, float[4] d) {
      r = RandomNormalLike(x) y = Add(x, r) z = Abs(x) d = Dropout(x)
    }"""
    assert random_outputs(program_of(text, tmp_path)) == ("y",)


def test_a_dropout_that_trains_is_random(tmp_path: Path) -> None:
    text = "g (float[4] x, bool t) => (float[4] d) { p = Constant<value = float {0.5}>() d = Dropout(x, p, t) }"
    assert random_outputs(program_of(text, tmp_path)) == ("d",)


def test_a_body_is_as_random_as_what_it_holds(tmp_path: Path) -> None:
    text = """g (float[4] x, bool c) => (float[4] y, float[4] z, float[1,1,2,2] d) {
      y = If(c) <then_branch = t () => (float[4] a) { a = Abs(x) }, else_branch = e () => (float[4] b) { b = Neg(x) }>
      z = If(c) <then_branch = t2 () => (float[4] f) { f = RandomNormalLike(x) },
                 else_branch = e2 () => (float[4] h) { h = Neg(x) }>
      s = Constant<value = int64[4] {1, 4, 1, 1}>() r = Reshape(x, s) d = DepthToSpace<blocksize = 2>(r)
    }"""
    assert random_outputs(program_of(text, tmp_path)) == ("z",)


def test_the_vote_blames_the_one_who_stands_alone(host: Host, tmp_path: Path) -> None:
    program = program_of("g (float[1,2,3] x) => (float[1,2,1] y) { a = Abs(x) y = GlobalMaxPool(a) }", tmp_path)
    plan = Plan()
    dispute = settle(climb(prober_of(host, program, tmp_path), program, plan, Limits()), plan)
    assert dispute is not None
    assert dispute.odd == "reference"
    assert dispute.difference.kind == "shape"


def test_nothing_is_chosen_of_a_healthy_model(host: Host, tmp_path: Path) -> None:
    program = program_of(chain_text(4), tmp_path)
    plan = Plan()
    ladder = climb(prober_of(host, program, tmp_path), program, plan, Limits())
    assert choose(ladder, plan) is None
    assert [o.outcome for o in ladder.observations] == [PASSED] * 5


def test_a_stage_that_did_not_fail_is_not_chosen() -> None:
    assert choose(Ladder(), Plan(), "load") is None


CHECK = """
import sys, onnx
ops = [n.op_type for n in onnx.load(sys.argv[1]).graph.node]
if "Elu" in ops and "Tanh" in ops: print("PAIR"); sys.exit(4)
if "Elu" in ops: print("only Elu"); sys.exit(4)
if "Tanh" in ops: sys.exit(9)
"""


def command_oracle(program: OnnxProgram, folder: Path, **options: object) -> CommandOracle:
    script = folder / "check.py"
    script.write_text(CHECK)
    check = Check((sys.executable, str(script), "{}"), **options)  # type: ignore[arg-type]
    oracle = CommandOracle(check, folder / "candidates", Vocabulary(), Limits())
    oracle.aim(program)
    return oracle


def test_a_command_decides_and_its_last_line_is_part_of_the_failure(tmp_path: Path) -> None:
    program = program_of(chain_text(12, {3: "Elu", 8: "Tanh"}), tmp_path)
    problem = Problem(program, command_oracle(program, tmp_path))
    Reducer(problem, registry.passes()).run(())
    assert sorted(ref.op_type for ref in problem.best.nodes()) == ["Elu", "Tanh"]
    assert not list((tmp_path / "candidates").iterdir())


def test_exit_codes_and_regex_of_a_command(tmp_path: Path) -> None:
    program = program_of(chain_text(4, {1: "Elu", 2: "Tanh"}), tmp_path)
    assert command_oracle(program, tmp_path, fail_codes=(4,)).target is not None
    assert command_oracle(program, tmp_path, fail_codes=(5,)).target is None
    assert command_oracle(program, tmp_path, ignore_fail_codes=(4,)).target is None
    assert command_oracle(program, tmp_path, fail_regex="PAIR").target is not None
    assert command_oracle(program, tmp_path, fail_regex="nothing like it").target is None
