"""Any set of nodes is a valid model: cuts, constants, symbolic dims, names that were broken."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from reducer.errors import EditConflict
from reducer.programs.base import CutMode
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_source import OnnxSource
from reducer.values import append_values
from tests.models import model_of, parsed, program_of, source_of

NET = """g (float[N,4] x) => (float[N,2] y) <float[4,4] w = {1,0,0,0, 0,1,0,0, 0,0,1,0, 0,0,0,1}, int64[2] s = {0, 2}> {
  a = MatMul(x, w)
  b = Relu(a)
  two = Constant<value = float {2}>()
  c = Mul(b, two)
  i = Constant<value_ints = [0, 1]>()
  y = Gather<axis = 1>(c, i)
  dead = Neg(b)
}"""


def test_the_whole_program_is_the_source_but_for_node_names(tmp_path: Path) -> None:
    model = model_of(NET)
    whole = parsed(program_of(model, tmp_path))
    assert [n.name for n in whole.graph.node] == [f"{n.op_type}_{i}" for i, n in enumerate(model.graph.node)]
    for node in whole.graph.node:
        node.ClearField("name")
    assert whole.graph.node == model.graph.node
    assert whole.graph.initializer == model.graph.initializer
    assert whole.graph.input == model.graph.input


def test_any_subset_passes_the_checker(tmp_path: Path) -> None:
    program = program_of(NET, tmp_path)
    rng = random.Random(0)
    for _ in range(60):
        keep = frozenset(rng.sample(range(7), rng.randint(1, 7)))
        model = parsed(program.restrict(keep))
        onnx.checker.check_model(model, full_check=True)
        assert len(model.graph.node) == len(keep)


def test_a_cut_input_keeps_its_symbolic_dims(tmp_path: Path) -> None:
    model = parsed(program_of(NET, tmp_path).restrict(frozenset({1})))
    (fed,) = model.graph.input
    assert fed.name == "a"
    assert fed.type.tensor_type.shape.dim[0].dim_param == "N"


def test_a_cut_that_always_was_constant_stays_constant(tmp_path: Path) -> None:
    source = source_of(model_of(NET), tmp_path)
    value = np.array(2.0, dtype=np.float32)
    source = source.learn(values=append_values(tmp_path / "v.bin", {"two": value, "b": np.ones((2, 4), np.float32)}))
    program = OnnxProgram.of(source).restrict(frozenset({3}))
    assert program.interface.inputs == ("b",)
    assert program.interface.constants == ("two",)
    (constant,) = parsed(program).graph.initializer
    assert numpy_helper.to_array(constant).shape == ()
    other = program.restrict(frozenset({3}), {"two": CutMode.INPUT, "b": CutMode.CONSTANT})
    assert (other.interface.inputs, other.interface.constants) == (("two",), ("b",))


def test_a_cut_of_unknown_type_is_a_conflict(tmp_path: Path) -> None:
    model = model_of("g (float[2] x) => (float[2] y) { h = NoSuchOperator(x) y = Relu(h) }")
    with pytest.raises(EditConflict, match="type"):
        program_of(model, tmp_path).restrict(frozenset({1})).model_bytes()


def test_a_dangling_name_stays_dangling_and_a_double_definition_stays_double(tmp_path: Path) -> None:
    model = model_of("g (float[2] x) => (float[2] y) { a = Abs(x) y = Add(a, lost) a = Neg(x) }")
    program = program_of(model, tmp_path)
    assert program.restrict(frozenset({1})).interface.inputs == ("a",)
    both = parsed(program.restrict(frozenset({0, 2})))
    assert [n.output[0] for n in both.graph.node] == ["a", "a"]


def test_nodes_cover_bodies_and_functions_and_names_are_unique(tmp_path: Path) -> None:
    text = """g (bool c, float[2] x) => (float[2] y) {
       y = If(c) <then_branch = t () => (float[2] p) { p = Neg(x) }, else_branch = e () => (float[2] q) { q = Elu(x) }>
    }"""
    program = program_of(text, tmp_path)
    assert sorted(ref.op_type for ref in program.nodes()) == ["Elu", "If", "Neg"]
    assert program.size()[0] == 3
    assert len({ref.name for ref in program.nodes()}) == 3
    assert program.source.nodes[0].captures == ("x",)


def test_a_body_keeps_the_outer_value_that_it_captures(tmp_path: Path) -> None:
    text = """g (bool c, float[2] x) => (float[2] y) {
       z = Abs(x)
       y = If(c) <then_branch = t () => (float[2] p) { p = Neg(z) }, else_branch = e () => (float[2] q) { q = Elu(z) }>
    }"""
    program = program_of(text, tmp_path).restrict(frozenset({1}))
    assert set(program.interface.inputs) == {"c", "z"}
    onnx.checker.check_model(parsed(program), full_check=True)


def test_bypass_reaches_into_bodies(tmp_path: Path) -> None:
    text = """g (bool c, float[2] x) => (float[2] y) {
       z = Abs(x)
       y = If(c) <then_branch = t () => (float[2] p) { p = Neg(z) }, else_branch = e () => (float[2] q) { q = Elu(z) }>
    }"""
    program = program_of(text, tmp_path).bypass(0, "z", "x")
    onnx.checker.check_model(parsed(program), full_check=True)
    assert set(program.interface.inputs) == {"c", "x"}


def test_omitted_inputs_are_no_tensors(tmp_path: Path) -> None:
    text = 'g (float[2] x, float m) => (float[2] y) { a = Abs(x) y = Clip(a, "", m) }'
    program = program_of(text, tmp_path).restrict(frozenset({1}))
    assert set(program.interface.inputs) == {"a", "m"}
    onnx.checker.check_model(parsed(program), full_check=True)


def test_sequence_types_survive_a_cut(tmp_path: Path) -> None:
    text = "g (float[4] x) => (float[4] y) { s = SplitToSequence(x) y = ConcatFromSequence<axis = 0>(s) }"
    program = program_of(text, tmp_path).restrict(frozenset({1}))
    (fed,) = parsed(program).graph.input
    assert fed.type.HasField("sequence_type")


def test_only_reachable_functions_are_kept(tmp_path: Path) -> None:
    inner = helper.make_function("f", "Inner", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], _opsets())
    outer = helper.make_function(
        "f", "Outer", ["a"], ["b"], [helper.make_node("Inner", ["a"], ["b"], domain="f")], _opsets()
    )
    other = helper.make_function("f", "Other", ["a"], ["b"], [helper.make_node("Abs", ["a"], ["b"])], _opsets())
    nodes = [helper.make_node("Outer", ["x"], ["h"], domain="f"), helper.make_node("Other", ["h"], ["y"], domain="f")]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [value("x", TensorProto.FLOAT, [2])], [value("y", TensorProto.FLOAT, [2])])
    model = helper.make_model(graph, opset_imports=_opsets(), functions=[inner, outer, other], ir_version=8)
    program = program_of(model, tmp_path)
    assert len(program.nodes()) == 5
    reduced = program.restrict(frozenset({0}))
    assert [key[1] for key in reduced.functions] == ["Inner", "Outer"]
    assert len(reduced.nodes()) == 3


def _opsets() -> list[onnx.OperatorSetIdProto]:
    return [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]


def test_a_command_sees_fixed_sizes_and_frozen_integers(tmp_path: Path) -> None:
    text = (
        "g (float[N,4] x) => (float[M] y) { h = Relu(x) s = Shape(h) n = ReduceProd<keepdims=1>(s) y = Reshape(h, n) }"
    )
    source: OnnxSource = source_of(model_of(text), tmp_path)
    values = {"h": np.ones((2, 4), np.float32), "s": np.array([2, 4]), "n": np.array([8])}
    source = source.learn(values=append_values(tmp_path / "v.bin", values))
    from reducer.programs.onnx import Policy

    program = OnnxProgram.of(source, Policy(by_command=True)).restrict(frozenset({3}))
    assert program.interface.inputs == ("h",)
    assert program.interface.constants == ("n",)
    dims = parsed(program).graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_value for d in dims] == [2, 4]


def test_big_weights_are_spilled_once_and_inlined_on_request(tmp_path: Path) -> None:
    big = numpy_helper.from_array(np.arange(1 << 17, dtype=np.float32), "w")
    model = model_of("g (float[131072] x) => (float[131072] y) { y = Add(x, w) }")
    model.graph.initializer.append(big)
    program = program_of(model, tmp_path)
    assert len(program.model_bytes()) < 1000
    assert program.folder == tmp_path
    whole = parsed(program)
    assert np.array_equal(numpy_helper.to_array(whole.graph.initializer[0]), np.arange(1 << 17, dtype=np.float32))
