"""The engine on real programs with a predicate as oracle: minimum, budgets, determinism, slippage, interruption."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reducer import registry
from reducer.engine.events import Event, Judged
from reducer.engine.problem import Budget, OutOfBudget, Problem
from reducer.engine.reducer import Reducer, Seed, is_one_minimal
from reducer.engine.verdict import Judgement, Verdict
from reducer.passes.base import Stage
from reducer.passes.drop_node import DropNode
from reducer.programs.onnx import OnnxProgram
from tests.models import chain_text, program_of

# Those that the engine's own order is about; what follows on small programs has tests of its own.
NODE_PASSES = [p for p in registry.passes() if p.stage is Stage.CUT or p.name == "drop outputs"]


class Fake:
    """Judges by the op types that are left; other plantings count as slips."""

    def __init__(self, wanted: set[str], others: tuple[set[str], ...] = ()) -> None:
        self.wanted, self.others, self.calls, self._lock = wanted, others, 0, threading.Lock()

    def judge(self, program: OnnxProgram) -> Judgement:
        with self._lock:
            self.calls += 1
        program.model_bytes()
        have = {ref.op_type for ref in program.nodes()}
        if self.wanted <= have:
            return Judgement(Verdict.INTERESTING, "wanted")
        for number, other in enumerate(self.others):
            if other <= have:
                return Judgement(Verdict.SLIPPED, f"other{number}")
        return Judgement(Verdict.PASSED)

    def outdated(self, judgement: Judgement) -> bool:
        return False


def reduce(
    program: OnnxProgram, oracle: Fake, budget: Budget | None = None, seeds: tuple[Seed, ...] = ()
) -> Problem[OnnxProgram]:
    problem = Problem(program, oracle, budget)
    try:
        Reducer(problem, NODE_PASSES).run(seeds)
    finally:
        problem.close()
    return problem


def ops(program: OnnxProgram) -> list[str]:
    return [ref.op_type for ref in program.nodes()]


def test_a_single_culprit_without_a_suspect_takes_about_log2_calls(tmp_path: Path) -> None:
    oracle = Fake({"Elu"})
    problem = reduce(program_of(chain_text(500, {321: "Elu"}), tmp_path), oracle)
    assert ops(problem.best) == ["Elu"]
    assert oracle.calls <= 13


def test_a_right_suspect_makes_the_cost_independent_of_the_size(tmp_path: Path) -> None:
    for size in (10, 500):
        oracle = Fake({"Elu"})
        program = program_of(chain_text(size, {7: "Elu"}), tmp_path)
        assert ops(reduce(program, oracle, seeds=(Seed((7,)),)).best) == ["Elu"]
        assert oracle.calls <= 2


def test_a_wrong_suspect_costs_little(tmp_path: Path) -> None:
    oracle = Fake({"Elu"})
    program = program_of(chain_text(500, {321: "Elu"}), tmp_path)
    assert ops(reduce(program, oracle, seeds=(Seed((3,)), Seed((4,)))).best) == ["Elu"]
    assert oracle.calls <= 26


def test_a_scattered_pair_is_found(tmp_path: Path) -> None:
    oracle = Fake({"Elu", "Tanh"})
    problem = reduce(program_of(chain_text(300, {60: "Elu", 240: "Tanh"}), tmp_path), oracle)
    assert ops(problem.best) == ["Elu", "Tanh"]
    assert oracle.calls <= 30
    assert is_one_minimal(problem, (edit.apply(problem.best) for edit in DropNode().propose(problem.best)))


def test_a_budget_of_calls_keeps_the_best_so_far(tmp_path: Path) -> None:
    oracle = Fake({"Elu"})
    problem = Problem(program_of(chain_text(500, {321: "Elu"}), tmp_path), oracle, Budget(calls=4))
    with pytest.raises(OutOfBudget):
        Reducer(problem, registry.passes()).run(())
    assert oracle.calls == 4
    assert "Elu" in ops(problem.best)
    assert len(ops(problem.best)) < 500


def test_speculation_changes_neither_the_result_nor_the_order_of_verdicts(tmp_path: Path) -> None:
    program = program_of(chain_text(200, {20: "Elu", 150: "Tanh", 151: "Sigmoid"}), tmp_path)
    told: list[list[tuple[str, str]]] = []
    keys = set()
    for jobs in (1, 2, 4):
        seen: list[tuple[str, str]] = []

        def listen(event: Event, seen: list[tuple[str, str]] = seen) -> None:
            if isinstance(event, Judged):
                seen.append((event.key, event.verdict))

        problem = Problem(program, Fake({"Elu", "Tanh", "Sigmoid"}), Budget(jobs=jobs), listen)
        Reducer(problem, registry.passes()).run(())
        problem.close()
        told.append(seen)
        keys.add(problem.best.key())
    assert told[0] == told[1] == told[2]
    assert len(keys) == 1


OPS = st.sampled_from(["Abs", "Neg", "Relu", "Tanh", "Elu", "Erf"])


@st.composite
def graphs(draw: st.DrawFn) -> str:
    """Small graphs of unary and binary nodes over everything made before."""
    lines = []
    for number in range(draw(st.integers(2, 14))):
        left = f"t{draw(st.integers(0, number))}"
        if draw(st.booleans()):
            lines.append(f"t{number + 1} = Add({left}, t{draw(st.integers(0, number))})")
        else:
            lines.append(f"t{number + 1} = {draw(OPS)}({left})")
    return f"g (float[2] t0) => (float[2] t{len(lines)}) {{ " + " ".join(lines) + " }"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=graphs(), core=st.sets(OPS, min_size=1, max_size=3))
def test_any_graph_ends_on_a_one_minimal_interesting_program(tmp_path: Path, text: str, core: set[str]) -> None:
    program = program_of(text, tmp_path)
    oracle = Fake(core)
    if oracle.judge(program).verdict is not Verdict.INTERESTING:
        return
    first = reduce(program, Fake(core))
    second = reduce(program, Fake(core), Budget(jobs=2))
    assert sorted(ops(first.best)) == sorted(core)
    assert first.best.key() == second.best.key()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=graphs(), bugs=st.lists(st.sets(OPS, min_size=1, max_size=2), min_size=2, max_size=3))
def test_other_planted_failures_are_never_followed(tmp_path: Path, text: str, bugs: list[set[str]]) -> None:
    program = program_of(text, tmp_path)
    first, *others = bugs
    oracle = Fake(first, tuple(others))
    if oracle.judge(program).verdict is not Verdict.INTERESTING:
        return
    problem = reduce(program, oracle)
    assert oracle.judge(problem.best).signature == "wanted"
    assert sorted(ops(problem.best)) == sorted(first)


def depends_on(predicate: Callable[[OnnxProgram], bool]) -> Fake:
    fake = Fake(set())
    fake.judge = lambda program: Judgement(  # type: ignore[method-assign]
        Verdict.INTERESTING if predicate(program) else Verdict.PASSED
    )
    return fake


def test_a_node_in_the_middle_of_a_pattern_is_bypassed(tmp_path: Path) -> None:
    def connected(program: OnnxProgram) -> bool:
        makers = {name: record for record in program.records for name in record.outputs}

        def leads_to_erf(name: str) -> bool:
            record = makers.get(name)
            return record is not None and (record.ref.op_type == "Erf" or any(map(leads_to_erf, record.reads)))

        return any(r.ref.op_type == "Elu" and any(map(leads_to_erf, r.reads)) for r in program.records)

    program = program_of(chain_text(20, {3: "Erf", 9: "Elu"}), tmp_path)
    assert ops(reduce(program, depends_on(connected)).best) == ["Erf", "Elu"]


def test_outputs_go_down_to_one(tmp_path: Path) -> None:
    text = "g (float[2] x) => (float[2] a, float[2] b, float[2] c) { a = Abs(x) b = Elu(a) c = Tanh(x) }"
    problem = reduce(program_of(text, tmp_path), Fake({"Abs", "Elu", "Tanh"}))
    assert len(problem.best.interface.outputs) == 1
