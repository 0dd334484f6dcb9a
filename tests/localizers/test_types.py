"""Types that break the specification, kernels that are missing, and where a wrong type or shape comes from."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from reducer.localizers.kernels import missing_kernel
from reducer.schemas import Bound, Parameter, allowed_since
from reducer.worker.host import Host
from tests.localizers.harness import scene_of
from tests.models import model_of

CPU = "CPUExecutionProvider"


def made(body: str, opset: int, *nodes: onnx.NodeProto) -> onnx.ModelProto:
    """A model in text with nodes put in front that its parser does not accept."""
    model = model_of(body, opset)
    for position, node in enumerate(nodes):
        model.graph.node.insert(position, node)
    return model


def test_a_type_that_the_opset_forbids_is_the_converters(host: Host, tmp_path: Path) -> None:
    """IsInf takes float and double until opset 20; the float16 is made by the Cast, two nodes above."""
    text = "g (float[4] x) => (bool[4] y) { h = Cast<to = 10>(x) r = Neg(h) t = Identity(r) y = IsInf(t) }"
    found = scene_of(host, tmp_path, text).explain("kernels", "origin")
    symptom = next(s for s in found.suspects if s.name == "IsInf")
    assert symptom.kind == "type"
    assert (
        symptom.evidence == "IsInf(10) takes double, float as X (T1); the model gives float16, which IsInf(20) allows"
    )
    origin = next(s for s in found.suspects if s.name == "Cast")
    assert "float16 begins here from float by to=10" in origin.evidence
    assert found.routing.project == "converter"


def test_two_types_for_one_parameter(host: Host, tmp_path: Path) -> None:
    text = "g (float[2] a, int64[2] b) => (float[2] y) { n = Neg(b) y = Mul(a, n) }"
    found = scene_of(host, tmp_path, text).explain("kernels")
    assert found.suspects[0].evidence == "Mul(14) wants one type for T; 'a' is float, 'n' is int64"
    assert found.routing.project == "converter"


@pytest.mark.parametrize(
    ("text", "opset", "missing"),
    [
        # The type of an input, of an output that an attribute decides, and of a third parameter.
        ("g (int16[4] a, int16[4] b) => (int16[4] y) { y = Max(a, b) }", 17, "Max(13) with T=int16"),
        ("g (float[3,3] x) => (bool[3,3] y) { y = EyeLike<dtype = 9>(x) }", 13, "EyeLike(9) with T2=bool"),
        (
            "g (int32[3] i, int32[1] d, uint8[2] v) => (uint8[3,4] y) { y = OneHot(i, d, v) }",
            11,
            "OneHot(11) with T3=uint8",
        ),
    ],
)
def test_a_legal_type_without_a_kernel_is_the_runtimes(
    host: Host, tmp_path: Path, text: str, opset: int, missing: str
) -> None:
    found = scene_of(host, tmp_path, text, opset=opset).explain("kernels")
    assert found.suspects[0].evidence.startswith(f"no CPU kernel for {missing}; kernels exist for ")
    assert found.routing.tracker == "microsoft/onnxruntime"


def test_an_operator_that_nobody_knows_is_the_converters(host: Host, tmp_path: Path) -> None:
    text = (
        '<ir_version: 8, opset_import: ["" : 17, "my.ops" : 1]> g (float[2] x) => (float[2] y) { y = my.ops.Gate(x) }'
    )
    model = onnx.parser.parse_model(text)
    model.producer_name, model.producer_version = "pytorch", "2.9.0"
    found = scene_of(host, tmp_path, model).explain("kernels")
    assert found.suspects[0].name == "my.ops.Gate"
    assert "neither onnx nor this onnxruntime knows Gate in domain my.ops" in found.suspects[0].evidence
    assert (found.routing.project, found.routing.tracker) == ("torch", "pytorch/pytorch")


def test_a_combination_of_types_may_lack_a_kernel_though_each_has_one() -> None:
    def kernel(t1: str, t2: str) -> dict[str, object]:
        types = {"T1": [f"tensor({t1})"], "T2": [f"tensor({t2})"]}
        return {"provider": CPU, "since": 1, "until": 99, "types": types}

    table = {"kernels": [kernel("float", "int64"), kernel("double", "int32")], "known": True}
    both = frozenset({"tensor(float)", "tensor(int32)"})
    bound = Bound("Op", "", 9)
    bound.parameters["T1"] = Parameter("T1", "x", both, bound={"x": "tensor(float)"})
    bound.parameters["T2"] = Parameter("T2", "i", both, bound={"i": "tensor(int32)"})
    text = missing_kernel(table, bound, "Op", CPU)
    assert text.startswith("no CPU kernel for Op(9) with T1=float, T2=int32 together; the nearest one needs ")
    bound.parameters["T2"].bound["i"] = "tensor(int64)"
    assert missing_kernel(table, bound, "Op", CPU) == ""


def test_the_opset_that_first_allows_a_type() -> None:
    assert allowed_since("IsInf", "", "T1", "tensor(float16)", 10) == 20
    assert allowed_since("IsInf", "", "T1", "tensor(string)", 10) is None
    assert allowed_since("NoSuchOp", "", "T", "tensor(float)", 1) is None


def test_a_refused_shape_leads_to_the_node_that_decides_it(host: Host, tmp_path: Path) -> None:
    """With layout=1 the axes of a GRU's output change places, so the Squeeze after it meets a dim of 2: the symptom
    is the Squeeze, the cause the attribute. The Relu between them only passes the shape on."""
    gru = helper.make_node("GRU", ["x", "w", "r"], ["h"], "rnn", hidden_size=3, layout=1)
    text = """g (float[5,2,4] x, float[1,9,4] w, float[1,9,3] r) => (float y) <int64[1] axes = {1}> {
      k = Relu(h)  y = Squeeze(k, axes)
    }"""
    model = made(text, 17, gru)
    model.graph.output[0].type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    found = scene_of(host, tmp_path, model).explain("origin")
    (origin,) = found.suspects
    assert (origin.kind, origin.name, origin.node) == ("shape", "GRU", "rnn")
    assert "with layout=0 (its default) Squeeze no longer fails in this way" in origin.evidence
    assert found.routing.project == "converter"  # strict inference refuses it, too
