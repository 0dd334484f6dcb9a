"""What each pass of the simplifying stages makes of a small program when everything is interesting, and what not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from reducer.conformance import AlwaysTrue
from reducer.engine.problem import Problem
from reducer.engine.reducer import Reducer
from reducer.engine.verdict import Judgement, Verdict
from reducer.passes.base import ReductionPass
from reducer.passes.constants_as_weights import ConstantsAsWeightsPass
from reducer.passes.declare_shapes import DeclareShapes
from reducer.passes.drop_arguments import DropArguments
from reducer.passes.drop_attributes import DropAttributesPass
from reducer.passes.drop_unused import DropUnusedPass
from reducer.passes.fixed_dims import FixedDims
from reducer.passes.loop_once import LoopOnce
from reducer.passes.lower_opset import LowerOpset
from reducer.passes.lower_rank import LowerRank
from reducer.passes.plain_types import PlainTypes
from reducer.passes.shrink_dims import ShrinkDims, ShrinkDimsPass
from reducer.passes.shrink_function import ShrinkFunction
from reducer.passes.simple_elements import SimpleElements
from reducer.passes.simple_values import SimpleValues, SimpleValuesAtOnce
from reducer.passes.simpler_op import SimplerOp
from reducer.programs.fed import Fed, pattern_of
from reducer.programs.onnx import OnnxProgram
from tests.models import parsed, program_of


class When:
    """Interesting while the predicate holds of the message; counts its calls."""

    def __init__(self, holds: Callable[[onnx.ModelProto], bool]) -> None:
        self.holds, self.calls = holds, 0

    def judge(self, program: OnnxProgram) -> Judgement:
        self.calls += 1
        return Judgement(Verdict.INTERESTING if self.holds(parsed(program)) else Verdict.PASSED)

    def outdated(self, judgement: Judgement) -> bool:
        return False


def run(
    reduction: ReductionPass[OnnxProgram],
    text: str | onnx.ModelProto,
    folder: Path,
    fed: Mapping[str, np.ndarray] | None = None,  # type: ignore[type-arg]  # any dtype
    oracle: When | None = None,
) -> OnnxProgram:
    program = replace(program_of(text, folder), fed={k: Fed.of(v) for k, v in (fed or {}).items()})
    problem = Problem(program, oracle or AlwaysTrue())
    Reducer(problem, [reduction]).finish()
    return problem.best


def weights(program: OnnxProgram) -> dict[str, np.ndarray]:  # type: ignore[type-arg]  # any dtype
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in parsed(program).graph.initializer}


GEMM = "g (float[3,2] x) => (float[3,2] y) <float[2,2] w = {1,2.5,3,4}> { y = MatMul(x, w) }"
INDEX = "g (int64[2] i) => (float[2,3] y) <float[5,3] w = {1,2,3,4,5,6,7,8,9,1,2,3,4,5,6}> { y = Gather(w, i) }"


def test_all_numbers_become_zeros_in_one_call(tmp_path: Path) -> None:
    oracle = When(lambda _: True)
    best = run(SimpleValuesAtOnce(), GEMM, tmp_path, {"x": np.ones((3, 2), np.float32) * 7}, oracle)
    assert not weights(best)["w"].any()
    assert not best.fed["x"].value().any()
    assert oracle.calls == 1


def test_the_simplest_pattern_that_still_fails_is_taken(tmp_path: Path) -> None:
    def nonzero(model: onnx.ModelProto) -> bool:
        return bool(numpy_helper.to_array(model.graph.initializer[0]).all())

    best = run(SimpleValues(), GEMM, tmp_path, oracle=When(nonzero))
    assert pattern_of(weights(best)["w"]) == "ones"


def test_integers_stay_between_the_least_and_the_greatest(tmp_path: Path) -> None:
    for reduction in (SimpleValuesAtOnce(), SimpleValues(), SimpleElements()):
        best = run(reduction, INDEX, tmp_path, {"i": np.array([3, 4])})
        assert set(best.fed["i"].value().tolist()) <= {3, 4}


def test_elements_become_zero_one_by_one(tmp_path: Path) -> None:
    def third(model: onnx.ModelProto) -> bool:
        return float(numpy_helper.to_array(model.graph.initializer[0])[1, 0]) > 2.5

    best = run(SimpleElements(), GEMM, tmp_path, oracle=When(third))
    assert weights(best)["w"].tolist() == [[0, 0], [3, 0]]


def test_all_dims_become_one_in_one_call_and_numbers_are_cut(tmp_path: Path) -> None:
    oracle = When(lambda _: True)
    best = run(ShrinkDimsPass(), GEMM, tmp_path, {"x": np.arange(6, dtype=np.float32).reshape(3, 2)}, oracle)
    assert weights(best)["w"].tolist() == [[1]]
    assert best.fed["x"].value().tolist() == [[0]]
    assert [d.dim_value for d in parsed(best).graph.input[0].type.tensor_type.shape.dim] == [1, 1]
    assert oracle.calls == 1


def test_dims_of_one_size_shrink_together(tmp_path: Path) -> None:
    def consistent(model: onnx.ModelProto) -> bool:
        x = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
        w = list(model.graph.initializer[0].dims)
        return x[1] == w[0] and x[0] == 3

    best = run(ShrinkDimsPass(), GEMM, tmp_path, {"x": np.ones((3, 2), np.float32)}, When(consistent))
    assert weights(best)["w"].shape == (1, 1)
    assert best.fed["x"].shape == (3, 1)


def test_legal_indices_stay_legal_when_their_axis_shrinks(tmp_path: Path) -> None:
    program = replace(program_of(INDEX, tmp_path), fed={"i": Fed.of(np.array([3, 4]))})
    best = ShrinkDims(2, 5).apply(program)
    assert weights(best)["w"].shape == (2, 3)
    assert best.fed["i"].value().max() <= 1


def test_an_illegal_index_is_the_failure_and_stays(tmp_path: Path) -> None:
    program = replace(program_of(INDEX, tmp_path), fed={"i": Fed.of(np.array([3, 50]))})
    best = ShrinkDims(2, 5).apply(program)
    assert best.fed["i"].value().tolist() == [3, 50]


def test_sizes_that_are_written_down_follow(tmp_path: Path) -> None:
    text = "g (float[4,6] x) => (float[24] y) <int64[1] s = {24}> { y = Reshape(x, s) }"

    def fits(model: onnx.ModelProto) -> bool:
        dims = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
        return bool(np.prod(dims) == numpy_helper.to_array(model.graph.initializer[0])[0])

    best = run(ShrinkDimsPass(), text, tmp_path, {"x": np.ones((4, 6), np.float32)}, When(fits))
    assert best.fed["x"].shape == (1, 1)
    assert weights(best)["s"].tolist() == [1]


def test_ranks_go_down(tmp_path: Path) -> None:
    text = "g (float[1,1,2] x) => (float[1,1,2] y) <float[1,1,2] w = {1,2}> { y = Add(x, w) }"
    best = run(LowerRank(), text, tmp_path, {"x": np.ones((1, 1, 2), np.float32)})
    assert weights(best)["w"].shape == best.fed["x"].shape == (2,)


def test_open_dims_are_fixed(tmp_path: Path) -> None:
    text = "g (float[N,?] x) => (float[N,?] y) { y = Abs(x) }"
    best = run(FixedDims(), text, tmp_path, {"x": np.ones((3, 2), np.float32)})
    assert [d.dim_value for d in parsed(best).graph.input[0].type.tensor_type.shape.dim] == [3, 2]


def test_open_dims_that_the_failure_needs_stay(tmp_path: Path) -> None:
    def still_open(model: onnx.ModelProto) -> bool:
        return bool(model.graph.input[0].type.tensor_type.shape.dim[0].dim_param)

    text = "g (float[N,M] x) => (float[N,M] y) { y = Abs(x) }"
    best = run(FixedDims(), text, tmp_path, {"x": np.ones((3, 2), np.float32)}, When(still_open))
    dims = parsed(best).graph.input[0].type.tensor_type.shape.dim
    assert (dims[0].dim_param, dims[1].dim_value) == ("N", 2)


def test_optional_attributes_go_and_required_ones_stay(tmp_path: Path) -> None:
    text = """g (float[1,1,4,4] x) => (float[1,1,2,2] y) {
        y = MaxPool<kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1>(x)
    }"""
    best = run(DropAttributesPass(), text, tmp_path)
    assert [a.name for a in parsed(best).graph.node[0].attribute] == ["kernel_shape"]


def test_optional_inputs_and_outputs_go(tmp_path: Path) -> None:
    text = """g (float[4] x, int64[1] k) => (float[2] v) <float lo = {0}, float hi = {6}> {
        c = Clip(x, lo, hi)
        v, i = TopK(c, k)
    }"""
    model = parsed(run(DropArguments(), text, tmp_path))
    assert list(model.graph.node[0].input) == ["x"]
    assert not model.graph.initializer
    assert list(model.graph.node[1].input) == ["c", "k"]


def test_lists_of_variable_length_get_shorter(tmp_path: Path) -> None:
    text = "g (float[2] a, float[2] b, float[2] c) => (float[2] y) { y = Sum(a, b, c) }"

    def reads_b(model: onnx.ModelProto) -> bool:
        return "b" in model.graph.node[0].input

    model = parsed(run(DropArguments(), text, tmp_path, oracle=When(reads_b)))
    assert list(model.graph.node[0].input) == ["b"]
    assert [value.name for value in model.graph.input] == ["b"]


def test_types_become_float32_everywhere_at_once(tmp_path: Path) -> None:
    text = "g (double[2] x) => (double[2] y) <double[2] w = {1,2}> { a = Cast<to = 11>(x) y = Add(a, w) }"
    model = parsed(run(PlainTypes(), text, tmp_path, {"x": np.ones(2)}))
    kinds = {value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)}
    assert kinds | {model.graph.initializer[0].data_type, model.graph.node[0].attribute[0].i} == {TensorProto.FLOAT}


def test_the_header_names_the_lowest_opset_of_equal_operators(tmp_path: Path) -> None:
    model = program_of("g (float[2] x) => (float[2] y) { y = Elu(x) }", tmp_path, 17)
    message = parsed(model)
    message.opset_import.add(domain="nobody", version=3)
    made = parsed(run(LowerOpset(), message, tmp_path))
    assert [(entry.domain, entry.version) for entry in made.opset_import] == [("", 6)]
    assert made.ir_version == 3
    assert onnx.defs.get_schema("Elu", 17).since_version == onnx.defs.get_schema("Elu", 6).since_version == 6


def test_operators_become_simpler_while_there_are_more_than_two(tmp_path: Path) -> None:
    text = "g (float[2] x) => (float[2] y) { a = Tanh(x) b = Elu(a) y = Mul(b, x) }"

    def has_elu(model: onnx.ModelProto) -> bool:
        return any(node.op_type == "Elu" for node in model.graph.node)

    best = run(SimplerOp(), text, tmp_path, oracle=When(has_elu))
    assert [ref.op_type for ref in best.nodes()] == ["Identity", "Elu", "Add"]
    two = run(SimplerOp(), "g (float[2] x) => (float[2] y) { a = Tanh(x) y = Elu(a) }", tmp_path)
    assert [ref.op_type for ref in two.nodes()] == ["Tanh", "Elu"]


def test_constants_become_initializers_in_bodies_too(tmp_path: Path) -> None:
    text = """g (bool c, float[2] x) => (float[2] y) {
        k = Constant<value_ints = [1, 2]>()
        y = If(c) <then_branch = t () => (float[2] p) { w = Constant<value = float {3}>() p = Mul(x, w) },
                   else_branch = e () => (float[2] q) { q = Abs(x) }>
        z = Gather(x, k)
    }"""
    best = run(ConstantsAsWeightsPass(), text, tmp_path)
    assert "Constant" not in [ref.op_type for ref in best.nodes()]
    assert weights(best)["k"].tolist() == [1, 2]


def test_a_loop_runs_once(tmp_path: Path) -> None:
    text = """g (float[2] x) => (float[2] y) <int64 n = {7}, bool go = {1}> {
        y = Loop(n, go, x) <body = b (int64 i, bool k, float[2] s) => (bool k2, float[2] p) {
            k2 = Identity(k) p = Neg(s) }>
    }"""
    model = parsed(run(LoopOnce(), text, tmp_path))
    assert numpy_helper.to_array(model.graph.initializer[0]) == 1
    assert list(model.graph.node[0].input) == ["n", "", "x"]


def test_nodes_of_a_function_that_stays_are_bypassed(tmp_path: Path) -> None:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    nodes = [helper.make_node(op, [a], [b]) for op, a, b in (("Abs", "a", "t"), ("Elu", "t", "u"), ("Neg", "u", "b"))]
    function = helper.make_function("f", "F", ["a"], ["b"], nodes, opsets)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("F", ["x"], ["y"], domain="f")], "g", [value("x", TensorProto.FLOAT, [2])],
        [value("y", TensorProto.FLOAT, [2])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=8)

    def has_elu(model: onnx.ModelProto) -> bool:
        return any(node.op_type == "Elu" for f in model.functions for node in f.node)

    best = run(ShrinkFunction(), model, tmp_path, oracle=When(has_elu))
    assert [node.op_type for node in parsed(best).functions[0].node] == ["Elu"]


def test_what_nobody_reads_goes(tmp_path: Path) -> None:
    text = "g (float[2] x, float[2] unread) => (float[2] y) <float[1] w = {1}> { a = Abs(x) y = Neg(a) }"
    message = program_of(text, tmp_path)
    model = parsed(message)
    model.graph.value_info.add(name="a").type.tensor_type.elem_type = TensorProto.FLOAT
    made = parsed(run(DropUnusedPass(), model, tmp_path))
    assert [value.name for value in made.graph.input] == ["x"]
    assert not made.graph.initializer
    assert not made.graph.value_info


def test_outputs_get_their_inferred_shape_back(tmp_path: Path) -> None:
    program = program_of("g (float[3,2] x) => (float[] y) { y = Abs(x) }", tmp_path)
    shape = helper.make_tensor_type_proto(TensorProto.FLOAT, [3, "made_up"]).SerializeToString()
    unshaped = helper.make_tensor_type_proto(TensorProto.FLOAT, None).SerializeToString()
    source = replace(program.source, outputs={"y": unshaped})
    problem = Problem(replace(program, source=source.learn(types={"y": shape})), AlwaysTrue())
    Reducer(problem, [DeclareShapes()]).finish()
    dims = parsed(problem.best).graph.output[0].type.tensor_type.shape.dim
    assert dims[0].dim_value == 3
    assert not dims[1].dim_param


@pytest.mark.parametrize("nodes", [65, 200])
def test_large_programs_are_left_to_the_node_phase(nodes: int, tmp_path: Path) -> None:
    text = "g (float[2] t0) => (float[2] y) {" + "".join(f" t{i + 1} = Abs(t{i})" for i in range(nodes)) + " }"
    program = program_of(text, tmp_path)
    for reduction in (SimpleValues(), ShrinkDimsPass(), DropAttributesPass(), LowerOpset(), PlainTypes()):
        assert list(reduction.propose(program)) == []
