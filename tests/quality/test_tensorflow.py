"""The TensorFlow samples, and the same faults through other entry points: size, suspect, calls, script."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from reducer.delivery import Place, deliver
from reducer.errors import UsageError
from reducer.finding import Finding
from reducer.progress import Progress
from reducer.sessions.tensorflow import TensorFlowSession
from reducer.settings import Settings
from reducer.worker.host import Host

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
NAMES = ("keras_sequential", "tf_onehot_padding")
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tf2onnx") is None, reason="the extra tensorflow is not installed"
)

MODULE = """
import numpy as np
import tensorflow as tf

def get_function():
    def model(x, ids):
        return tf.nn.relu(x) + tf.cast(tf.math.segment_max(ids, ids), tf.float32)[:, None] * {more}

    return model, [tf.TensorSpec([None, 3], tf.float32, name="x"), tf.TensorSpec([None], tf.int32, name="ids")]

def get_inputs():
    return [np.ones((2, 3), np.float32), np.array([0, 1], np.int32)]
"""


def session(target: Path, host: Host, tmp_path: Path, **more: object) -> TensorFlowSession:
    """On a host that other tests use, too: not closed here."""
    quiet = Progress()
    settings = Settings(output=tmp_path / "out", **more)  # type: ignore[arg-type]
    return TensorFlowSession(settings, str(target), quiet, quiet.say, host)


def check(finding: Finding, expect: dict[str, object]) -> None:
    assert finding.status == "reduced"
    assert finding.reduced is not None
    assert finding.failure is not None
    assert finding.reduced.nodes == expect["nodes"]
    assert dict(finding.reduced.op_types) == expect["op_types"]
    assert finding.reduced.one_minimal
    assert finding.reduced.reproduced == "3/3"
    assert finding.failure.stage == expect["stage"]
    assert finding.suspects[0].name == expect["suspect"]
    assert finding.search.oracle_calls <= int(str(expect["calls"]))


def check_difference(finding: Finding) -> None:
    """A wrong output is told in numbers of the reduced model, anything else has none."""
    assert finding.failure is not None
    assert (finding.difference is not None) == (finding.failure.symptom == "wrong_output")
    if finding.difference is not None:
        assert finding.difference.worst
        assert sum(count for _, count in finding.difference.histogram) == finding.difference.differing > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_ends_at_its_known_minimum(name: str, tf_host: Host, tmp_path: Path) -> None:
    expect = json.loads((SAMPLES / name / "expect.json").read_text())
    run = session(SAMPLES / name / "case.py", tf_host, tmp_path)
    finding = run.run()
    check(finding, expect)
    repro = finding.reproduction
    assert repro is not None
    assert repro.model_code is not None
    compile(repro.model_code, "repro.py", "exec")
    assert finding.reduced is not None
    assert [node.op_type for node in finding.reduced.graph] == list(finding.reduced.op_types)
    assert sum(node.kept for node in finding.neighbourhood) == finding.reduced.nodes < len(finding.neighbourhood)
    assert finding.search.curve[0] == (0, finding.source.nodes)
    check_difference(finding)


def test_the_same_fault_is_logged_by_one_entry_point_and_raised_by_another(tf_host: Host, tmp_path: Path) -> None:
    case = tmp_path / "case.py"
    case.write_text(MODULE.format(more="1.0"))
    stages, details = [], []
    for entry in ("from_function", "saved_model"):
        finding = session(case, tf_host, tmp_path / entry, entry=entry).run()
        assert finding.failure is not None
        check(finding, {"nodes": 1, "op_types": {"SegmentMax": 1}, "stage": finding.failure.stage,
                        "suspect": "SegmentMax", "calls": 12})  # fmt: skip
        stages.append(finding.failure.stage)
        details.append(finding.failure.signature.detail)
    assert stages == ["load", "convert"]
    assert details[0] == details[1]


def test_the_converted_model_is_reduced_as_well(tf_host: Host, tmp_path: Path) -> None:
    case = tmp_path / "case.py"
    case.write_text(MODULE.format(more="1.0"))
    run = session(case, tf_host, tmp_path)
    finding = run.run()
    assert run.workspace is not None
    assert [s.name for s in finding.suspects[::2]] == ["SegmentMax", "SegmentMax"]
    below = finding.suspects[-1]
    assert below.evidence.startswith("the converted model fails by itself, reduced to 1 (SegmentMax)")
    assert f"made of SegmentMax (node {below.node})" in below.evidence
    assert below.node == finding.suspects[0].node
    made = onnx.load(run.workspace.folder / "onnx" / "reduced.onnx")
    assert [node.op_type for node in made.graph.node] == ["SegmentMax"]


BICUBIC = """
import numpy as np
import tensorflow as tf

