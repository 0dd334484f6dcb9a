"""A TensorFlow model: SavedModel folder, Keras file, frozen graph, TFLite file, or a module that makes one."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import ClassVar

from reducer.sources.base import SourceKind

FUNCTIONS = frozenset({"get_function", "get_keras_model"})
# What TensorFlow puts into the folder of a SavedModel.
TRACES = ("saved_model.pb", "saved_model.pbtxt", "variables", "fingerprint.pb", "keras_metadata.pb")


def form_of(target: str) -> str | None:
    """case, saved_model, keras, graph_def or tflite; None when it is no TensorFlow source. Runs nothing: a module is
    parsed, a .pb file is told from an ONNX model by its first byte."""
    path = Path(target)
    suffix = path.suffix.lower()
    if path.is_dir():
        return "saved_model" if any((path / name).exists() for name in TRACES) else None
    if suffix == ".py":
        return "case" if FUNCTIONS & _functions(path) else None
    if suffix in (".keras", ".h5", ".hdf5"):
        return "keras"
    if suffix == ".tflite":
        return "tflite"
    return "graph_def" if suffix == ".pb" and _begins_with_a_node(path) else None


def _functions(path: Path) -> set[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return set()
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def _begins_with_a_node(path: Path) -> bool:
    """GraphDef begins with field 1 as a message, ModelProto with field 1 as a number (both .proto files)."""
    try:
        with open(path, "rb") as stream:
            return stream.read(1) == b"\x0a"
    except OSError:
        return False


class TensorFlowModel(SourceKind):
    """Whatever tf2onnx converts."""

    kind: ClassVar[str] = "tensorflow"
    rank: ClassVar[int] = 40
    preload: ClassVar[tuple[str, ...]] = ("reducer.worker.tf_preload",)
    session: ClassVar[str] = "reducer.sessions.tensorflow:TensorFlowSession"

    def claims(self, target: str) -> bool:
        return form_of(target) is not None
