"""Models as onnx.helper code: running it gives the same model back, or there is no code at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from reducer.model_code import model_code
from reducer.programs.onnx_source import walk
from reducer.worker.knowledge import _plain
from tests.models import model_of

TEXTS = {
    "weights": """g (float[2,N] x) => (float[2,?] y) <float[2,2] w = {1,2.5,3,-4}> {
        a = Gemm<alpha = 0.1>(x, w) y = Relu(a)
    }""",
    "attributes": """g (float[1,1,4,4] x) => (float[] y) {
        y = MaxPool<kernel_shape = [2, 2], auto_pad = "SAME_UPPER">(x)
    }""",
    "omitted": 'g (float[2] x) => (float[2] y) <float m = {1}> { y = Clip(x, "", m) }',
    "bodies": """g (bool c, float[2] x) => (float[2] y) {
        y = If(c) <then_branch = t () => (float[2] p) { p = Neg(x) }, else_branch = e () => (float[2] q) { q = Abs(x) }>
    }""",
    "sequence": "g (seq(float[2]) s, int64 i) => (float[2] y) { y = SequenceAt(s, i) }",
    "constants": "g () => (float[2] y) { y = Constant<value = float[2] {1, inf}>() }",
}


def rebuilt(code: str) -> onnx.ModelProto:
    names: dict[str, Any] = {"helper": helper, "numpy_helper": numpy_helper, "TensorProto": TensorProto, "np": np}
    exec(code, names)
    made: onnx.ModelProto = names["make_model"]()
    return made


def plain(model: onnx.ModelProto) -> bytes:
    """With numbers in one form, and attributes in the order of their names."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node, _ in walk(copy.graph.node):
        node.attribute.sort(key=lambda attribute: attribute.name)
    return _plain(copy)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_the_code_makes_the_same_model(text: str) -> None:
    model = model_of(text)
    code = model_code(model)
    assert code is not None
    assert plain(rebuilt(code)) == plain(model)


def test_a_long_weight_that_follows_a_formula_is_a_formula() -> None:
    model = model_of("g (float[1,900] x) => (float[1,900] y) { y = MatMul(x, w) }")
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((900, 900), np.float32), "w"))
    code = model_code(model)
    assert code is not None
    assert 'np.zeros((900, 900), "float32")' in code
    assert len(code) < 600
    assert rebuilt(code).graph.initializer[0] == model.graph.initializer[0]


def test_numbers_without_a_formula_are_not_written_down_when_there_are_many() -> None:
    model = model_of("g (float[1,9] x) => (float[1,9] y) { y = MatMul(x, w) }")
    values = np.random.default_rng(5).standard_normal((9, 9)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(values, "w"))
    assert model_code(model) is None


def test_what_the_calls_cannot_say_gives_no_code() -> None:
    model = model_of("g (float[2] x) => (float[2] y) { y = Abs(x) }")
    model.graph.node[0].attribute.add(name="empty", type=onnx.AttributeProto.INTS)
    assert model_code(model) is None
