"""Leave one out, and names in messages that mean nodes. No TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reducer.errors import EditConflict
from reducer.localizers.conversion import named, seeds
from reducer.localizers.conversion_axes import DIFFERS, FAILS, PASSES, UNKNOWN, Axes
from reducer.oracles.conversion import ConversionOracle, How, Seen
from reducer.signature import FailureSignature
from tests.programs.test_graphdef import node, program_of

TARGET = FailureSignature("load", "onnxruntime", "Fail", "it fails")


class Stub:
    """Fails unless what `cure` names is left out; counts what it is asked."""

    target = TARGET

    class limits:
        full = 1.0

    def __init__(self, cure: str) -> None:
        self.cure, self.calls = cure, 0

    def see(self, program: Any, how: How, seconds: float) -> Seen:
        self.calls += 1
        return Seen({"how": how})

    def signature(self, seen: Seen) -> FailureSignature | None:
        return None if self.cure in seen.reply["how"].without else TARGET

    # As the oracle itself tells two failures apart.
    alike = ConversionOracle.alike


def axes(stub: Any) -> Axes:
    return Axes(stub, None)  # type: ignore[arg-type]


def without(names: tuple[str, ...]) -> How:
    return How(without=names)


def test_the_one_without_which_it_passes_is_the_culprit() -> None:
    assert axes(Stub("b")).culprits(["a", "b", "c"], without) == ("b",)


def test_nothing_is_tried_one_by_one_when_it_fails_without_all() -> None:
    stub = Stub("none of them")
    assert axes(stub).culprits(["a", "b", "c"], without) == ()
    assert stub.calls == 1


@pytest.mark.parametrize(
    ("signature", "outcome"),
    [(None, PASSES), (TARGET, FAILS), (FailureSignature("run", "onnxruntime", "Fail", "otherwise"), DIFFERS)],
)
def test_an_outcome_is_told_by_the_signature(signature: FailureSignature | None, outcome: str) -> None:
    stub = Stub("")
    stub.signature = lambda seen: signature  # type: ignore[method-assign]
    assert axes(stub).outcome(How())[0] == outcome


def test_what_cannot_be_run_is_unknown() -> None:
    class Refuses(Stub):
        def see(self, program: Any, how: How, seconds: float) -> Seen:
            raise EditConflict("no")

    assert axes(Refuses("")).outcome(How()) == (UNKNOWN, "no")


def test_names_that_tf2onnx_extends_mean_the_node(tmp_path: Path) -> None:
    rows = [
        node("x", "Placeholder", []),
        node("net/conv", "Conv2D", ["x:0"]),
        node("net/conv_1", "Conv2D", ["net/conv:0"]),
    ]
    source = program_of(rows, ["net/conv_1:0"], tmp_path).source
    assert named(source, ["net/conv__12", "net/conv_1:0", "net/conv_1/bias__3", "x:0", "elsewhere"]) == [1, 2, 2]


def test_seeds_are_the_nodes_without_handler_first(tmp_path: Path) -> None:
    rows = [
        node("x", "Placeholder", []),
        node("a", "Tanh", ["x:0"]),
        node("b", "Erfc", ["a:0"]),
        node("c", "Relu", ["b:0"]),
    ]
    program = program_of(rows, ["c:0"], tmp_path)
    target = FailureSignature("load", "tf2onnx", "unsupported operator", "tf2onnx has no handler for Erfc")
    log = {"unsupported": [{"node": "b", "op": "Erfc"}], "raised": [], "other": []}
    found = seeds(program, {"log": log, "failure": {"message": "(a) -> Erfc"}}, target)
    assert [program.source.records[seed.nodes[0]].name for seed in found] == ["b", "a"]
