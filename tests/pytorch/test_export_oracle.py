"""The export oracle on reports as the worker gives them: same failure, other failure, none; no torch needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from reducer.engine.problem import Problem
from reducer.engine.verdict import Verdict
from reducer.localizers.export import node_suspects, project_of
from reducer.oracles.export import ExportOracle, nodes_of, signature_of
from reducer.programs.fx import FxInput, FxNode, FxProgram, FxTable
from reducer.settings import Settings
from reducer.torch_reduction import FxReduction

Report = Mapping[str, Any]
TRANSLATE = {
    "step": "translate",
    "error": "DispatchError",
    "message": "No ONNX function found for <OpOverload(op='aten.sort', overload='stable')>",
    "frame": "torch/onnx/_internal/exporter/_core.py:_handle_call_function_node_with_lowering",
    "target": "aten.sort.stable",
    "node": "sort",
}
WRONG = {
    "step": "compare",
    "error": "value",
    "kind": "value",
    "excess": 300.0,
    "message": "output 0 differs",
    "target": "",
}
NAMES = ["linear", "sort", "flex", "relu", "sort_1", "add"]
TARGETS = [
    "aten.linear.default",
    "aten.sort.stable",
    "higher_order.flex",
    "aten.relu.default",
    "aten.sort.stable",
    "aten.add",
]
TABLE = FxTable(
    "decomposed",
    tuple(FxNode(i, n, t, (i - 1,) if i else ()) for i, (n, t) in enumerate(zip(NAMES, TARGETS, strict=True))),
)


class FakeModel:
    """Answers for the worker: `does(kept targets)` is the report of a candidate."""

    def __init__(self, does: Callable[[list[str]], Report]) -> None:
        self.subject = {"exporter": "dynamo"}
        self.does, self.runs = does, 0

    def judge(self, orders: Sequence[Mapping[str, Any]], how: Report, *, fresh: bool = False) -> list[Report]:
        self.runs += len(orders)
        return [self.does([TARGETS[node] for node in order["keep"]]) for order in orders]

    def boundary(self, level: str, order: Report) -> tuple[FxInput, ...]:
        return ()


def oracle_of(does: Callable[[list[str]], Report], target: Report) -> ExportOracle:
    return ExportOracle(FakeModel(does), target, "decomposed", "direct")  # type: ignore[arg-type]


def reduced(oracle: ExportOracle) -> tuple[bool, Problem[FxProgram]]:
    problem: Problem[FxProgram] = Problem(FxProgram.of(TABLE), oracle)
    search = FxReduction(oracle, problem, Settings(), lambda _: None)
    return search.run(), problem


def test_the_node_that_the_message_names_costs_one_run() -> None:
    oracle = oracle_of(lambda kept: TRANSLATE if "aten.sort.stable" in kept else {"step": ""}, TRANSLATE)
    found, problem = reduced(oracle)
    assert found
    assert problem.best.units() == [1]
    assert oracle.model.runs == 1  # type: ignore[attr-defined]


def test_a_difference_is_swept_and_only_nodes_that_fail_alone_are_followed() -> None:
    oracle = oracle_of(lambda kept: WRONG if "higher_order.flex" in kept else {"step": ""}, WRONG)
    found, problem = reduced(oracle)
    assert found
    assert problem.best.units() == [2]
    assert oracle.swept == len(NAMES)
    assert oracle.model.runs == len(NAMES)  # type: ignore[attr-defined]  # nothing is run twice


def test_a_failure_that_needs_two_nodes_is_found_by_subsets() -> None:
    pair = {"aten.linear.default", "aten.add"}
    oracle = oracle_of(lambda kept: WRONG if pair <= set(kept) else {"step": ""}, WRONG)
    found, problem = reduced(oracle)
    assert found
    assert problem.best.units() == [0, 5]


def test_another_failure_is_recorded_and_never_followed() -> None:
    other = {**TRANSLATE, "target": "higher_order.flex", "node": "flex"}

    def does(kept: list[str]) -> Report:
        return (
            TRANSLATE
            if "aten.linear.default" in kept and len(kept) > 1
            else other
            if "higher_order.flex" in kept
            else {"step": ""}
        )

    oracle = oracle_of(does, TRANSLATE)
    found, problem = reduced(oracle)
    assert found
    assert 0 in problem.best.keep
    assert [detail for detail, _ in oracle.others.values()] == [
        f"DispatchError: translate: higher_order.flex: in {TRANSLATE['frame']}"
    ]


def test_what_does_not_survive_being_cut_loose_is_not_reduced() -> None:
    oracle = oracle_of(lambda _: {"step": ""}, WRONG)
    found, problem = reduced(oracle)
    assert not found
    assert len(problem.best.keep) == len(NAMES)


@pytest.mark.parametrize(
    ("report", "verdict"),
    [
        (WRONG, Verdict.INTERESTING),
        ({**WRONG, "excess": 2.0}, Verdict.UNRESOLVED),
        ({**WRONG, "error": "shape", "kind": "shape"}, Verdict.SLIPPED),
        ({"step": "run", "error": "Fail", "message": "x", "target": ""}, Verdict.SLIPPED),
        ({"step": ""}, Verdict.PASSED),
        ({"invalid": "no tensor leaves"}, Verdict.INVALID),
        ({"fault": "Traceback"}, Verdict.UNRESOLVED),
        ({"hung": 5.0, "at": "run"}, Verdict.UNRESOLVED),
        ({"died": "SIGFPE", "at": "translate"}, Verdict.SLIPPED),
    ],
)
def test_verdicts(report: Report, verdict: Verdict) -> None:
    assert oracle_of(lambda _: report, WRONG).verdict(report).verdict is verdict


def test_a_death_is_told_by_its_signal_and_step() -> None:
    died = {"died": "SIGFPE", "at": "legacy export", "step": "legacy export"}
    oracle = oracle_of(lambda _: died, died)
    assert oracle.verdict({"died": "SIGFPE", "at": "legacy export"}).verdict is Verdict.INTERESTING
    assert oracle.verdict({"died": "SIGSEGV", "at": "legacy export"}).verdict is Verdict.SLIPPED


def test_numbers_and_addresses_do_not_belong_to_the_identity() -> None:
    first = {"step": "capture", "error": "TypeError", "message": "zeros(): argument at pos 2", "target": ""}
    again = {**first, "message": "zeros(): argument at pos 7"}
    assert signature_of(first, "dynamo") == signature_of(again, "dynamo")
    assert signature_of(first, "dynamo") != signature_of({**first, "message": "ones(): argument at pos 2"}, "dynamo")


def test_nodes_inside_a_sub_graph_belong_to_the_node_that_calls_it() -> None:
    table = FxTable("decomposed", (FxNode(0, "a", "aten.a"), FxNode(1, "cond", "higher_order.cond", inner=("sort_9",))))
    assert nodes_of(FxProgram.of(table), {"node": "sort_9", "target": ""}) == [1]


def test_a_missing_function_is_answered_with_close_ones() -> None:
    function = {"has": False, "module": "", "name": "", "close": ["aten.sort.default"]}
    (suspect,) = node_suspects((TABLE.nodes[1],), TRANSLATE, {"1": function})
    assert suspect.evidence.startswith("no ONNX function for aten.sort.stable; close ones: aten.sort.default")
    assert suspect.project == "torch"


def test_projects() -> None:
    assert project_of(TRANSLATE, "transformers.grouped_mm_fallback.default", {}) == "transformers"
    assert project_of({**WRONG, "blame": "runtime"}, "aten.add.Tensor", {}) == "onnxruntime"
    home = {"module": "onnxscript.function_libs.torch_lib.ops.nn"}
    assert project_of({**WRONG, "blame": "exporter"}, "aten.avg_pool2d.default", home) == "onnxscript"


def test_settings_are_checked_before_torch_is_asked(tmp_path: Path) -> None:
    from reducer.errors import UsageError
    from reducer.frontends.torch import subject_of

    with pytest.raises(UsageError):
        subject_of(str(tmp_path / "none.py"), Settings())
