"""TFLite models are recorded and cut as flatbuffers: each candidate converts and gives what was recorded."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reducer.frontends.tensorflow import record_tflite
from reducer.oracles.conversion import ConversionOracle, How, Seen
from reducer.oracles.conversion_signature import signature_of
from reducer.oracles.limits import Limits
from reducer.passes.graphdef_shrink import ShortenAxes
from reducer.programs.base import CutMode
from reducer.programs.graphdef_source import GraphSource
from reducer.programs.tflite import TfliteProgram
from reducer.signature import FailureSignature, Vocabulary
from reducer.testcase import Tolerance
from reducer.values import append_values
from reducer.worker.host import Host
from reducer.worker.protocol import Call
from reducer.worker.tflite_steps import as_real, within_a_step

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tf2onnx") is None, reason="the extra tensorflow is not installed"
)
MODELS = "tests.fakes.tflite_models"


def whole(name: str, shape: tuple[int, ...], host: Host, tmp_path: Path, **more: object) -> TfliteProgram:
    content = host.call(Call(f"{MODELS}:make", {"name": name, **more})).blobs[0]
    path = tmp_path / f"{name}.tflite"
    path.write_bytes(content)
    value = np.random.default_rng(1).normal(size=shape).astype("float32")
    feed = append_values(host.folder / "fed.bin", {"x": value})["x"].to_wire()
    table = record_tflite(host, {"path": str(path)}, [feed])
    assert table is not None
    read = {n for node in table["nodes"] for n in node["inputs"]}
    ends = [t["name"] for node in table["nodes"] for t in node["outputs"] if t["name"] not in read]
    return TfliteProgram.whole(GraphSource.from_table(str(path), table, ends))


def only(program: TfliteProgram, *types: str) -> TfliteProgram:
    return program.restrict(frozenset(r.ref.id for r in program.records if r.ref.op_type in types), {})


def judged(program: TfliteProgram, host: Host, **more: Any) -> Seen:
    target = FailureSignature("compare", "tf2onnx", "value", "")
    oracle = ConversionOracle(host, (target, Vocabulary()), How(opset=15), Limits(), Tolerance())
    oracle.task = f"{program.tasks}:judge"
    return oracle.see(program, How(opset=15), 120.0, **more)


def passes(seen: Seen) -> bool:
    assert seen.died is None
    report = seen.reply["report"]
    assert [rung["stage"] for rung in report["rungs"]][-1] == "compare"
    return signature_of(report, Vocabulary()) is None


def test_every_single_operator_gives_what_was_recorded(tf_host: Host, tmp_path: Path) -> None:
    program = whole("cnn", (1, 8, 8, 3), tf_host, tmp_path)
    assert len(program.units()) == 15
    assert passes(judged(program, tf_host))
    for unit in program.units():
        alone = program.restrict(frozenset({unit}), {})
        assert passes(judged(alone, tf_host)), alone.nodes()


def test_every_quantized_operator_gives_it_within_a_step(tf_host: Host, tmp_path: Path) -> None:
    program = whole("plain", (1, 8, 8, 3), tf_host, tmp_path, quantized=True)
    kinds = {r.ref.op_type for r in program.records}
    assert {"TFL_QUANTIZE", "TFL_CONV_2D", "TFL_DEQUANTIZE"} <= kinds
    for unit in program.units():
        assert passes(judged(program.restrict(frozenset({unit}), {}), tf_host))


def test_channels_of_quantized_weights_are_shortened_with_their_scales(tf_host: Host, tmp_path: Path) -> None:
    program = only(whole("plain", (1, 8, 8, 3), tf_host, tmp_path, quantized=True), "TFL_CONV_2D")
    shorter = ShortenAxes(8, 2).apply(program)
    seen = judged(shorter, tf_host)
    assert passes(seen)


def test_a_loop_is_kept_with_what_it_runs(tf_host: Host, tmp_path: Path) -> None:
    program = only(whole("kept_loop", (2, 6), tf_host, tmp_path), "TFL_WHILE")
    assert {ref.op_type for ref in program.nodes()} >= {"TFL_WHILE", "TFL_TANH", "TFL_LESS"}
    assert passes(judged(program, tf_host))


def test_an_edge_can_become_a_buffer(tf_host: Host, tmp_path: Path) -> None:
    program = only(whole("cnn", (1, 8, 8, 3), tf_host, tmp_path), "TFL_ADD")
    add = program.restrict(frozenset(program.units()[:1]), {})
    first, second = add.inputs
    cut = add.restrict(add.keep, {first: CutMode.CONSTANT})
    assert cut.inputs == (second,)
    assert passes(judged(cut, tf_host))


def test_names_that_tell_nothing(tf_host: Host, tmp_path: Path) -> None:
    program = only(whole("cnn", (1, 8, 8, 3), tf_host, tmp_path), "TFL_CONCATENATION", "TFL_TANH")
    seen = judged(replace(program, renamed=True), tf_host)
    assert passes(seen)
    assert all(name.startswith("y") for name in seen.reply["outputs"])
    named = judged(program, tf_host)
    assert named.reply["outputs"] == list(program.outputs)


def test_what_lies_within_a_step_agrees() -> None:
    right = {"q": np.array([3, 4, 5], np.int8), "f": np.array([0.5, 1.0], np.float32), "n": np.array([3], np.int8)}
    made = {"q": np.array([4, 4, 7], np.int8), "f": np.array([0.6, 1.3], np.float32), "n": np.array([4], np.int8)}
    steps = {"q": [0.5, 1.0], "f": [0.1]}
    near = within_a_step(made, right, steps)
    assert near["q"].tolist() == [3, 4, 7]
    assert near["f"].tolist() == pytest.approx([0.5, 1.3])
    assert near["n"].tolist() == [4]
    left, other = as_real(made, right, steps)
    assert (left["q"].tolist(), other["q"].tolist()) == ([1.0, 1.5, 3.0], [1.0, 1.5, 2.0])
    assert left["q"].dtype == np.float32


def test_another_type_is_not_taken_for_a_rounding() -> None:
    left, right = as_real({"q": np.array([3], np.uint8)}, {"q": np.array([3], np.int8)}, {"q": [0.5, 0.0]})
    assert (left["q"].dtype, right["q"].dtype) == (np.uint8, np.int8)
