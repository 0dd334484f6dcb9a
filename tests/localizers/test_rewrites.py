"""Optimizer passes that a failure needs: on real bugs of ONNX Runtime, and on a tool that does as it is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from reducer.localizers.rewrites import PassSearch
from reducer.oracles.trial import FAILS, PASSES, Outcome
from reducer.switchboards.base import Board, Case, Switchboard
from reducer.switchboards.onnxruntime import read_log
from reducer.worker.host import Host
from tests.localizers.harness import scene_of

# Open bugs of ONNX Runtime (seen in 1.16 to 1.32). Ground truth: disabling each culprit alone cures it, disabling
# any other pass does not; the first is a rule, the second two rules that meet, the third a rule and a transformer.
RELU_CLIP = """g (float[4] x) => (int32[4] y) <int32 lo = {0}, int32 hi = {6}> {
  a = Cast<to = 6>(x)  b = Relu(a)  y = Clip(b, lo, hi)
}"""
CAST_DIV = "g (float[2] x) => (float[2] y) <float[1] one = {1}> { m = Cast<to = 1>(x) d = Div(one, one) y = Mul(d, m) }"
QDQ = """g (int32[4] q) => (float[2,2] y) <float s = {0.1}, int32 z = {0}, int64[2] p = {2,2}> {
  d = DequantizeLinear(q, s, z)  r = Reshape(d, p)  y = Identity(r)
}"""


@pytest.mark.parametrize(
    ("text", "culprits"),
    [
        (RELU_CLIP, {"FuseReluClip"}),
        (CAST_DIV, {"CastElimination", "DivMulFusion"}),
        (QDQ, {"QDQPropagationTransformer", "EliminateIdentity"}),
    ],
)
def test_the_passes_that_a_failure_needs(host: Host, tmp_path: Path, text: str, culprits: set[str]) -> None:
    scene = scene_of(host, tmp_path, text)
    found = scene.explain("rewrites")
    (facts,) = found.optimizers
    assert set(facts.culprits) == culprits
    assert facts.confirmed
    assert facts.levels["none"] == PASSES
    assert facts.levels["all"] == facts.levels["basic"] == FAILS
    assert facts.before is not None
    assert {suspect.name for suspect in found.suspects} == culprits
    for suspect in found.suspects:
        # Each claim is of a run that was made: this pass alone switched off cures it.
        assert f"disabled_optimizers=['{suspect.name}']" in suspect.evidence
    assert found.routing.tracker == "microsoft/onnxruntime"
    assert scene.calls <= 60


def test_a_failure_at_every_level_blames_no_pass(host: Host, tmp_path: Path) -> None:
    scene = scene_of(host, tmp_path, "g (int16[4] a, int16[4] b) => (int16[4] y) { y = Max(a, b) }")
    found = scene.explain("rewrites")
    assert [facts.culprits for facts in found.optimizers] == [()]
    assert not found.suspects
    assert scene.calls == 2  # level none, and what checker and inference say


def test_the_log_names_the_pass_that_never_came_back(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "[V] Applying graph transformer A on step 1.\n[I] GraphTransformer A modified: 1 with status: OK\n"
        "[V] Applying graph transformer B on step 1.\n[I] GraphTransformer B modified: 0 with status: OK\n"
        "[V] Applying graph transformer A on step 2.\n"
    )
    seen = read_log(log)
    assert seen.applied == ("A", "B")
    assert seen.modified == ("A",)
    assert seen.unfinished == "A"


def test_an_older_log_tells_only_of_those_that_came_back(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("[I] GraphTransformer A modified: 0 with status: OK\n")
    seen = read_log(log)
    assert seen.applied == ("A",)
    assert seen.open
    assert not seen.unfinished


class Told:
    """Stands for Trials: fails when one of `sets` is on as a whole."""

    def __init__(self, everything: Sequence[str], sets: Sequence[set[str]]) -> None:
        self.everything, self.sets, self.calls = everything, sets, 0

    def run(self, _: Any, options: dict[str, str]) -> Outcome:
        self.calls += 1
        on = set(self.everything) - set(options["off"].split(";"))
        return Outcome(FAILS if any(needed <= on for needed in self.sets) else PASSES)


class ToldBoard(Switchboard):
    backend = tool = project = "told"

    def survey(self, case: Case) -> Board:
        raise NotImplementedError

    def options(self, off: Sequence[str]) -> dict[str, str]:
        return {"off": ";".join(off)}

    def how(self, off: Sequence[str]) -> str:
        return f"off={list(off)}"


def search_of(sets: Sequence[set[str]], message: str = "", likely: int = 64) -> tuple[PassSearch, Told]:
    names = tuple(f"pass{i:02}" for i in range(64))
    told = Told(names, sets)
    case = Case(cast(Any, None), cast(Any, told), Path(), message)
    search = PassSearch(ToldBoard(), case, Board(names[:likely], names))
    search.run()
    return search, told


def test_one_of_many_is_found_in_a_logarithm_of_calls() -> None:
    search, told = search_of([{"pass41"}])
    assert search.sets == [("pass41",)]
    assert search.cures == ("pass41",)
    assert told.calls <= 20


def test_a_pass_that_the_message_names_is_tried_first() -> None:
    search, told = search_of([{"pass41"}], "thrown by pass41::Apply")
    assert search.sets == [("pass41",)]
    assert told.calls <= 4


def test_passes_that_only_fail_together_are_one_set() -> None:
    search, _ = search_of([{"pass03", "pass50"}])
    assert [set(found) for found in search.sets] == [{"pass03", "pass50"}]
    assert set(search.cures) == {"pass03", "pass50"}


def test_passes_that_fail_independently_are_all_found() -> None:
    search, _ = search_of([{"pass03"}, {"pass50"}])
    assert {name for found in search.sets for name in found} == {"pass03", "pass50"}
    assert search.cured
    assert search.cures == ()  # neither alone cures it, and no evidence may say so


def test_a_pass_that_the_log_did_not_tell_of_is_found_among_all() -> None:
    search, _ = search_of([{"pass60"}], likely=4)
    assert search.sets == [("pass60",)]


def test_what_has_no_name_is_not_blamed_on_another() -> None:
    search, _ = search_of([set()])
    assert not search.cured


def test_a_smaller_model_with_only_the_culprits_on(host: Host, tmp_path: Path) -> None:
    """The result of the second reduction still fails when everything but the culprits is off."""
    from reducer.again import narrowed, with_culprits_only
    from reducer.engine.verdict import Verdict
    from reducer.registry import passes

    text = RELU_CLIP.replace("a = Cast<to = 6>(x)", "a0 = Abs(x) a = Cast<to = 6>(a0)")
    scene = scene_of(host, tmp_path, text, {"x": np.zeros(4, "f4")})
    board = {"disabled_optimizers": "ConstantFolding;EliminateIdentity"}
    program, oracle = scene.evidence.reduced, scene.target.oracle
    smaller = with_culprits_only(oracle, program, board, passes())
    assert len(smaller.nodes()) == 2
    narrow = narrowed(oracle, board)
    assert narrow is not None
    assert narrow.judge(smaller).verdict is Verdict.INTERESTING
    off = narrowed(oracle, {"disabled_optimizers": "FuseReluClip"})
    assert off is not None
    assert with_culprits_only(oracle, program, {"disabled_optimizers": "FuseReluClip"}, passes()) is program
