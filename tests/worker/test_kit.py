"""The child's modules on their own: under a bare interpreter, in old syntax, under another environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reducer.worker.kit import PACKAGE, child_environment, lay_out

# What the ladder needs; a backend beside these may want a newer Python.
CHILD = ("values", "worker.main", "worker.protocol", "worker.tasks", "worker.knowledge", "worker.comparison",
         "worker.converting", "backends.base", "backends.onnxruntime", "backends.reference", "backends.onnx_checker",
         "backends.onnx_shape_inference")  # fmt: skip


def test_the_child_imports_the_standard_library_and_numpy_alone(tmp_path: Path) -> None:
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").touch()
    kit = lay_out(tmp_path / "kit")
    code = (
        "import importlib, sys\n"
        f"sys.path[:0] = [{str(kit)!r}, {str(tmp_path)!r}]\n"
        f"for name in {CHILD!r}: importlib.import_module('reducer.' + name)\n"
        "foreign = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(sorted(foreign - {'__main__', '__mp_main__'}))\n"
        "print(sys.modules['reducer'].__file__)\n"
    )
    ended = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    foreign, place = ended.stdout.splitlines()
    assert foreign == "['numpy', 'reducer']"
    assert Path(place).is_relative_to(kit)


def test_the_child_runs_on_python_3_8(tmp_path: Path) -> None:
    files = [str(PACKAGE / f"{name.replace('.', '/')}.py") for name in CHILD]
    options = ["-t=3.8-", "--violations", "--no-tips"]

    def vermin(*paths: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "import vermin; vermin.main()", *options, *paths]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    ended = vermin(*files)
    assert ended.returncode == 0, ended.stdout
    newer = tmp_path / "newer.py"
    newer.write_text("a = isinstance(1, int)\nmatch a:\n    case True: pass\n")
    assert vermin(str(newer)).returncode != 0


def test_nothing_of_the_parent_is_in_the_kit(tmp_path: Path) -> None:
    kit = lay_out(tmp_path / "kit") / "reducer"
    assert not (kit / "worker" / "host.py").exists()
    assert not (kit / "cli.py").exists()
    assert (kit / "backends" / "reference.py").exists()
    assert not list(kit.rglob("__pycache__"))


def test_another_interpreter_does_not_see_this_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/of/this/one")
    monkeypatch.setenv("ONNX_REDUCE_CACHE", "/own/setting")
    own = child_environment(sys.executable, tmp_path)
    other = child_environment("/usr/bin/other", tmp_path)
    alone = child_environment("/usr/bin/other", tmp_path, isolated=True)
    kit = str(tmp_path / "kit")
    assert own["PYTHONPATH"].split(os.pathsep) == [str(PACKAGE.parent), "/of/this/one"]
    assert other["PYTHONPATH"].split(os.pathsep) == [kit, "/of/this/one"]
    assert alone["PYTHONPATH"] == kit
    assert not any(name.startswith("ONNX_REDUCE_") for name in {*own, *other, *alone})
