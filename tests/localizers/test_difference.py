"""A wrong output in numbers, and shapes side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reducer.difference import measured
from reducer.localizers.shapes import _parts
from reducer.worker.host import Host
from tests.localizers.harness import scene_of


def test_what_is_counted() -> None:
    right = np.array([[1.0, 2.0], [3.0, 4.0]], "f4")
    wrong = right.copy()
    wrong[1, 0] += 0.5
    wrong[0, 1] += 0.01
    facts = measured("y", right, wrong)
    assert (facts.output, facts.dtype, facts.shape) == ("y", "float32", (2, 2))
    assert (facts.differing, facts.elements) == (2, 4)
    assert [index for index, _, _ in facts.worst] == [(1, 0), (0, 1)]
    assert facts.worst[0][1:] == ("3", "3.5")
    assert dict(facts.histogram) == {-1.0: 1, -3.0: 1} or dict(facts.histogram) == {-1.0: 1, -2.0: 1}
    assert facts.nature == "logic"


def test_one_step_of_the_type_is_one_ulp() -> None:
    right = np.array([1.0, 1000.0], "f4")
    wrong = np.array([np.nextafter(np.float32(1.0), np.float32(2)), 1000.0], "f4")
    assert measured("y", right, wrong).max_ulp == pytest.approx(1.0)
    half = np.array([1.0], "f2")
    assert measured("y", half, np.nextafter(half, half + 1)).max_ulp == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("right", "wrong", "wide", "nature"),
    [
        (np.array([1e4, 1.0], "f4"), np.array([1e4, 1.05], "f4"), False, "precision"),  # cancellation
        (np.array([1e4, 1.0], "f4"), np.array([1e4, 1.05], "f4"), True, "logic"),  # float64 has it, too
        (np.array([10.0], "f2"), np.array([10.2], "f2"), None, "precision"),
        (np.array([10.0], "f4"), np.array([10.2], "f4"), None, "logic"),
        (np.array([10.0], "f4"), np.array([np.nan], "f4"), None, "logic"),
        (np.array([7], "i1"), np.array([8], "i1"), None, "precision"),  # one step of a quantized value
        (np.array([7], "i8"), np.array([8], "i8"), None, "logic"),
        (np.zeros((2, 1), "f4"), np.zeros(2, "f4"), None, "logic"),
        (np.zeros(2, "f4"), np.zeros(2, "f8"), None, "logic"),
    ],
)
def test_precision_or_logic(right: np.ndarray, wrong: np.ndarray, wide: bool | None, nature: str) -> None:  # type: ignore[type-arg]
    facts = measured("y", right, wrong, wide)
    assert facts.nature == nature
    assert facts.why


def test_a_wrong_reference_is_logic_in_float64_too(host: Host, tmp_path: Path) -> None:
    """onnx's evaluator sums LRN over the batch instead of the channels (onnx 1.16 to 1.23): ONNX Runtime with and
    without optimizations agrees against it."""
    x = np.random.default_rng(0).standard_normal((1, 4, 2, 2)).astype("f4") * 10
    text = "g (float[1,4,2,2] x) => (float[1,4,2,2] y) { y = LRN<size = 3>(x) }"
    found = scene_of(host, tmp_path, text, {"x": x}).explain("difference", "divergence")
    assert found.difference is not None
    assert found.difference.nature == "logic"
    assert found.difference.differing > 8
    assert found.routing.tracker == "onnx/onnx"
    assert "stands alone" in found.routing.why
    assert found.suspects[0].name == "LRN"


def test_shapes_side_by_side_where_they_part(host: Host, tmp_path: Path) -> None:
    text = "g (float[1,2,5] x) => (float[1,2,1] y) { a = Abs(x) y = GlobalMaxPool(a) }"
    found = scene_of(host, tmp_path, text).explain("shapes")
    (fact,) = found.shapes
    assert (fact.tensor, fact.declared, fact.inferred) == ("y", "float[1, 2, 1]", "float[1, 2, 1]")
    assert "onnxruntime (all) float32[1, 2, 1]" in fact.actual
    assert "reference float32[1, 1]" in fact.actual


def test_a_declaration_that_inference_contradicts(host: Host, tmp_path: Path) -> None:
    text = "g (float[2,3] x) => (float[7] y) { a = Abs(x) y = Transpose(a) }"
    found = scene_of(host, tmp_path, text, stage="shape_inference").explain("shapes")
    (fact,) = found.shapes
    assert (fact.tensor, fact.declared, fact.inferred) == ("y", "float[7]", "float[3, 2]")


def test_symbolic_and_unknown_dims_fit_everything() -> None:
    assert not _parts([("float", ("N", 3)), ("float", (2, 3)), None, ("float", None)])
    assert _parts([("float", (2, 3)), ("float", (2, 4))])
    assert _parts([("float", (2, 3)), ("float", (2, 3, 1))])
