"""Custom-op libraries: registered in the worker and by the repro script, and only when the user names them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_cli import run, save

# All that ONNX Runtime wants of a library; each registration leaves a line.
LIBRARY = """
#include <stdio.h>
#include <stdlib.h>
void *RegisterCustomOps(void *options, const void *api) {
    FILE *marks = fopen(getenv("MARKS"), "a");
    fputs("registered\\n", marks);
    fclose(marks);
    return 0;
}
"""
COMPILER = shutil.which("cc")


@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
def test_a_library_is_registered_wherever_the_runtime_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ops.c").write_text(LIBRARY)
    subprocess.run([str(COMPILER), "-shared", "-fPIC", "-o", "ops.so", "ops.c"], cwd=tmp_path, check=True)
    save(tmp_path)
    marks = tmp_path / "marks"
    monkeypatch.setenv("MARKS", str(marks))
    ended = run("bad.onnx", "--custom-ops", "ops.so", "-q", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    before = marks.read_text().count("registered")
    assert before > 3
    out = tmp_path / "bad.reduced"
    assert 'register_custom_ops_library(os.path.join(HERE, "ops.so"))' in (out / "repro.py").read_text()
    moved = out.rename(tmp_path / "moved")
    assert run_script(moved) == 1
    assert marks.read_text().count("registered") > before
    assert str(tmp_path) not in (moved / "repro.py").read_text()
    (moved / "ops.so").unlink()
    assert run_script(moved) == 125


def run_script(folder: Path) -> int:
    return subprocess.run([sys.executable, str(folder / "repro.py")], cwd="/", env=os.environ, check=False).returncode


@pytest.mark.parametrize(
    ("name", "message"), [("gone.so", "no such custom-op library"), ("text.so", "cannot register")]
)
def test_what_is_no_library_gets_one_clear_line(tmp_path: Path, name: str, message: str) -> None:
    save(tmp_path)
    (tmp_path / "text.so").write_text("no library at all")
    ended = run("bad.onnx", "--custom-ops", name, cwd=tmp_path)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
