"""The command line as a user meets it: exit codes, one clear line for bad input, nothing half written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from tests.conftest import ROOT
from tests.models import chain_text, model_of

SCHEMA = json.loads((ROOT / "docs" / "finding.schema.json").read_text())
BAD = model_of("g (double[3] x) => (double[3] y) { a = Abs(x) b = Elu(a) y = Neg(b) }")


def run(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from reducer.cli import entry; entry()", *map(str, words)],
        cwd=cwd, capture_output=True, text=True, env=dict(os.environ, PYTHONPATH=str(ROOT)), check=False,
    )  # fmt: skip


def save(folder: Path, model: onnx.ModelProto = BAD, name: str = "bad.onnx") -> Path:
    onnx.save(model, str(folder / name))
    return folder / name


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if "reduced" in path.name or "partial" in path.name)


def test_a_failing_model_ends_in_a_complete_folder(tmp_path: Path) -> None:
    save(tmp_path)
    ended = run("bad.onnx", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "3 -> 1 node" in ended.stdout
    assert leftovers(tmp_path) == ["bad.reduced"]
    out = tmp_path / "bad.reduced"
    finding = json.loads((out / "finding.json").read_text())
    jsonschema.validate(finding, SCHEMA)
    assert finding["reduced"]["op_types"] == {"Elu": 1}
    assert finding["suspects"][0]["kind"] == "type"
    assert "float" in finding["suspects"][0]["evidence"]
    for artifact in finding["artifacts"]:
        assert (out / artifact["path"]).exists(), artifact
    assert {p.name for p in out.iterdir()} >= {"reduced.onnx", "inputs.npz", "repro.py", "issue.md", "log.jsonl"}
    records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    lines = [record for record in records if "verdict" in record]
    assert len(lines) == finding["search"]["oracle_calls"]
    assert {"verdict", "signature", "seconds"} <= set(lines[0])
    script = subprocess.run([sys.executable, str(out / "repro.py")], cwd="/", capture_output=True, check=False)
    assert script.returncode == 1
    assert str(tmp_path) not in (out / "issue.md").read_text()


def test_a_healthy_model_gives_1_and_a_table(tmp_path: Path) -> None:
    save(tmp_path, model_of(chain_text(3)))
    ended = run("bad.onnx", cwd=tmp_path)
    assert ended.returncode == 1
    assert "largest absolute difference" in ended.stdout
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no.onnx"], "no such file"),
        (["empty.onnx"], "empty"),
        (["text.onnx"], "not a"),
        (["half.onnx"], "truncated"),
        (["lonely.onnx"], "external data"),
        (["outside.onnx"], "outside the model's folder"),
        (["bad.onnx", "--provider", "Imaginary"], "no provider 'Imaginary'"),
        (["bad.onnx", "--output", "taken"], "exists"),
        (["bad.onnx", "--inputs", "name.npz"], "no input 'other'"),
        (["bad.onnx", "--inputs", "shape.npz"], "shape"),
        (["bad.onnx", "--inputs", "dtype.npz"], "takes float64"),
        (["bad.onnx", "--inputs", "none.npz"], "no such file"),
        (["bad.onnx", "--inputs", "empty.onnx"], "not an .npz"),
        (["bad.onnx", "--expected", "name.npz"], "no output 'other'"),
        (["bad.onnx", "--stage", "load", "--check", "true"], "exclude each other"),
        (["bad.onnx", "--check"], "needs a command"),
        (["bad.onnx", "--check", "/no/such/program"], "cannot be started"),
        (["bad.onnx", "--fail-regex", "x"], "belong to --check"),
        (["bad.onnx", "--dim", "batch"], "NAME=SIZE"),
        (["bad.onnx", "--input-shape", "q=1,2"], "no input 'q'"),
        (["bad.onnx", "--input-shape", "x=1,2"], "shape"),
        (["bad.onnx", "--stage", "nowhere"], "--stage"),
        (["bad.onnx", "--timeout", "-1"], "positive"),
        (["bad.onnx", "--jobs", "0"], "1 or more"),
        (["bad.onnx", "--no-such-option"], "--no-such-option"),
        ([], "MODEL"),
        (["broken.onnxtxt"], "not ONNX text"),
    ],
)
def test_bad_input_gets_one_clear_line(tmp_path: Path, words: list[str], message: str) -> None:
    raw = save(tmp_path).read_bytes()
    (tmp_path / "empty.onnx").touch()
    (tmp_path / "text.onnx").write_text("this is no model at all, but a sentence")
    (tmp_path / "half.onnx").write_bytes(raw[: len(raw) // 2])
    (tmp_path / "broken.onnxtxt").write_text("<ir_version: 8> g (float x) => ")
    for name, location in (("lonely.onnx", "gone.bin"), ("outside.onnx", "../../etc/passwd")):
        model = onnx.ModelProto.FromString(raw)
        tensor = numpy_helper.from_array(np.zeros(3), "w")
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
        model.graph.initializer.append(tensor)
        (tmp_path / name).write_bytes(model.SerializeToString())
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("precious")
    np.savez(tmp_path / "name.npz", other=np.zeros(3))
    np.savez(tmp_path / "shape.npz", x=np.zeros((3, 1)))
    np.savez(tmp_path / "dtype.npz", x=np.zeros(3, np.float32))
    before = leftovers(tmp_path)
    ended = run(*words, cwd=tmp_path)
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
    assert len([line for line in ended.stderr.splitlines() if line.startswith("onnx-reduce: error:")]) == 1
    assert leftovers(tmp_path) == before
    assert (tmp_path / "taken" / "mine.txt").read_text() == "precious"


def test_force_replaces_an_output_folder(tmp_path: Path) -> None:
    save(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.txt").touch()
    assert run("bad.onnx", "-o", "out", "--force", "--quiet", cwd=tmp_path).returncode == 0
    assert not (tmp_path / "out" / "old.txt").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.onnx", "out"]


def test_json_is_one_object_a_line_and_ends_with_the_finding(tmp_path: Path) -> None:
    save(tmp_path)
    ended = run("bad.onnx", "--json", cwd=tmp_path)
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert events[-1]["event"] == "finding"
    assert events[-1]["exit_code"] == 0
    jsonschema.validate(events[-1]["finding"], SCHEMA)
    assert {"judged", "improved", "pass"} <= {event["event"] for event in events}


def test_the_same_command_gives_the_same_bytes(tmp_path: Path) -> None:
    save(tmp_path, model_of(chain_text(40, {5: "Relu", 30: "NoSuchOperator"})))
    models = set()
    for number, jobs in enumerate((1, 1, 2)):
        assert run("bad.onnx", "-o", f"o{number}", "-q", "-j", jobs, cwd=tmp_path).returncode == 0
        models.add((tmp_path / f"o{number}" / "reduced.onnx").read_bytes())
    assert len(models) == 1


SLOW_CHECK = (
    "import sys, time, onnx; time.sleep(0.3); "
    "sys.exit(any(n.op_type == 'Elu' for n in onnx.load(sys.argv[1]).graph.node))"
)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_the_best_so_far(tmp_path: Path, sent: signal.Signals) -> None:
    save(tmp_path, model_of(chain_text(64, {40: "Elu"})))
    process = subprocess.Popen(
        [sys.executable, "-c", "from reducer.cli import entry; entry()", "bad.onnx", "--json",
         "--check", sys.executable, "-c", SLOW_CHECK],
        cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=dict(os.environ, PYTHONPATH=str(ROOT)),
        # Where the tests themselves run in the background, SIGINT is ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "improved":
            time.sleep(0.1)
            process.send_signal(sent)
            break
    rest = process.stdout.read()
    assert process.wait() == 130
    finding = json.loads((tmp_path / "bad.reduced" / "finding.json").read_text())
    assert finding["status"] == "interrupted"
    assert finding["reduced"]["nodes"] < 64
    assert finding["reduced"]["reproduced"] == "3/3"
    assert json.loads(rest.splitlines()[-1])["exit_code"] == 130


def test_a_budget_of_calls_is_kept_and_said(tmp_path: Path) -> None:
    save(tmp_path, model_of(chain_text(64, {40: "Elu"})))
    check = "import sys, onnx; sys.exit(any(n.op_type == 'Elu' for n in onnx.load(sys.argv[1]).graph.node))"
    assert (
        run("bad.onnx", "-q", "--budget-calls", 2, "--check", sys.executable, "-c", check, cwd=tmp_path).returncode == 0
    )
    finding = json.loads((tmp_path / "bad.reduced" / "finding.json").read_text())
    assert finding["status"] == "budget_exhausted"
    assert finding["search"]["oracle_calls"] == 2
    assert finding["search"]["complete"] is False


def test_version_and_help_import_no_framework() -> None:
    code = (
        "import sys; from reducer.cli import main\n"
        "main(['--version'])\n"
        "heavy = {'onnx', 'onnxruntime', 'torch', 'tensorflow', 'tf2onnx', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, env=dict(os.environ, PYTHONPATH=str(ROOT))
    )


def test_metadata_and_paths_of_the_exporter_stay_home(tmp_path: Path) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(BAD)
    model.producer_name = "planted-producer"
    model.doc_string = "planted-doc"
    for node in model.graph.node:
        node.doc_string = "planted-node-doc"
        node.metadata_props.add(key="pkg.torch.onnx.stack_trace", value="File /home/planted-user/secret.py")
    save(tmp_path, model)
    assert run("bad.onnx", "-q", cwd=tmp_path).returncode == 0
    for name in ("reduced.onnx", "issue.md", "repro.py"):
        assert b"planted" not in (tmp_path / "bad.reduced" / name).read_bytes(), name
