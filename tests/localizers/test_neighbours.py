"""One-change neighbours: what they are made of, and what they say of real failures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from reducer.finding import Neighbour
from reducer.variants import neighbours_of, widened
from reducer.worker.host import Host
from tests.localizers.harness import scene_of
from tests.models import model_of


def told(found: tuple[Neighbour, ...], axis: str) -> dict[str, str]:
    return {n.change: n.outcome for n in found if n.axis == axis}


def test_a_missing_kernel_is_the_types_fault_and_nothing_elses(host: Host, tmp_path: Path) -> None:
    """ONNX Runtime has Max for int32 and not for int16; it had no int16 at opset 12 either."""
    scene = scene_of(host, tmp_path, "g (int16[4] a, int16[4] b) => (int16[4] y) { y = Max(a, b) }")
    found = scene.explain("neighbours").neighbours
    assert told(found, "dtype") == {"int16 -> int32": "passes"}
    assert told(found, "opt_level") == {"none": "fails"}
    assert told(found, "shape") == {"static -> dynamic": "fails"}
    assert set(told(found, "opset").values()) <= {"fails", "differs"}
    assert not told(found, "threads")  # it never runs
    assert scene.calls <= 12


def test_an_attribute_and_a_rank_that_the_failure_needs(host: Host, tmp_path: Path) -> None:
    """The reference evaluator drops a dim of GlobalMaxPool at rank 3 and keeps it at rank 4."""
    scene = scene_of(host, tmp_path, "g (float[1,2,5] x) => (float[1,2,1] y) { y = GlobalMaxPool(x) }")
    found = scene.explain("neighbours").neighbours
    assert told(found, "rank") == {"one more leading dim": "passes"}
    assert told(found, "value") == {"float inputs -> zeros": "fails"}
    assert told(found, "constant") == {"inputs -> initializers": "fails"}
    assert scene.calls <= 20


def test_neighbours_change_one_thing_and_leave_the_model_alone() -> None:
    text = "g (float[N,3] x) => (float[N,3] y) <float[3] w = {1,2,3}> { y = Add(x, w) }"
    model = model_of(text)
    before = model.SerializeToString(deterministic=True)
    feeds = {"x": np.ones((2, 3), "f4")}
    found = {(n.axis, n.change): n for n in neighbours_of(model, feeds)}
    assert model.SerializeToString(deterministic=True) == before
    wide = found["dtype", "float -> double"]
    assert wide.feeds["x"].dtype == np.float64
    assert {v.type.tensor_type.elem_type for v in wide.model.graph.input} == {onnx.TensorProto.DOUBLE}
    assert wide.model.graph.initializer[0].data_type == onnx.TensorProto.DOUBLE
    fed = found["constant", "initializers -> inputs"]
    assert not fed.model.graph.initializer
    assert fed.feeds["w"].tolist() == [1, 2, 3]
    written = found["constant", "inputs -> initializers"]
    assert not written.model.graph.input
    assert not written.feeds
    static = found["shape", "dynamic -> static"].model.graph.input[0].type.tensor_type.shape
    assert [d.dim_value for d in static.dim] == [2, 3]
    assert found["empty", "first dims -> 0"].feeds["x"].shape == (0, 3)
    assert ("opset", "ai.onnx 17 -> 13") in found  # Add is of opset 14


def test_integers_beside_floats_are_sizes_and_stay() -> None:
    model = model_of("g (float[2,3] x, int64[1] s) => (float y) { y = Reshape(x, s) }")
    feeds = {"x": np.ones((2, 3), "f4"), "s": np.array([6])}
    for other in neighbours_of(model, feeds):
        if other.axis in ("rank", "empty", "value"):
            assert other.feeds["s"].tolist() == [6]


def test_an_attribute_gives_way_to_its_default() -> None:
    model = model_of("g (float[2,3] x) => (float[2,3] y) { y = Softmax<axis = 0>(x) }")
    changes = [n.change for n in neighbours_of(model, {}) if n.axis == "attribute"]
    assert changes == ["Softmax.axis: 0 -> -1"]


def test_widening_leaves_integers_and_float64_alone() -> None:
    model = model_of("g (float16[2] x, int64[1] s) => (float16[2] y) { y = Reshape(x, s) }")
    wide = widened(model, {"x": np.ones(2, "f2"), "s": np.array([2])})
    assert wide is not None
    assert wide.feeds["x"].dtype == np.float64
    assert wide.feeds["s"].dtype == np.int64
    assert widened(model_of("g (double[2] x) => (double[2] y) { y = Abs(x) }"), {}) is None
