"""Where a wrong output begins is part of its identity: on real graphs with broken handlers, and on tables alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from reducer.engine.verdict import Verdict
from reducer.oracles.beginning import BEGINS, leading_to, widened
from reducer.oracles.conversion import ConversionOracle, How
from reducer.oracles.limits import Limits
from reducer.signature import FailureSignature, Vocabulary
from reducer.testcase import Tolerance
from reducer.worker.host import Host
from tests.programs.test_graphdef import node, program_of
from tests.worker.test_tf_graph import only, whole

WRONG = FailureSignature("compare", "tf2onnx", "value", "value differs: the converted model against TensorFlow")
needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tf2onnx") is None, reason="the extra tensorflow is not installed"
)


def oracle_of(host: Host) -> ConversionOracle:
    return ConversionOracle(host, (WRONG, Vocabulary()), How(opset=15), Limits(), Tolerance())


def test_the_way_to_an_output_holds_what_it_follows_from_and_nothing_else(tmp_path: Path) -> None:
    rows = [node("x", "Placeholder", []), node("a", "Tanh", ["x:0"]), node("b", "Relu", ["x:0"]),
            node("c", "Exp", ["a:0"])]  # fmt: skip
    program = program_of(rows, ["c:0", "b:0"], tmp_path)
    names = {program.source.records[i].name for i in leading_to(program, "c:0")}
    assert names == {"x", "a", "c"}


def test_tolerances_are_widened_for_a_gross_error() -> None:
    wide = widened({"tolerances": {"float16": [0.01, 0.02]}, "default": [0.001, 0.1], "skip": []}, 3.0)
    assert wide["tolerances"] == {"float16": [0.03, 0.06]}
    assert wide["default"] == pytest.approx([0.003, 0.3])


@needs_tensorflow
def test_a_wrong_output_begins_where_a_handler_is_wrong(faulty_tf_host: Host) -> None:
    program = whole("two_faults", faulty_tf_host)
    found = oracle_of(faulty_tf_host).beginnings(program)
    assert sorted(b.op_type for b in found) == ["Asinh", "Rint"]
    assert {b.kind for b in found} == {"value"}


@needs_tensorflow
def test_a_healthy_graph_has_no_beginning(tf_host: Host) -> None:
    assert oracle_of(tf_host).beginnings(whole("two_outputs", tf_host)) == []


@needs_tensorflow
def test_the_other_fault_is_slippage_once_one_is_followed(faulty_tf_host: Host) -> None:
    program = whole("two_faults", faulty_tf_host)
    oracle = oracle_of(faulty_tf_host)
    ours, other = only(program, "Rint", "Tanh"), only(program, "Asinh", "Relu", "AddV2")
    assert oracle.judge(other).verdict is Verdict.INTERESTING  # no beginning is known yet
    oracle.aim_at_beginning(program, "Identity:0")
    assert oracle.target.context == f"{BEGINS}Rint"
    assert oracle.judge(program).verdict is Verdict.INTERESTING
    assert oracle.judge(ours).verdict is Verdict.INTERESTING
    judgement = oracle.judge(other)
    assert judgement.verdict is Verdict.SLIPPED
    assert judgement.signature != oracle.target.id
    assert "begins at Asinh" in judgement.reason


@needs_tensorflow
def test_where_it_cannot_be_told_where_it_begins_it_is_not_interesting(
    faulty_tf_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = whole("two_faults", faulty_tf_host)
    oracle = oracle_of(faulty_tf_host)
    oracle.aim_at_beginning(program)
    monkeypatch.setattr("reducer.oracles.beginning.MOST_TENSORS", 1)
    assert oracle.judge(program).verdict is Verdict.UNRESOLVED
    assert oracle.judge(only(program, "Rint")).verdict is Verdict.INTERESTING
