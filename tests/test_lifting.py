"""Bodies and functions: lifted where the failure survives that, shrunk in place where it needs them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from reducer.finding import Finding
from reducer.lifting import lifts
from reducer.progress import Progress
from reducer.sessions.onnx import OnnxSession
from reducer.settings import Settings
from tests.models import model_of, program_of

BODY = "t = Abs(z) u = Elu(t) p = Neg(u)"


def reduced(model: onnx.ModelProto, folder: Path, **options: object) -> tuple[Finding, onnx.ModelProto]:
    onnx.save(model, str(folder / "m.onnx"))
    quiet = Progress()
    with OnnxSession(Settings(output=folder / "o", **options), str(folder / "m.onnx"), quiet, quiet.say) as session:  # type: ignore[arg-type]
        finding = session.run()
        assert session.workspace is not None
        return finding, onnx.load(str(session.workspace.folder / "reduced.onnx"))


IF = f"""g (bool c, double[2] x) => (double[2] y) {{
  z = Abs(x)
  w = If(c) <then_branch = a () => (double[2] p) {{ {BODY} }}, else_branch = b () => (double[2] q) {{ q = Neg(z) }}>
  y = Neg(w)
}}"""
LOOP = """g (double[2] x) => (double[2] y) {
  z = Abs(x) n = Constant<value_int = 3>()
  w = Loop(n, "", z) <body = b (int64 i, bool k, double[2] s) => (bool k2, double[2] p) {
    k2 = Identity(k) t = Abs(s) u = Elu(t) p = Neg(u) }>
  y = Neg(w)
}"""
SCAN = """g (double[4,2] x) => (double[4,2] y) {
  z = Abs(x)
  w = Scan<num_scan_inputs = 1, body = b (double[2] s) => (double[2] p) { t = Abs(s) u = Elu(t) p = Neg(u) }>(z)
  y = Neg(w)
}"""
NESTED = f"""g (bool c, double[2] x) => (double[2] y) {{
  z = Abs(x)
  y = If(c) <then_branch = a () => (double[2] r) {{
        r = If(c) <then_branch = d () => (double[2] p) {{ {BODY} }},
                   else_branch = e () => (double[2] f) {{ f = Neg(z) }}>
      }}, else_branch = b () => (double[2] q) {{ q = Neg(z) }}>
}}"""


@pytest.mark.parametrize("text", [IF, LOOP, SCAN, NESTED], ids=["If", "Loop", "Scan", "nested"])
def test_a_failing_node_is_lifted_out_of_its_body(text: str, tmp_path: Path) -> None:
    finding, model = reduced(model_of(text), tmp_path)
    assert [node.op_type for node in model.graph.node] == ["Elu"]
    assert finding.reduced is not None
    assert finding.reduced.reproduced == "3/3"
    assert finding.search.oracle_calls <= 12


def test_the_number_of_the_iteration_has_the_rank_that_the_body_declares(tmp_path: Path) -> None:
    text = """g (float[4] x) => (float[a,b] y) {
      n = Constant<value_int = 3>() z = Abs(x)
      w, y = Loop(n, "", z) <body = b (int64[1] i, bool[1] k, float[4] s) => (bool[1] k2, float[4] p, float[b] o) {
        k2 = Identity(k) p = Neg(s) e = Constant<value_ints = [4]>() five = Constant<value_ints = [5]>()
        t = Slice(s, i, e) o = Reshape(t, five) }>
    }"""
    _, model = reduced(model_of(text), tmp_path)
    assert [node.op_type for node in model.graph.node] == ["Reshape"]


def test_a_node_that_the_runtime_renames_while_it_inlines_a_branch_is_lifted(tmp_path: Path) -> None:
    # The condition is constant: ONNX Runtime inlines the branch and calls the node _if_then_branch_Reshape.
    text = """g (float[2,3] x) => (float[a,b] y) {
      z = Abs(x) one = Constant<value_int = 1>() c = Cast<to = 9>(one)
      y = If(c) <then_branch = t () => (float[a,b] p) { s = Constant<value_ints = [5, 5]>() p = Reshape(z, s) },
                 else_branch = e () => (float[a,b] q) { q = Neg(z) }>
    }"""
    _, model = reduced(model_of(text), tmp_path)
    assert [node.op_type for node in model.graph.node] == ["Reshape"]


def test_functions_are_inlined_and_reduced(tmp_path: Path) -> None:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    nodes = [helper.make_node("Abs", ["a"], ["t"]), helper.make_node("Elu", ["t"], ["b"])]
    inner = helper.make_function("f", "Inner", ["a"], ["b"], nodes, opsets)
    call = helper.make_node("Inner", ["a"], ["b"], domain="f")
    outer = helper.make_function("f", "Outer", ["a"], ["b"], [call], opsets)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["h"]), helper.make_node("Outer", ["h"], ["y"], domain="f")], "g",
        [value("x", TensorProto.DOUBLE, [2])], [value("y", TensorProto.DOUBLE, [2])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=opsets, functions=[inner, outer], ir_version=8)
    _, small = reduced(model, tmp_path)
    assert [node.op_type for node in small.graph.node] == ["Elu"]
    assert not small.functions


def test_a_loop_that_never_ends_keeps_an_empty_body(tmp_path: Path) -> None:
    text = """g (float[1] x) => (float[1] y) {
      n = Constant<value_int = 4611686018427387904>()
      y = Loop(n, "", x) <body = b (int64 i, bool c, float[1] s) => (bool d, float[1] e) { d = Identity(c) e = Neg(s) }>
    }"""
    finding, model = reduced(model_of(text), tmp_path, timeout=2.0)
    assert finding.failure is not None
    assert finding.failure.symptom == "hang"
    (loop,) = model.graph.node
    assert loop.op_type == "Loop"
    assert len(loop.attribute[0].g.node) == 0


def test_a_scanned_input_gets_its_first_slice(tmp_path: Path) -> None:
    program = program_of(SCAN, tmp_path)
    values = {"z": np.arange(8.0).reshape(4, 2)}
    (lifted,) = lifts(program, values.get)
    assert np.array_equal(lifted.values["s"], [0.0, 1.0])
    onnx.checker.check_model(lifted.model)


def test_a_state_is_the_outer_tensor_of_the_first_iteration(tmp_path: Path) -> None:
    (lifted,) = lifts(program_of(LOOP, tmp_path), lambda name: None)
    onnx.checker.check_model(lifted.model)
    assert lifted.model.graph.node[-3].input[0] == "z"
    assert lifted.values == {}
