"""The nodes that a report draws, from small models."""

from __future__ import annotations

from pathlib import Path

from reducer.neighbourhood import MOST, REDUCED_MOST, neighbourhood, reduced_graph
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
