"""Whose bug it is: the right repository for failures of every kind, each with the reason why it is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from reducer.finding import DifferenceFacts, Failure, SignatureFacts, Suspect
from reducer.observation import DIED, FAILED, HUNG, PASSED
from reducer.routing import Symptoms, producing_project, route
from reducer.taxonomy import Known, classify
from reducer.worker.host import Host
from tests.localizers.harness import scene_of
from tests.models import model_of

ORT, ONNX, TORCH = "microsoft/onnxruntime", "onnx/onnx", "pytorch/pytorch"
TEXT_PRODUCER = "pytorch"

# (what, why that repository is right, model, opset, feeds, repository)
REAL = [
    (
        "optimizer",
        "the graph is legal and runs as it stands; a rewrite rule of the runtime throws",
        """g (float[4] x) => (int32[4] y) <int32 lo = {0}, int32 hi = {6}>
           { a = Cast<to = 6>(x) b = Relu(a) y = Clip(b, lo, hi) }""",
        17,
        None,
        ORT,
    ),
    (
        "no kernel",
        "the specification allows int16 for Max: the runtime does not implement it",
        "g (int16[4] a, int16[4] b) => (int16[4] y) { y = Max(a, b) }",
        17,
        None,
        ORT,
    ),
    (
        "type outside the specification",
        "IsInf takes no float16 at opset 17: whoever wrote the model broke the specification",
        "g (float[4] x) => (bool[4] y) { h = Cast<to = 10>(x) y = IsInf(h) }",
        17,
        None,
        TORCH,
    ),
    (
        "two types for one parameter",
        "Mul wants one type for both operands",
        "g (float[2] a, int64[2] b) => (float[2] y) { y = Mul(a, b) }",
        17,
        None,
        TORCH,
    ),
    (
        "dangling input",
        "a tensor that nobody makes: the checker refuses the file",
        "g (float[2] x) => (float[2] y) { y = Add(x, nowhere) }",
        17,
        None,
        TORCH,
    ),
    (
        "defined twice",
        "two nodes write one tensor: not in SSA form, the checker refuses it",
        "g (float[2] x) => (float[2] y) { a = Abs(x) a = Neg(x) y = Exp(a) }",
        17,
        None,
        TORCH,
    ),
    (
        "index out of range",
        "the reference evaluator cannot run it either: the model or its inputs are wrong",
        "g (float[4,2] t, int64[2] i) => (float[2,2] y) { y = Gather(t, i) }",
        17,
        {"t": np.zeros((4, 2), "f4"), "i": np.array([0, 9])},
        TORCH,
    ),
    (
        "shapes that do not fit",
        "strict inference refuses the model as well as the runtime",
        "g (float[2,3] a, float[2,3] b) => (float[2,3] y) { y = MatMul(a, b) }",
        17,
        None,
        TORCH,
    ),
    (
        "reference wrong",
        "two runs of the runtime agree with each other, and the formula in the specification, against the evaluator",
        "g (float[1,4,2,2] x) => (float[1,4,2,2] y) { y = LRN<size = 3>(x) }",
        17,
        {"x": (np.random.default_rng(0).standard_normal((1, 4, 2, 2)) * 10).astype("f4")},
        ONNX,
    ),
    (
        "reference fails",
        "negative pads are legal; only the evaluator refuses them",
        "g (float[4] x) => (float[3] y) <int64[2] p = {-1, 0}> { y = Pad(x, p) }",
        17,
        None,
        ONNX,
    ),
    (
        "runtime dies",
        "an empty optional input must be refused, not read: SIGSEGV in Max",
        'g (float[2] x) => (float[2] y) { y = Max(x, "") }',
        17,
        None,
        ORT,
    ),
    (
        "inference dies",
        "onnx.shape_inference must refuse a node without its input, not read it: SIGSEGV in EyeLike",
        'g (float[2,2] x) => (float[2,2] z) { y = EyeLike<dtype = 1>("") z = Add(x, y) }',
        17,
        None,
        ONNX,
    ),
]


@pytest.mark.parametrize("row", REAL, ids=[row[0] for row in REAL])
def test_the_right_repository(host: Host, tmp_path: Path, row: tuple[Any, ...]) -> None:
    _, why, text, opset, feeds, repository = row
    model = model_of(text, opset)
    model.producer_name, model.producer_version = TEXT_PRODUCER, "2.9.0"
    routing = scene_of(host, tmp_path, model, feeds).explain("rewrites", "kernels").routing
    assert routing.tracker == repository, f"{why}; got {routing}"
    assert routing.why
    if repository == TORCH:
        assert "producer: pytorch 2.9.0" in routing.why


def test_the_rules_in_order() -> None:
    def project(**seen: object) -> str | None:
        return route(Symptoms(**{"backend": "onnxruntime", **seen})).project  # type: ignore[arg-type]

    decisive = Suspect("type", "Op", "because", project="converter")
    assert project(backend="") is None  # a command of the user's own
    assert project(backend="onnxslim") == "onnxslim"
    assert project(backend="version-converter", outcome=DIED) == "onnx"
    assert project(by_optimizer=True, decisive=decisive) == "onnxruntime"
    assert project(agreed="NaN from finite inputs") == "converter"
    assert project(odd="reference") == "onnx"
    assert project(odd="onnxruntime (all)") == "onnxruntime"
    assert project(backend="onnx-checker", outcome=HUNG) == "onnx"
    assert project(backend="onnx-shape-inference", outcome=FAILED) == "converter"
    assert project(outcome=DIED, opinions={"onnx-checker": FAILED}) == "onnxruntime"
    assert project(stage="load", decisive=decisive) == "converter"
    assert project(stage="load", opinions={"onnx-checker": FAILED}) == "converter"
    assert project(stage="run", opinions={"reference": FAILED}) == "converter"
    assert project(stage="run", opinions={"reference": PASSED}) == "onnxruntime"
    assert project(stage="load") == "onnxruntime"


@pytest.mark.parametrize(
    ("producer", "project"),
    [
        ("pytorch 2.9.0", "torch"),
        ("tf2onnx 1.17.0", "tf2onnx"),
        ("onnx.quantize 0.1.0", "onnxruntime"),
        ("skl2onnx", "sklearn-onnx"),
        ("OnnxMLTools 1.7.0", "onnxmltools"),
        ("somebody's script", None),
        ("", None),
    ],
)
def test_the_producer_names_the_project(producer: str, project: str | None) -> None:
    assert producing_project(producer) == project


def test_an_unknown_producer_is_said_to_be_unknown() -> None:
    routing = route(Symptoms("onnx-checker", producer="mine 1"))
    assert (routing.project, routing.tracker) == ("converter", None)
    assert "producer: mine 1" in routing.why


def failure(symptom: str, stage: str = "load", message: str = "") -> Failure:
    return Failure(stage, symptom, SignatureFacts("0", "kind", ""), message)


RUNTIME = "onnxruntime"
TYPE, OP = Suspect("type", "X", "evidence"), Suspect("op", "X", "evidence")
SHAPE = "[ShapeInferenceError] no"
OPTIMIZED = "crash algorithmic_error/optimization optimization"
REFUSED = "crash algorithmic_error/non_optimization validation"


@pytest.mark.parametrize(
    ("failed", "seen", "terms"),
    [
        (
            failure("exception"),
            Symptoms(RUNTIME, by_optimizer=True),
            OPTIMIZED,
        ),
        (failure("exception"), Symptoms(RUNTIME, decisive=TYPE), "crash type_problem/node model_loading"),
        (failure("exception"), Symptoms(RUNTIME, decisive=OP), "crash incompatibility/external model_loading"),
        (failure("wrong_shape", "compare"), Symptoms(RUNTIME), "wrong_model shape_problem/inference runtime"),
        (failure("exception", message=SHAPE), Symptoms(RUNTIME), "crash shape_problem/inference model_loading"),
        (failure("hang", "run"), Symptoms(RUNTIME, HUNG), "hang other/exception_handling runtime"),
        (
            failure("exception", "check"),
            Symptoms("onnx-checker"),
            REFUSED,
        ),
        (failure("command", "command"), Symptoms(""), "unreported other runtime"),
    ],
)
def test_the_terms_of_the_paper(failed: Failure, seen: Symptoms, terms: str) -> None:
    told = classify(Known(failed, (), seen))
    assert f"{told['symptom']} {told['cause']} {told['location']}" == terms
    assert told["rule"]


def test_rounding_is_numerical_computation() -> None:
    facts = DifferenceFacts("y", "float16", (1,), 1, 1, nature="precision", why="small")
    told = classify(Known(failure("wrong_output", "compare"), (), Symptoms("onnxruntime", stage="compare"), facts))
    assert (told["cause"], told["rule"]) == ("other/numerical_computation", "small")


def test_the_models_of_this_table_are_what_they_say() -> None:
    """The checker accepts exactly those that the table calls legal."""
    refused = set()
    for what, _, text, opset, _, _ in REAL:
        try:
            onnx.checker.check_model(model_of(text, opset))
        except onnx.checker.ValidationError:
            refused.add(what)
    assert {"dangling input", "defined twice"} <= refused
    assert not refused & {"optimizer", "no kernel", "index out of range", "reference wrong", "reference fails"}
