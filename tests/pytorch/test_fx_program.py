"""FX programs as the parent knows them, and the passes on them: no torch needed."""

from __future__ import annotations

import json

import pytest

from reducer import registry
from reducer.engine.problem import Problem
from reducer.engine.reducer import Reducer, Seed
from reducer.engine.verdict import Judgement, Verdict
from reducer.errors import EditConflict
from reducer.passes.base import Stage
from reducer.programs.fx import FxInput, FxNode, FxProgram, FxTable

CHAIN = FxTable(
    "decomposed", tuple(FxNode(i, f"n{i}", f"aten.op{i}.default", (i - 1,) if i else ()) for i in range(12))
)


class Needs:
    """Interesting when all these nodes are kept; counts its calls."""

    def __init__(self, *nodes: int) -> None:
        self.nodes, self.calls = frozenset(nodes), 0

    def judge(self, program: FxProgram) -> Judgement:
        self.calls += 1
        return Judgement(Verdict.INTERESTING if self.nodes <= program.keep else Verdict.PASSED)

    def outdated(self, _: Judgement) -> bool:
        return False


@pytest.mark.parametrize("core", [(3,), (2, 9), (0, 5, 11)])
def test_the_engine_finds_the_exact_core_of_a_graph(core: tuple[int, ...]) -> None:
    oracle = Needs(*core)
    problem = Problem(FxProgram.of(CHAIN), oracle)
    Reducer(problem, [p for p in registry.passes("torch") if p.stage is Stage.CUT]).run([])
    assert sorted(problem.best.keep) == sorted(core)
    assert oracle.calls <= 40


def test_a_right_suspect_costs_one_call_and_the_end() -> None:
    oracle = Needs(7)
    problem = Problem(FxProgram.of(CHAIN), oracle)
    Reducer(problem, [p for p in registry.passes("torch") if p.stage is Stage.CUT]).run([Seed((7,))])
    assert problem.best.units() == [7]
    assert oracle.calls == 1


def test_neighbours_are_kept_nodes_on_either_side() -> None:
    program = FxProgram.of(CHAIN).restrict(frozenset({3, 4, 6}), {})
    assert program.neighbours(4) == [3]
    assert FxProgram.of(CHAIN).neighbours(4) == [3, 5]


def test_nothing_is_no_program_and_what_is_gone_stays_gone() -> None:
    program = FxProgram.of(CHAIN).restrict(frozenset({1}), {})
    for keep in (frozenset[int](), frozenset({2})):
        with pytest.raises(EditConflict):
            program.restrict(keep, {})


def described() -> FxProgram:
    node = FxNode(0, "n0", "aten.x.default", arguments=("b", "a"))
    whole = FxProgram.of(FxTable("decomposed", (node,)))
    return whole.described([FxInput("x", "torch.float64", (4, 16)), FxInput("y", "torch.int64", (16,))])


@pytest.mark.parametrize("reduction", registry.passes("torch"), ids=lambda p: p.name)
def test_a_pass_is_deterministic_and_every_edit_makes_it_smaller(reduction: object) -> None:
    for program in (described(), FxProgram.of(CHAIN)):
        edits = list(reduction.propose(program))  # type: ignore[attr-defined]
        assert edits == list(reduction.propose(program))  # type: ignore[attr-defined]
        for edit in edits:
            assert edit.apply(program).size() < program.size()


def test_an_always_true_oracle_ends_at_the_plainest_form() -> None:
    problem = Problem(described(), Needs())
    Reducer(problem, [p for p in registry.passes("torch") if p.stage is Stage.SIMPLIFY]).finish()
    best = problem.best
    assert best.shapes == {"x": (1, 1), "y": (1,)}
    assert {best.values_of("x"), best.values_of("y")} == {0}
    assert ("default", 0, "a") in best.edits
    assert ("dtype", "torch.float64") in best.edits
    assert json.loads(json.dumps(best.order()))["keep"] == [0]


def test_edits_of_one_slot_replace_each_other() -> None:
    program = described().edited(("values", "x", "seeded")).edited(("values", "x", "ones"))
    assert [edit for edit in program.edits if edit[0] == "values"] == [("values", "x", "ones")]
    assert program.edited(("values", "*", "arange")).edits == (("values", "*", "arange"),)
    with pytest.raises(EditConflict):
        program.edited(("values", "x", "ones"))


def test_equal_programs_have_equal_keys() -> None:
    one, two = (
        FxProgram.of(CHAIN).restrict(frozenset({1, 2}), {}),
        FxProgram.of(CHAIN).restrict(frozenset({1, 2, 3}), {}),
    )
    assert one.key() == two.restrict(frozenset({1, 2}), {}).key()
    assert one.key() != two.key()
