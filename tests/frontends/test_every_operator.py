"""Every node test of onnx (each operator, type and opset form that it knows) passes the front end unchanged."""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
import pytest

from reducer.errors import EditConflict
from reducer.feeds import FeedBook
from reducer.frontends.onnx import load_source, parse_model
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_source import walk


@pytest.mark.slow
def test_the_models_of_onnx_itself_are_loaded_as_they_are(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests

        cases = load_model_tests(kind="node")
    assert len(cases) > 1500
    unfed = 0
    for number, case in enumerate(cases):
        source = load_source(parse_model(case.model.SerializeToString(), case.name), tmp_path, tmp_path)
        program = OnnxProgram.of(source)
        assert plain(onnx.ModelProto.FromString(program.model_bytes())) == plain(case.model), case.name
        book = FeedBook(tmp_path / f"feeds{number % 50}.bin")
        book.study(source)
        try:
            book.feeds_of(program)
        except EditConflict as conflict:
            assert "cannot be fed" in str(conflict), case.name
            unfed += 1
    assert unfed < 100  # packed types, which the binding of ONNX Runtime takes from nobody


def plain(model: onnx.ModelProto) -> bytes:
    """The graph and the functions without names of nodes, which the front end makes unique."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.doc_string = ""
    for node, _ in walk([*copy.graph.node, *(node for function in copy.functions for node in function.node)]):
        node.name = ""
    return bytes(copy.SerializeToString(deterministic=True))
