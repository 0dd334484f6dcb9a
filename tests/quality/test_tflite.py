"""Runs on .tflite files: what is left of each, who is suspected, and what is said of files that are none."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from reducer.errors import UsageError
from reducer.finding import Finding
from reducer.progress import Progress
from reducer.sessions.tensorflow import TensorFlowSession
from reducer.settings import Settings
from reducer.sources.tensorflow import TensorFlowModel
from reducer.worker.host import Host, HostOptions
from reducer.worker.protocol import RETURNED, Call
from reporters.repro import ReproScript

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tf2onnx") is None, reason="the extra tensorflow is not installed"
)
MODELS = "tests.fakes.tflite_models"


@pytest.fixture(scope="module")
def faulty() -> Iterator[Host]:
    with Host(HostOptions(preload=(*TensorFlowModel.preload, "tests.fakes.tflite_faults"))) as host:
        yield host


def made(name: str, host: Host, **more: object) -> bytes:
    answer = host.call(Call(f"{MODELS}:make", {"name": name, **more}))
    assert answer.outcome == RETURNED, answer.stderr
    return answer.blobs[0]


def session(content: bytes, host: Host, tmp_path: Path, **more: object) -> TensorFlowSession:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    quiet = Progress()
    settings = Settings(output=tmp_path / "out", **more)  # type: ignore[arg-type]
    return TensorFlowSession(settings, str(path), quiet, quiet.say, host)


def ends_at(finding: Finding, op_type: str, *, calls: int = 12) -> None:
    assert finding.status == "reduced"
    assert finding.reduced is not None
    assert dict(finding.reduced.op_types) == {op_type: 1}
    assert finding.reduced.path == "reduced.tflite"
    assert finding.reduced.one_minimal
    assert finding.reduced.reproduced == "3/3"
    assert finding.suspects[0].name == op_type
    assert finding.search.oracle_calls <= calls


def script_of(finding: Finding) -> str:
    (document,) = ReproScript().render(finding)
    ast.parse(document.text)
    return document.text


def ended(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The script alone in an empty folder, in an interpreter of its own."""
    alone = Path(tempfile.mkdtemp(dir=folder))
    (alone / "repro.py").write_text(script)
    return subprocess.run([sys.executable, "repro.py"], cwd=alone, capture_output=True, text=True, check=False)


def test_an_operator_without_a_handler_is_all_that_is_left_of_a_network(tf_host: Host, tmp_path: Path) -> None:
    content = made("unsupported", tf_host)
    run = session(content, tf_host, tmp_path)
    finding = run.run()
    ends_at(finding, "TFL_GELU")
    assert finding.source.nodes == 16
    assert "has no handler for it at opset 15" in finding.suspects[0].evidence
    assert finding.tracker == "tensorflow-onnx-operators"
    assert run.workspace is not None
    reduced = (run.workspace.folder / "reduced.tflite").read_bytes()
    held = tf_host.call(Call(f"{MODELS}:table", {"folder": str(tf_host.folder)}, (reduced,))).value
    assert held == {"ops": ["TFL_GELU"], "tensors": 2, "buffers": 1, "codes": 1, "graphs": 1}
    assert b"Conv" not in reduced
    script = script_of(finding)
    assert len(script.splitlines()) < 40
    assert not {"reducer", "reporters"} & {line.split()[1] for line in script.splitlines() if "import " in line}
    shown = ended(script, tmp_path)
    assert (shown.returncode, "the bug is there" in shown.stdout) == (1, True), shown.stderr


def test_a_wrong_output_is_that_of_one_operator_and_its_handlers(tf_host: Host, tmp_path: Path) -> None:
    finding = session(made("wrong", tf_host), tf_host, tmp_path).run()
    ends_at(finding, "TFL_FLOOR_DIV")
    assert finding.failure is not None
    assert (finding.failure.stage, finding.failure.signature.kind) == ("compare", "value")
    handlers = [suspect.name for suspect in finding.suspects if suspect.kind == "converter"]
    assert [name.rpartition("/")[2].partition(":")[0] for name in handlers] == ["tfl_direct.py", "math.py"]
    script = script_of(finding)
    assert len(script.splitlines()) < 40
    shown = ended(script, tmp_path)
    assert shown.returncode == 1, shown.stderr
    # What it says where both give the same.
    mended = script.replace("actual = session.run(", "actual = list(expected.values()) or session.run(")
    assert ended(mended, tmp_path).returncode == 0


def test_a_conversion_that_raises_before_any_operator_is_cut(tf_host: Host, tmp_path: Path) -> None:
    answer = tf_host.call(Call(f"{MODELS}:renew", {}, (made("minimum", tf_host),)))
    finding = session(answer.blobs[0], tf_host, tmp_path).run()
    ends_at(finding, "TFL_STABLEHLO_MINIMUM")
    assert finding.failure is not None
    assert finding.failure.stage == "convert"
    assert "tf2onnx/utils.py:make_sure raises ValueError" in finding.suspects[0].evidence
    assert ended(script_of(finding), tmp_path).returncode == 1


def test_what_a_handler_raises_names_the_handler_not_a_missing_one(faulty: Host, tmp_path: Path) -> None:
    finding = session(made("raises", faulty), faulty, tmp_path).run()
    ends_at(finding, "TFL_FLOOR")
    assert finding.failure is not None
    assert (finding.failure.stage, finding.failure.signature.kind) == ("load", "ValueError")


def test_a_conversion_that_kills_its_process_is_cut(faulty: Host, tmp_path: Path) -> None:
    run = session(made("kills", faulty), faulty, tmp_path)
    finding = run.run()
    ends_at(finding, "TFL_SIN")
    assert finding.failure is not None
    assert (finding.failure.stage, finding.failure.signature.kind) == ("convert", "SIGKILL")
    assert run.workspace is not None
    assert (run.workspace.folder / "reduced.tflite").stat().st_size > 0
    assert "-signal.SIGKILL" in script_of(finding)


