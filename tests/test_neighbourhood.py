"""The nodes that a report draws, from small models."""

from __future__ import annotations

from pathlib import Path

from reducer.finding import GraphNode
from reducer.neighbourhood import MOST, REDUCED_MOST, around, kept_of, neighbourhood, reduced_graph
from reducer.programs.base import NodeRef
from reducer.programs.fx import FxNode, FxProgram, FxTable
from reducer.programs.layers import LayersProgram, LayerTable
from tests.models import chain_text, program_of


def test_two_edges_around_what_is_kept(tmp_path: Path) -> None:
    source = program_of(chain_text(9), tmp_path)
    best = source.restrict(frozenset({4}))
    around = neighbourhood(source, best)
    assert [node.index for node in around] == [2, 3, 4, 5, 6]
    assert [node.kept for node in around] == [False, False, True, False, False]
    assert around[2].inputs == ("t4",)
    assert around[2].outputs == ("t5",)


def test_a_large_rest_is_cut_and_drawn_no_more(tmp_path: Path) -> None:
    source = program_of(chain_text(REDUCED_MOST + 1), tmp_path)
    assert len(neighbourhood(source, source)) == MOST
    assert reduced_graph(source) == ()
    assert [node.op_type for node in reduced_graph(source.restrict(frozenset({1, 2})))] == ["Abs", "Abs"]


def test_what_was_lifted_is_found_by_its_name(tmp_path: Path) -> None:
    body = "g (bool c, float[2] x) => (float[2] y) { y = If (c) <then_branch: graph = t () => (float[2] a) { [inner] a = Neg(x) }, else_branch: graph = e () => (float[2] b) { b = Abs(x) }> }"  # noqa: E501
    source = program_of(body, tmp_path)
    lifted = program_of("g (float[2] x) => (float[2] a) { [inner] a = Neg(x) }", tmp_path)
    object.__setattr__(lifted.source, "tag", "lifted")
    (node,) = neighbourhood(source, lifted)
    assert node.op_type == "If"
    assert node.kept


def test_nodes_of_a_torch_graph_and_layers_of_a_model_are_drawn(tmp_path: Path) -> None:
    table = FxTable("captured", tuple(FxNode(n, f"relu_{n}", "aten.relu", (n - 1,) if n else ()) for n in range(9)))
    fx = FxProgram(table, frozenset({4}))
    assert [node.name for node in around(fx.drawing)] == ["relu_2", "relu_3", "relu_4", "relu_5", "relu_6"]
    assert [(node.name, node.inputs, node.index) for node in kept_of(fx.drawing)] == [("relu_4", ("relu_3",), 4)]
    refs = tuple(NodeRef(n, "Dense", f"dense_{n}", (), f"dense_{n}") for n in range(5))
    layers = LayersProgram(LayerTable(refs, ((), (0,), (1,), (2,), (3,)), {}), frozenset({0}))
    assert [(node.name, node.kept) for node in around(layers.drawing)] == [
        ("dense_0", True),
        ("dense_1", False),
        ("dense_2", False),
    ]


def test_the_result_has_no_scopes_of_the_source() -> None:
    node = GraphNode("net/block/Relu", "Relu", ("net/block/MatMul:0",), ("net/block/Relu:0",), kept=True)
    (shown,) = kept_of([node])
    assert (shown.name, shown.inputs, shown.outputs) == ("Relu", ("MatMul:0",), ("Relu:0",))
