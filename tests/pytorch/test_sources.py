"""What is taken for a PyTorch model: by name and syntax alone; the files would fail if they were run."""

from __future__ import annotations

from pathlib import Path

import pytest

from reducer.discovery import source_kind
from reducer.errors import UsageError
from reducer.sources.python import defined_in, module_file


def write(folder: Path, text: str, name: str = "net.py") -> str:
    (folder / name).write_text(text + "\nraise SystemExit('this file was run')\n")
    return str(folder / name)


def test_a_file_with_get_model_is_a_torch_model(tmp_path: Path) -> None:
    assert source_kind(write(tmp_path, "def get_model(): pass")).kind == "torch"
    assert source_kind(write(tmp_path, "from zoo import get_model")).kind == "torch"


def test_a_saved_program_is_a_torch_model() -> None:
    assert source_kind("any/where/net.pt2").kind == "torch"


def test_a_file_that_defines_nothing_of_the_kind_is_an_error_that_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="defines none of get_model") as raised:
        source_kind(write(tmp_path, "def main(): pass"))
    assert "get_inputs()" in raised.value.hint


@pytest.mark.parametrize("name", ["get_function", "get_keras_model"])
def test_a_tensorflow_file_is_left_to_others(tmp_path: Path, name: str) -> None:
    from reducer.sources.torch import TorchModelSource

    assert not TorchModelSource().claims(write(tmp_path, f"def {name}(): pass"))


def test_a_factory_is_told_by_the_source_of_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "def make(): pass", "zoo.py")
    monkeypatch.chdir(tmp_path)
    assert source_kind("zoo:make").kind == "torch"
    assert module_file("zoo") == tmp_path / "zoo.py"


def test_an_onnx_file_is_none(tmp_path: Path) -> None:
    assert source_kind(str(tmp_path / "bad.onnx")).kind == "onnx"


def test_only_top_level_names_count(tmp_path: Path) -> None:
    assert defined_in(write(tmp_path, "class A:\n    def get_model(self): pass\nX = 1")) == {"A", "X"}
    assert defined_in(tmp_path / "missing.py") is None