def get_function():
    def model(x):
        y = tf.image.resize(tf.nn.relu(x), [4, 4], method="bicubic")
        return y, tf.nn.relu(y) + 1.0

    return model, [tf.TensorSpec([1, 6, 6, 3], tf.float32, name="x")]
"""


def test_a_fault_of_the_runtime_is_reduced_to_what_it_needs_of_the_converted_model(
    tf_host: Host, tmp_path: Path
) -> None:
    case = tmp_path / "case.py"
    case.write_text(BICUBIC)
    finding = session(case, tf_host, tmp_path).run()
    assert finding.suspects[0].name == "ResizeBicubic"
    below = finding.suspects[-1]
    assert (below.name, below.project) == ("Resize", "onnxruntime")
    assert "made of ResizeBicubic" in below.evidence


def test_a_source_without_a_graph_is_reduced_as_the_model_that_it_becomes(
    tf_host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TensorFlowSession, "_graph", lambda *_: None)
    case = tmp_path / "case.py"
    case.write_text(MODULE.format(more="1.0"))
    run = session(case, tf_host, tmp_path)
    finding = run.run()
    assert (finding.status, finding.source.kind) == ("reduced", "tensorflow")
    assert finding.reduced is not None
    assert dict(finding.reduced.op_types) == {"SegmentMax": 1}
    assert finding.suspects[0].name == "SegmentMax"
    assert finding.suspects[-1].name == "from_function"
    assert finding.reproduction is not None
    assert finding.tracker is not None
    assert "tensorflow-onnx" in finding.tracker
    assert run.workspace is not None
    assert (run.workspace.folder / "reduced.onnx").exists()


LOOP = """
import numpy as np
import tensorflow as tf

