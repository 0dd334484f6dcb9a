"""What counts as a TensorFlow source, told without running anything and without TensorFlow."""

from __future__ import annotations

from pathlib import Path

import pytest

from reducer.discovery import source_kind
from reducer.sources.tensorflow import form_of


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("def get_function():\n    return f, []\n", "case"),
        ("def get_keras_model():\n    return m\n", "case"),
        ("def get_model():\n    return m\n", None),
        ("class A:\n    def get_function(self): ...\n", None),
        ("def get_function(:\n", None),
        ("raise SystemExit\ndef get_function(): ...\n", "case"),
    ],
)
def test_a_module_is_parsed_not_run(text: str, form: str | None, tmp_path: Path) -> None:
    path = tmp_path / "case.py"
    path.write_text(text)
    assert form_of(str(path)) == form


def test_a_pb_file_is_told_from_an_onnx_model_by_its_first_byte(tmp_path: Path) -> None:
    graph, model = tmp_path / "graph.pb", tmp_path / "model.pb"
    graph.write_bytes(b"\x0a\x05\x0a\x01x\x12\x00")
    model.write_bytes(b"\x08\x0a")
    assert form_of(str(graph)) == "graph_def"
    assert form_of(str(model)) is None
    assert source_kind(str(model)).kind == "onnx"


def test_a_folder_is_claimed_only_with_a_trace_of_a_saved_model(tmp_path: Path) -> None:
    assert form_of(str(tmp_path)) is None
    (tmp_path / "variables").mkdir()
    assert form_of(str(tmp_path)) == "saved_model"
    assert source_kind(str(tmp_path)).kind == "tensorflow"


@pytest.mark.parametrize(("name", "form"), [("a.keras", "keras"), ("a.H5", "keras"), ("a.tflite", "tflite")])
def test_other_files_by_their_suffix(name: str, form: str, tmp_path: Path) -> None:
    assert form_of(str(tmp_path / name)) == form
