"""Another failure is recorded and never followed: planted ones in random graphs, and traps that were met for real."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reducer import registry
from reducer.engine.problem import Problem
from reducer.engine.reducer import Reducer
from reducer.engine.verdict import Verdict
from reducer.observation import Difference, Probe
from reducer.oracles.capture import Capture
from reducer.oracles.crash import CrashOracle
from reducer.oracles.limits import Limits
from reducer.oracles.mismatch import Dispute, MismatchOracle
from reducer.oracles.prober import Order, Prober
from reducer.programs.onnx import OnnxProgram
from reducer.recording import Recorder
from reducer.signature import Vocabulary, of_observation
from reducer.testcase import Tolerance
from reducer.worker.comparison import difference
from reducer.worker.host import Host
from reducer.workspace import Workspace
from tests.fakes.backends import ALL, PLANTED
from tests.models import feeds_for, program_of


def prober_of(host: Host, program: OnnxProgram, folder: Path) -> Prober:
    return Prober(host, {**registry.backends(), **ALL}, feeds_for(program, folder), Tolerance())


OPS = st.sampled_from(["Abs", "Neg", "Relu", *PLANTED])


@st.composite
def graphs(draw: st.DrawFn) -> str:
    lines = []
    for number in range(draw(st.integers(2, 14))):
        left = f"t{draw(st.integers(0, number))}"
        right = f"t{draw(st.integers(0, number))}"
        op = draw(st.one_of(OPS, st.just("Add")))
        lines.append(f"t{number + 1} = Add({left}, {right})" if op == "Add" else f"t{number + 1} = {op}({left})")
    return f"g (float[2] t0) => (float[2] t{len(lines)}) {{ " + " ".join(lines) + " }"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=graphs())
def test_a_reduction_ends_on_the_first_failure_and_keeps_the_others_beside(
    host: Host, tmp_path_factory: object, tmp_path: Path, text: str
) -> None:
    program = program_of(text, tmp_path)
    probe = Probe("planted", run=False)
    prober = prober_of(host, program, tmp_path)
    seen = prober.climb(program, Order((probe,)), 20.0)[0][-1]
    if not seen.error:
        return
    vocabulary = Vocabulary(program.source.names(), program.source.op_types())
    target = of_observation(seen, vocabulary)
    oracle = CrashOracle(prober, probe, target, vocabulary, Limits(20.0))
    workspace = Workspace(tmp_path / "o", force=False)
    met: list[str] = []

    def write(candidate: OnnxProgram) -> bytes:
        return candidate.model_bytes()

    def listen(event: object) -> None:
        if getattr(event, "verdict", "") == Verdict.SLIPPED.value:
            met.append(event.signature)  # type: ignore[attr-defined]

    recorder = Recorder(workspace, listen, print, "reduced.onnx", write, lambda candidate: True)
    problem = Problem(program, oracle, listener=recorder)
    Reducer(problem, registry.passes()).run(())
    first = next(op for op, message in PLANTED.items() if message in target.detail)
    assert [ref.op_type for ref in problem.best.nodes()] == [first]
    others = {other["signature"] for other in workspace.others}
    assert others == set(met)
    assert target.id not in others
    for other in workspace.others:
        model = onnx.load(str(workspace.folder / other["path"]))
        assert any(PLANTED[n.op_type] in other["detail"] for n in model.graph.node if n.op_type in PLANTED)
    workspace.discard()


def test_names_shapes_and_positions_do_not_make_another_failure(host: Host, tmp_path: Path) -> None:
    ids = set()
    for text in (
        "g (float[2] x) => (float[2] y) { y = Elu(x) }",
        "g (float[2] scale) => (float[2] out) { a = Abs(scale) b = Neg(a) out = Elu(b) }",
    ):
        program = program_of(text, tmp_path)
        seen = prober_of(host, program, tmp_path).climb(program, Order((Probe("planted", run=False),)), 20.0)[0][-1]
        ids.add(of_observation(seen, Vocabulary(program.source.names(), program.source.op_types())).id)
    assert len(ids) == 1


def test_nan_is_not_infinity_is_not_a_different_number() -> None:
    one, tolerance = np.array([1.0, 2.0], np.float32), lambda dtype: (1e-3, 1e-3)
    kinds = [
        difference(one, np.array([1.0, other], np.float32), tolerance)["kind"]
        for other in (np.nan, np.inf, -np.inf, 3.0, 2.0)
    ]
    assert kinds == ["nan", "inf", "inf", "value", ""]
    infinite = np.array([np.inf], np.float32)
    assert difference(infinite, -infinite, tolerance)["kind"] == "inf"


def test_a_run_failure_with_symbolic_dims_does_not_become_a_load_failure(host: Host, tmp_path: Path) -> None:
    # With static dims ONNX Runtime would refuse this Reshape while it loads the model.
    text = """g (float[n, 6] x, float[m] z) => (float[p, 4] y) {
      a = Abs(x) b = Neg(a) shape = Constant<value = int64[2] {-1, 4}>() y = Reshape(b, shape) w = Abs(z)
    }"""
    program = program_of(text, tmp_path)
    prober = prober_of(host, program, tmp_path)
    prober.feeds.give({"x": np.ones((3, 6), np.float32)})
    probe = Probe("onnxruntime", {"opt_level": "all"})
    seen = prober.climb(program, Order((probe,)), 20.0)[0][-1]
    assert seen.stage == "run"
    vocabulary = Vocabulary(program.source.names(), program.source.op_types())
    oracle = CrashOracle(prober, probe, of_observation(seen, vocabulary), vocabulary, Limits(20.0))
    learnt = Capture(prober, tmp_path / "values.bin", Limits(20.0)).values(program)
    problem = Problem(learnt, oracle)
    Reducer(problem, registry.passes()).run(())
    assert [ref.op_type for ref in problem.best.nodes()] == ["Reshape"]
    assert oracle.confirm(problem.best).verdict is Verdict.INTERESTING
    shown = onnx.ModelProto.FromString(problem.best.model_bytes()).graph.input[0].type.tensor_type
    assert shown.elem_type == onnx.TensorProto.FLOAT
    assert shown.shape.dim[0].dim_param == "n"


def test_a_difference_that_comes_and_goes_is_pinned_to_its_output(host: Host, tmp_path: Path) -> None:
    text = "g (float[2] x) => (float[2] a, float[2] b) { a = Abs(x) b = Elu(x) }"
    program = program_of(text, tmp_path)
    prober = prober_of(host, program, tmp_path)
    liar, honest = Probe("answers_wrong"), Probe("honest")
    at = Difference(liar, honest, "value", "no longer there", 1000.0)
    oracle = MismatchOracle(prober, Dispute(liar, honest, at, liar.label), Vocabulary(), Limits(20.0))
    assert oracle.judge(program).verdict is Verdict.INTERESTING
    oracle.pinned = True
    assert oracle.judge(program).verdict is Verdict.INTERESTING
    # The fake lies about all outputs alike; with the first one skipped by hand only the pinned one is compared.
    oracle.dispute = replace(oracle.dispute, difference=replace(at, output="a"))
    assert oracle._unpinned(program) == ("b",)
    assert oracle.judge(program).verdict is Verdict.INTERESTING