def get_function():
    def model(x, ids):
        def body(i, y):
            return i + 1, tf.tanh((tf.nn.relu(y) + 1.0) * tf.cast(ids // 3, tf.float32)[:, None])

        _, y = tf.while_loop(lambda i, _: i < tf.shape(x)[0], body, [0, x])
        return tf.nn.softmax(y) + y

    return model, [tf.TensorSpec([None, 3], tf.float32, name="x"), tf.TensorSpec([None], tf.int32, name="ids")]

def get_inputs():
    return [np.ones((2, 3), np.float32), np.array([-1, 4], np.int32)]
"""


def test_a_node_in_the_body_of_a_loop_is_found(tf_host: Host, tmp_path: Path) -> None:
    case = tmp_path / "case.py"
    case.write_text(LOOP)
    finding = session(case, tf_host, tmp_path).run()
    check(finding, {"nodes": 1, "op_types": {"FloorDiv": 1}, "stage": "compare", "suspect": "FloorDiv", "calls": 20})


LIST = """
import tensorflow as tf

def get_function():
    def model(x):
        def body(i, made):
            return i + 1, made.write(i, tf.math.erfc(x[i]))

        _, made = tf.while_loop(lambda i, _: i < 2, body, [0, tf.TensorArray(tf.float32, 2)])
        return tf.nn.relu(made.stack())

    return model, [tf.TensorSpec([2, 3], tf.float32, name="x")]
"""


def test_an_operator_without_handler_is_taken_out_of_the_loop_that_fills_a_list(tf_host: Host, tmp_path: Path) -> None:
    case = tmp_path / "case.py"
    case.write_text(LIST)
    finding = session(case, tf_host, tmp_path).run()
    check(finding, {"nodes": 1, "op_types": {"Erfc": 1}, "stage": "load", "suspect": "Erfc", "calls": 12})
    assert finding.tracker == "tensorflow-onnx-operators"


def test_a_healthy_model_is_not_reduced(tf_host: Host, tmp_path: Path) -> None:
    case = tmp_path / "case.py"
    case.write_text("import tensorflow as tf\ndef get_function():\n    return tf.tanh, [tf.TensorSpec([None, 2])]\n")
    finding = session(case, tf_host, tmp_path).run()
    assert finding.status == "not_reproduced"
    assert [rung.outcome for rung in finding.ladder] == ["passed"] * 5


def test_random_outputs_are_no_finding(tf_host: Host, tmp_path: Path) -> None:
    case = tmp_path / "case.py"
    case.write_text(
        "import tensorflow as tf\ndef get_function():\n"
        "    return (lambda x: (tf.tanh(x), x + tf.random.uniform([2, 2]))), [tf.TensorSpec([2, 2])]\n"
    )
    finding = session(case, tf_host, tmp_path).run()
    assert finding.status == "not_reproduced"
    assert finding.ladder[-1].outcome == "passed"


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        ("def get_function():\n    return 1\n", {}, "must return"),
        ("def get_function():\n    raise ValueError('no data')\n", {}, r"ValueError: no data \(line 2\)"),
        ("import nothing_of_that_name\ndef get_function(): ...\n", {}, "cannot be imported"),
        (MODULE.format(more="1.0"), {"opset": 99}, "cannot write opset 99"),
        (MODULE.format(more="1.0"), {"stage": "run"}, "fails at the stage load, not at run"),
        (MODULE.format(more="1.0"), {"with_packages": ("tf2onnx==1.16",)}, "do not go with"),
        (MODULE.format(more="1.0"), {"entry": "from_keras"}, "cannot go through from_keras"),
        (MODULE.format(more="tf.constant([1.0, 2.0])"), {}, "TensorFlow itself fails"),
        (MODULE.format(more="1.0").replace("np.int32)]", "np.int64)]"), {}, "takes int32, not int64"),
    ],
)
def test_bad_input_is_one_clear_line(
    text: str, more: dict[str, object], message: str, tf_host: Host, tmp_path: Path
) -> None:
    case = tmp_path / "case.py"
    case.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        session(case, tf_host, tmp_path, **more).run()
    assert "\n" not in str(caught.value)


def test_without_the_extra_it_says_what_to_install(
    tf_host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="needs tensorflow and tf2onnx") as caught:
        session(SAMPLES / NAMES[0] / "case.py", tf_host, tmp_path).run()
    assert caught.value.hint == 'pip install "onnx-reduce[tensorflow]"'


def test_bad_files_are_one_clear_line(tf_host: Host, tmp_path: Path) -> None:
    (tmp_path / "folder" / "variables").mkdir(parents=True)
    (tmp_path / "model.keras").write_bytes(b"no zip")
    (tmp_path / "graph.pb").write_bytes(b"\x0a\xff\xff\xff")
    wanted = {"folder": "is no SavedModel", "model.keras": "is no Keras 3 file", "graph.pb": "no TensorFlow GraphDef"}
    for name, message in wanted.items():
        with pytest.raises(UsageError, match=message) as caught:
            session(tmp_path / name, tf_host, tmp_path / f"out_{name}").run()
        assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_script_of_a_sample_shows_it_in_fresh_processes(name: str, tf_host: Host, tmp_path: Path) -> None:
    run = session(SAMPLES / name / "case.py", tf_host, tmp_path)
    finding = run.run()
    assert run.workspace is not None
    finding = deliver(finding, run.workspace, Place(tf_host.folder))
    assert next(a.verified for a in finding.artifacts if a.kind == "repro_script") == "3/3"
    text = (tmp_path / "out" / "repro.py").read_text()
    assert "reducer" not in text
    if name == "tf_onehot_padding":
        assert np.load(tmp_path / "out" / "inputs.npz").files == ["x_0"]
