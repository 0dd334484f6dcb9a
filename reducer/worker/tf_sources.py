"""What the user named, opened in the child: a module that makes a function or Keras model, or a file."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from typing import Any

from reducer.worker.tf_files import load_keras, of_graph_file, of_saved_model
from reducer.worker.tf_functions import of_function, of_keras
from reducer.worker.tf_subject import Refused, Subject
from reducer.worker.tflite_subject import of_tflite


def open_source(arguments: dict[str, Any]) -> Subject:
    """The subject of a request {"path", "form", "signature", "folder"}. Raises Refused."""
    path, form = Path(arguments["path"]), arguments["form"]
    scratch = Path(arguments["folder"])
    if form == "case":
        return _of_case(path, scratch)
    if form == "keras":
        return of_keras(load_keras(path), scratch)
    if form == "saved_model":
        return of_saved_model(path, arguments.get("signature"))
    if form == "graph_def":
        return of_graph_file(path)
    return of_tflite(path)


def _of_case(path: Path, scratch: Path) -> Subject:
    module = _imported(path)
    subject: Subject
    if hasattr(module, "get_keras_model"):
        subject = of_keras(_called(module, "get_keras_model"), scratch)
    else:
        made = _called(module, "get_function")
        if not isinstance(made, tuple | list) or len(made) != 2 or not callable(made[0]):
            raise Refused(f"get_function() in {path.name} must return (callable, list of tf.TensorSpec)")
        subject = of_function(made[0], list(made[1]), scratch)
    if hasattr(module, "get_inputs"):
        given = _called(module, "get_inputs")
        subject.given = list(given.values()) if isinstance(given, dict) else list(given)
    return subject


def _imported(path: Path) -> Any:
    specification = importlib.util.spec_from_file_location("onnx_reduce_case", path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.path.insert(0, str(path.parent))
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        raise Refused(f"{path.name} cannot be imported: {_where(error, path)}") from error
    return module


def _called(module: Any, name: str) -> Any:
    try:
        return getattr(module, name)()
    except Exception as error:
        raise Refused(f"{name}() fails: {_where(error, Path(module.__file__))}") from error


def _where(error: BaseException, path: Path) -> str:
    """The exception in one line, with the last line of the user's own file."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    place = f" (line {lines[-1]})" if lines else ""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}{place}"
