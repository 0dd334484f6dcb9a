"""A model under other releases: installed once, reused, named in the finding and proven by the script."""

from __future__ import annotations

import json
import re
import sys
from importlib import metadata
from pathlib import Path

import onnx
import pytest
from packaging.requirements import Requirement

from reducer.cli import main
from reducer.environments.bounds import BOUNDS, bounds_for
from reducer.environments.cache import made_once
from reducer.environments.installer import python_in
from tests.fakes.index import make_index, runtime
from tests.models import chain_text, model_of


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return make_index(tmp_path / "index", monkeypatch)


def bad_model(folder: Path) -> str:
    onnx.save(model_of(chain_text(8, {3: "Elu"})), str(folder / "bad.onnx"))
    return str(folder / "bad.onnx")


def test_a_failure_of_another_release_is_reduced_there(
    tmp_path: Path, index: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runtime(index, "9.9.1", bad=("Elu",))
    runtime(index, "9.9.2")
    model, out = bad_model(tmp_path), tmp_path / "out"
    assert main([model, "-o", str(out), "--with", "onnxruntime==9.9.1"]) == 0
    assert capfd.readouterr().err.count("installing onnxruntime==9.9.1") == 1
    finding = json.loads((out / "finding.json").read_text())
    assert finding["reduced"]["op_types"] == {"Elu": 1}
    assert finding["environment"]["onnxruntime"] == "9.9.1"
    assert f"onnx=={metadata.version('onnx')}" in finding["environment"]["requirements"]
    assert next(a["verified"] for a in finding["artifacts"] if a["kind"] == "repro_script") == "3/3"
    assert "pip install onnxruntime==9.9.1" in (out / "repro.py").read_text()
    assert "onnxruntime 9.9.1" in (out / "issue.md").read_text()
    # Another release is another run: nothing that was judged under one is believed under the other.
    assert main([model, "-o", str(tmp_path / "cut"), "--budget-calls", "1", "--with", "onnxruntime==9.9.1"]) == 0
    runtime(index, "9.9.4", bad=("Elu",))
    assert main([model, "-o", str(tmp_path / "cut"), "--resume", "--with", "onnxruntime==9.9.4"]) == 2
    assert "cannot resume" in capfd.readouterr().err
    # An environment that is there is used as it is.
    assert main([model, "-o", str(out), "--force", "--with", "onnxruntime==9.9.2"]) == 1
    capfd.readouterr()
    assert main([model, "-o", str(out), "--force", "--with", "onnxruntime==9.9.1", "-q"]) == 0
    assert "installing" not in capfd.readouterr().err
    (made,) = (path for path in (tmp_path / "cache" / "environments").iterdir() if _release(path) == "9.9.1")
    assert main([model, "-o", str(tmp_path / "by_path"), "-q", "--python", python_in(made)]) == 0
    finding = json.loads((tmp_path / "by_path" / "finding.json").read_text())
    assert finding["environment"]["onnxruntime"] == "9.9.1"


def _release(environment: Path) -> str:
    (found,) = environment.rglob("onnxruntime-*.dist-info")
    return found.name.removeprefix("onnxruntime-").removesuffix(".dist-info")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--with", "onnxruntime==1.2.3.4"], r"cannot install onnxruntime==1\.2\.3\.4 .*: ERROR: No matching"),
        (["--with", "onnxruntime=1.17"], "--with takes a requirement, not 'onnxruntime=1.17'"),
        (["--with", "onnxruntime==9.9.3"], "onnxruntime not imported: RuntimeError: broken wheel"),
        (["--python", "/no/such/python"], "/no/such/python is no Python interpreter: .*No such file"),
        (["--python", "/bin/echo"], "/bin/echo is no Python interpreter"),
        (["--python", "{bare}"], "cannot import numpy: ModuleNotFoundError.*numpy"),
    ],
)
def test_what_cannot_be_had_is_one_clear_line(
    tmp_path: Path, index: Path, capfd: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    import venv

    runtime(index, "9.9.3", extra="raise RuntimeError('broken wheel')\n")
    venv.create(tmp_path / "bare", symlinks=True)
    words = [word.format(bare=python_in(tmp_path / "bare")) for word in words]
    assert main([bad_model(tmp_path), *words]) == 2
    error = capfd.readouterr().err
    assert re.search(f"onnx-reduce: error: .*{message}", error), error
    assert "Traceback" not in error
    assert not list((tmp_path / "cache").rglob("*draft*"))
    assert sorted(p.name for p in tmp_path.iterdir() if "reduced" in p.name) == []


def test_a_half_made_folder_is_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONNX_REDUCE_CACHE", str(tmp_path))
    made = []

    def breaks(draft: Path) -> None:
        (draft / "proof").touch()
        raise KeyboardInterrupt

    def works(draft: Path) -> None:
        made.append(draft)
        (draft / "proof").touch()

    with pytest.raises(KeyboardInterrupt):
        made_once("key", breaks, "proof")
    assert list((tmp_path / "environments").iterdir()) == []
    target = made_once("key", works, "proof")
    assert made_once("key", works, "proof") == target
    assert len(made) == 1

    def slower(draft: Path) -> None:
        made_once("raced", works, "proof")
        (draft / "proof").write_text("mine")

    assert (made_once("raced", slower, "proof") / "proof").read_text() == ""
    assert not list((tmp_path / "environments").glob("*draft*"))
    made.clear()
    made.append(target)
    (target / "proof").unlink()
    made_once("key", works, "proof")
    assert len(made) == 2


@pytest.mark.parametrize(
    ("asked", "added"),
    [
        ("onnxruntime==1.17.3", ("numpy<2",)),
        ("onnxruntime_gpu==1.17.3", ("numpy<2",)),
        ("onnxruntime<1.19", ("numpy<2",)),
        ("onnxruntime==1.18.*", ("numpy<2",)),
        ("onnxruntime==1.19.0", ()),
        ("onnxruntime>=1.17", ()),
        ("onnxruntime", ()),
        ("onnx-something==1.0", ()),
    ],
)
def test_old_wheels_get_what_they_need(asked: str, added: tuple[str, ...]) -> None:
    assert bounds_for([Requirement(asked)]) == added


def test_the_table_gives_reasons_and_requirements_that_parse() -> None:
    for bound in BOUNDS:
        assert bound.reason
        Requirement(bound.needs)


@pytest.mark.slow
def test_a_real_old_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Needs the package index: 1.17.3 knows no kernel for Trilu of int16 and was built against numpy 1."""
    monkeypatch.setenv("ONNX_REDUCE_CACHE", str(tmp_path / "cache"))
    text = "g (int16[2,2] x) => (int16[2,2] y) { a = Identity(x) y = Trilu(a) }"
    onnx.save(model_of(text), str(tmp_path / "bad.onnx"))
    assert main([str(tmp_path / "bad.onnx"), "-q", "--with", "onnxruntime==1.17.3"]) == 0
    finding = json.loads((tmp_path / "bad.reduced" / "finding.json").read_text())
    assert finding["environment"]["onnxruntime"] == "1.17.3"
    assert finding["environment"]["numpy"].startswith("1.")
    assert finding["environment"]["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}")
