"""`onnx-reduce bisect` end to end, against an index of fake wheels: no network, no real old release."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import onnx
import pytest

from reducer.cli import main
from tests.conftest import ROOT
from tests.fakes.index import make_index, runtime, wheel
from tests.models import chain_text, model_of

SCHEMA = json.loads((ROOT / "docs" / "finding.schema.json").read_text())


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return make_index(tmp_path / "index", monkeypatch)


def save(folder: Path, opset: int = 17) -> str:
    onnx.save(model_of(chain_text(6, {3: "Elu"}), opset), str(folder / "bad.onnx"))
    return str(folder / "bad.onnx")


def test_a_regression_that_was_mended(tmp_path: Path, index: Path, capfd: pytest.CaptureFixture[str]) -> None:
    # Too old for the opset, good, bad (worded by version), broken wheel, bad, a clean release, and one for no Python.
    runtime(index, "3.0", newest=5)  # Elu is of opset 6
    runtime(index, "3.1")
    runtime(index, "3.2", bad=("Elu",))
    runtime(index, "3.3", extra="raise RuntimeError('broken wheel')\n")
    runtime(index, "3.4", bad=("Elu",))
    runtime(index, "3.5")
    runtime(index, "3.6rc1", bad=("Elu",))
    out = tmp_path / "out"
    assert main([save(tmp_path), "-o", str(out), "-q", "--with", "onnxruntime==3.4"]) == 0
    before = json.loads((out / "finding.json").read_text())
    capfd.readouterr()
    assert main(["bisect", str(out)]) == 0
    window = "fails since onnxruntime 3.2, last good 3.1, fixed in 3.5 (last bad 3.4)"
    assert capfd.readouterr().out.splitlines()[-1] == window
    after = json.loads((out / "finding.json").read_text())
    jsonschema.validate(after, SCHEMA)
    assert after["window"] == window
    outcomes = {fact["version"]: fact["outcome"] for fact in after["versions"]}
    assert outcomes == {
        "3.0": "unknown",
        "3.1": "passes",
        "3.2": "fails",
        "3.4": "fails",
        "3.5": "passes",
    }
    assert {k: v for k, v in after.items() if k not in ("versions", "window")} == {
        k: v for k, v in before.items() if k not in ("versions", "window")
    }
    # The result of another package is added, that of the same one replaced.
    assert main(["bisect", str(out), "--opsets"]) == 0
    assert main(["bisect", str(out), "--good", "3.1", "--json"]) == 0
    told = json.loads(capfd.readouterr().out.splitlines()[-1])
    last = json.loads((out / "finding.json").read_text())
    assert [" opset " in part for part in last["window"].split("; ")] == [True, False]
    assert told["window"] in last["window"]
    assert {fact["package"] for fact in last["versions"]} == {"onnxruntime", "opset"}


def test_a_script_is_bisected_by_exit_codes(tmp_path: Path, index: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for version, text in {
        "0.1": "import a_module_that_is_not_there", "0.2": "code = 0", "0.3": "code = 125", "0.4": "code = 1",
        "0.5": "import os; os.abort()", "0.6": "code = 2",
    }.items():  # fmt: skip
        wheel(index, "thing", version, {"thing.py": text + "\n"})
    runtime(index, "3.0")
    script = tmp_path / "repro.py"
    script.write_text("import sys, thing\nsys.exit(thing.code)\n")
    words = ["bisect", "--script", str(script), "--package", "thing", "--with", "onnxruntime==3.0"]
    assert main([*words, "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["window"] == "fails since thing 0.4, last good 0.2 (0.3 cannot tell), still fails in 0.6"
    assert {f["version"]: f["outcome"] for f in told["versions"]}["0.1"] == "unknown"
    script.write_text("import time\ntime.sleep(60)\n")
    assert main([*words, "--among", "0.2,0.4", "--timeout", "0.5"]) == 1
    assert "cannot be told: none of 2 releases of thing" in capfd.readouterr().out


def test_versions_are_part_of_a_run_when_asked_for(tmp_path: Path, index: Path) -> None:
    """No release can be had: that fact is lost, and nothing else."""
    onnx.save(model_of("g (double[3] x) => (double[3] y) { y = Elu(x) }"), str(tmp_path / "bad.onnx"))
    out = tmp_path / "out"
    assert main([str(tmp_path / "bad.onnx"), "-o", str(out), "-q", "--versions"]) == 0
    finding = json.loads((out / "finding.json").read_text())
    jsonschema.validate(finding, SCHEMA)
    assert finding["status"] == "reduced"
    assert {fact["package"] for fact in finding["versions"]} == {"opset"}
    # At 18 Elu has a function body that the runtime inlines: the sweep finds such things.
    outcomes = {int(fact["version"]): fact["outcome"] for fact in finding["versions"]}
    assert (outcomes[17], outcomes[18], outcomes[22]) == ("fails", "passes", "fails")
    assert "fails at opset 7 to 17" in finding["window"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "takes an output folder, or --script"),
        (["nowhere"], "cannot read nowhere/finding.json"),
        (["broken"], "is no finding"),
        (["empty"], "holds no reduced failure"),
        (["command"], "judged by a command"),
        (["--script", "repro.py"], "--script needs --package"),
        (["--script", "no.py", "--package", "thing"], "no such file: no.py"),
        (
            ["--script", "repro.py", "--package", "no-such-thing"],
            "cannot list the releases of no-such-thing: ERROR: No",
        ),
        (["--script", "repro.py", "--package", "thing", "--good", "9"], "--good 9: thing has no such release"),
        (["--script", "repro.py", "--package", "thing", "--among", "x.y"], "not a version"),
        (["--script", "repro.py", "--package", "thing", "--most", "0"], "--most takes 1 or more"),
    ],
)
def test_bad_input_gets_one_clear_line(
    tmp_path: Path,
    index: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    wheel(index, "thing", "1.0", {"thing.py": ""})
    monkeypatch.chdir(tmp_path)
    Path("repro.py").touch()
    failure = {"reduced": {"path": "reduced.onnx"}, "failure": {"message": ""}}
    command = {**failure, "reproduction": {"form": "command", "probes": []}}
    for name, text in {"broken": "{", "empty": "{}", "command": json.dumps(command)}.items():
        Path(name).mkdir()
        (Path(name) / "finding.json").write_text(text)
    package = ["--package", "thing"] if words == ["command"] else []
    assert main(["bisect", *words, *package]) == 2
    error = capfd.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_offline_is_said_at_once(
    tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    (tmp_path / "repro.py").touch()
    words = ["bisect", "--script", str(tmp_path / "repro.py"), "--package", "thing"]
    assert main(words) == 2
    assert "the package index cannot be reached" in capfd.readouterr().err
    # Named releases that are not in the cache cannot be had either: no verdict is made of that.
    assert main([*words, "--among", "1.0,2.0"]) == 2
    assert "cannot be reached" in capfd.readouterr().err
