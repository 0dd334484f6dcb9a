"""ONNX nodes of a converted model mean TensorFlow nodes: by names that tf2onnx extends. No TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reducer.finding import GraphNode
from reducer.programs.graphdef import GraphProgram
from reducer.programs.layers import LayersProgram
from reducer.second_level import Origin
from reducer.tf_onnx import Conversion
from tests.programs.test_graphdef import node, program_of

ROWS = [
    ("x", "Placeholder", []), ("net/conv", "Conv2D", ["x:0"]), ("net/conv_1", "Conv2D", ["net/conv:0"]),
    ("net/pool", "SegmentMax", ["net/conv_1:0"]),
]  # fmt: skip


def made(name: str, *outputs: str) -> GraphNode:
    return GraphNode(name, "Any", (), outputs, kept=True)


def origins(program: Any, *nodes: GraphNode) -> list[str | None]:
    oracle: Any = None
    return [origin and origin.node for origin in Conversion(oracle, program).origins(nodes)]


@pytest.fixture
def graph(tmp_path: Path) -> GraphProgram:
    return program_of([node(*row) for row in ROWS], ["net/pool:0"], tmp_path)


def test_counters_ports_and_suffixes_are_tf2onnx_s_own(graph: GraphProgram) -> None:
    nodes = (made("net/conv__12"), made("net/pool_cast__33"), made("net/conv_1"), made("", "net/pool:0"), made("a__1"))
    assert origins(graph, *nodes) == ["net/conv", "net/pool", "net/conv_1", "net/pool", None]
    oracle: Any = None
    assert Conversion(oracle, graph).origins([made("net/pool__3")]) == [Origin("net/pool", "SegmentMax")]


def test_only_nodes_that_are_left_can_be_meant(graph: GraphProgram) -> None:
    left = graph.restrict(frozenset({1, 3}), {})
    assert origins(left, made("net/conv_1__4")) == ["net/conv"]


def test_the_only_node_made_everything(graph: GraphProgram) -> None:
    assert origins(graph.restrict(frozenset({3}), {}), made("Transpose__7")) == ["net/pool"]
    assert origins(graph, made("Transpose__7")) == [None]


def test_a_layer_is_a_part_of_the_path() -> None:
    wires = [{"name": name, "op": "Dense", "reads": []} for name in ("dense", "dense_1")]
    program = LayersProgram.whole(wires, {})
    assert origins(program, made("sequential/dense_1/MatMul__4"), made("", "m/dense/Add:0"), made("other")) == [
        "dense_1", "dense", None,
    ]  # fmt: skip