@pytest.mark.slow
def test_a_conversion_that_never_ends_is_cut(faulty: Host, tmp_path: Path) -> None:
    finding = session(made("hangs", faulty), faulty, tmp_path, timeout=10.0).run()
    ends_at(finding, "TFL_COS")
    assert finding.failure is not None
    assert finding.failure.symptom == "hang"


def test_of_two_wrong_operators_one_is_followed(faulty: Host, tmp_path: Path) -> None:
    finding = session(made("two", faulty), faulty, tmp_path).run()
    assert finding.suspects[0].name in ("TFL_ROUND", "TFL_CEIL")
    ends_at(finding, finding.suspects[0].name)


@pytest.mark.parametrize("integers", [False, True])
def test_a_quantized_model_is_cut_with_its_quantization(integers: bool, tf_host: Host, tmp_path: Path) -> None:
    content = made("quantized", tf_host, quantized=True, integers=integers)
    finding = session(content, tf_host, tmp_path).run()
    ends_at(finding, "TFL_GELU")
    assert finding.reduced is not None
    assert "int8" in str(finding.reduced.text)
    assert "* (q - " in str(finding.reduced.text)
    assert ended(script_of(finding), tmp_path).returncode == 1


def test_a_wrong_operator_of_a_quantized_model_is_told_from_rounding(faulty: Host, tmp_path: Path) -> None:
    content = made("negated", faulty, quantized=True)
    finding = session(content, faulty, tmp_path).run()
    ends_at(finding, "TFL_ROUND", calls=30)


@pytest.mark.parametrize("integers", [False, True])
def test_one_step_of_a_quantized_output_is_no_failure(integers: bool, tf_host: Host, tmp_path: Path) -> None:
    finding = session(made("plain", tf_host, quantized=True, integers=integers), tf_host, tmp_path).run()
    assert finding.status == "not_reproduced"


@pytest.mark.parametrize("place", ["loop", "branch", "loop_in_branch"])
def test_what_lies_in_another_graph_is_taken_out_of_it(place: str, tf_host: Host, tmp_path: Path) -> None:
    ends_at(session(made(place, tf_host), tf_host, tmp_path).run(), "TFL_GELU", calls=20)


def test_a_loop_goes_where_the_fault_is_beside_it(tf_host: Host, tmp_path: Path) -> None:
    run = session(made("dead_loop", tf_host), tf_host, tmp_path)
    ends_at(run.run(), "TFL_GELU")
    assert run.workspace is not None
    reduced = (run.workspace.folder / "reduced.tflite").read_bytes()
    assert tf_host.call(Call(f"{MODELS}:table", {"folder": str(tf_host.folder)}, (reduced,))).value["graphs"] == 1


def test_what_tflite_itself_does_not_know_is_cut_without_a_run(tf_host: Host, tmp_path: Path) -> None:
    finding = session(made("custom", tf_host), tf_host, tmp_path).run()
    ends_at(finding, "TFL_Erfinv", calls=16)
    assert [rung.stage for rung in finding.ladder] == ["convert", "check", "load"]
    assert ended(script_of(finding), tmp_path).returncode == 1


def test_another_operator_of_a_model_that_cannot_be_run(tf_host: Host, tmp_path: Path) -> None:
    finding = session(made("beside_custom", tf_host), tf_host, tmp_path).run()
    ends_at(finding, finding.suspects[0].name, calls=16)
    assert finding.suspects[0].name in ("TFL_Erfinv", "TFL_GELU")


def test_an_input_that_is_turned_stays_so(tf_host: Host, tmp_path: Path) -> None:
    finding = session(made("turned", tf_host), tf_host, tmp_path, inputs_as_nchw=("x",)).run()
    ends_at(finding, "TFL_GELU")
    script = script_of(finding)
    assert "inputs_as_nchw=['x0']" in script
    assert ended(script, tmp_path).returncode == 1


@pytest.mark.parametrize("name", ["two_inputs", "shaped"])
def test_dims_that_the_file_leaves_open(name: str, tf_host: Host, tmp_path: Path) -> None:
    ends_at(session(made(name, tf_host), tf_host, tmp_path).run(), "TFL_GELU")


def test_the_converted_model_is_reduced_where_the_graph_does_not_show_it(
    tf_host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reducer.sessions.tensorflow.record_tflite", lambda *_: None)
    finding = session(made("unsupported", tf_host), tf_host, tmp_path).run()
    assert finding.status == "reduced"
    assert finding.reduced is not None
    assert finding.reduced.path == "reduced.onnx"
    assert dict(finding.reduced.op_types) == {"TFL_GELU": 1}


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def changed(content: bytes) -> bytes:
    held = np.frombuffer(content, np.uint8).copy()
    held[8 :: len(held) // 60] ^= 255
    return held.tobytes()


BAD = {
    "empty": (lambda _: b"", "is empty"),
    "something else": (lambda _: b"PK\x03\x04 a zip archive", "is no TFLite model"),
    "a few bytes": (lambda content: content[:7], "is no TFLite model"),
    "truncated": (truncated, "is a damaged TFLite model"),
    "changed": (changed, "is a damaged TFLite model"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_tflite_model_is_refused_in_one_line(kind: str, tf_host: Host, tmp_path: Path) -> None:
    spoil, said = BAD[kind]
    content = spoil(made("unsupported", tf_host))
    with pytest.raises(UsageError, match=said) as refused:
        session(content, tf_host, tmp_path).run()
    assert "\n" not in str(refused.value)
