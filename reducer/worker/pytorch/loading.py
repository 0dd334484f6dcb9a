"""What the user named becomes a model with its inputs (child side, step 2 of the data path).

The user's file runs here, in the worker, because the user named it. An archive that holds pickled objects is
refused unless the user trusts it.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pickle
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

MODULE = "user_model"
# Modules whose text a script holds: what they define has its bare name there.
HELD = {MODULE}


class Unusable(Exception):
    """The source cannot be used; the message is for the user, `hint` says what to type next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Loaded:
    """A model in the mode in which it was given, its example inputs, and the user's own module when there is one.

    `program` is the ExportedProgram of a .pt2 file, else None. `text` is the source of the user's file, where it stands
    for itself; `maker` the function in it that makes the model, `made` the call of it as code.
    """

    model: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    dynamic_shapes: Any = None
    program: Any = None
    module: Any = None
    text: str = ""
    maker: str = "get_model"
    made: str = "get_model()"


def load(subject: Mapping[str, Any]) -> Loaded:
    """The model behind `subject["target"]`. Raises Unusable, or whatever the user's code raises."""
    target = subject["target"]
    sys.path.insert(0, subject["cwd"])
    shapes = _dynamic_shapes(subject.get("dynamic_shapes"))
    if target.endswith(".pt2"):
        return _archive(Path(target), trust=bool(subject.get("trust")))
    if target.endswith(".py"):
        path = Path(target)
        sys.path.insert(0, str(path.parent))
        spec = importlib.util.spec_from_file_location(MODULE, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[MODULE] = module  # dataclasses and inspect look it up
        spec.loader.exec_module(module)
        return _of_module(module, "get_model", shapes, path.read_text(encoding="utf-8"))
    name, _, factory = target.partition(":")
    module = importlib.import_module(name)
    if not callable(getattr(module, factory, None)):
        raise Unusable(f"{name} has no function {factory!r}", "name a function that gives the model: package.module:f")
    return _of_module(module, factory, shapes, _text_of(module, subject["cwd"]))


def _text_of(module: Any, folder: str) -> str:
    """The source of a module of the user's, when it imports nothing else of theirs; else empty: it is imported."""
    path = Path(str(getattr(module, "__file__", None) or ""))
    if path.suffix != ".py" or "site-packages" in path.parts:
        return ""
    text = path.read_text(encoding="utf-8")
    for part in ast.walk(ast.parse(text)):
        names = [alias.name for alias in part.names] if isinstance(part, ast.Import) else []
        names += [part.module or ""] if isinstance(part, ast.ImportFrom) else []
        relative = isinstance(part, ast.ImportFrom) and part.level
        roots = [Path(folder, name.partition(".")[0]) for name in names]
        if relative or any(root.is_dir() or root.with_suffix(".py").is_file() for root in roots):
            return ""
    return text


def _of_module(module: Any, maker: str, shapes: Any, text: str) -> Loaded:
    import torch

    if text:
        HELD.add(module.__name__)
    made = getattr(module, maker)()
    rest: tuple[Any, ...] = ()
    call = f"{maker}()" + ("[0]" if isinstance(made, tuple) else "")
    if isinstance(made, tuple) and made and isinstance(made[0], torch.nn.Module):
        made, *others = made
        rest = tuple(others)
    if not isinstance(made, torch.nn.Module):
        raise Unusable(f"{maker}() gives {type(made).__name__}, not a torch.nn.Module")
    if rest:
        args, kwargs = _inputs_of(rest[0] if len(rest) == 1 else rest[:2])
    elif callable(getattr(module, "get_inputs", None)):
        args, kwargs = _inputs_of(module.get_inputs())
    else:
        raise Unusable(
            "there are no inputs", "add get_inputs(): a tuple of the arguments of forward, or (args, kwargs)"
        )
    own = getattr(module, "get_dynamic_shapes", None)
    shapes = shapes if shapes is not None else own and own()
    return Loaded(made, args, kwargs, shapes, None, module, text, maker, call)


def _inputs_of(given: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """(args, kwargs) of a tuple of arguments, a dict of keyword arguments, a pair of both, or one argument."""
    if isinstance(given, dict):
        return (), dict(given)
    if isinstance(given, list):
        given = tuple(given)
    if not isinstance(given, tuple):
        return (given,), {}
    if len(given) == 2 and isinstance(given[0], tuple) and isinstance(given[1], dict):
        return given[0], dict(given[1])
    return given, {}


def _archive(path: Path, *, trust: bool) -> Loaded:
    import torch

    if not trust and (pickled := pickles_in(path)):
        raise Unusable(f"{path.name} holds pickled objects ({pickled[0]})", "add --trust to run what they hold")
    real = torch.load
    torch.load = real if trust else _tensors_only(real)
    try:
        program = torch.export.load(path)
    except pickle.UnpicklingError as error:
        raise Unusable(f"{path.name} holds pickled objects: {error}", "add --trust to run what they hold") from error
    finally:
        torch.load = real
    if program.example_inputs is None:
        raise Unusable(f"{path.name} holds no example inputs", "save it with the inputs that torch.export.export had")
    args, kwargs = program.example_inputs
    return Loaded(program.module(), tuple(args), dict(kwargs), None, program)


def pickles_in(path: Path) -> list[str]:
    """Custom and opaque objects in an archive: torch 2.13 unpickles them, whatever they execute."""
    if not zipfile.is_zipfile(path):
        raise Unusable(f"{path.name} is no archive of torch.export.save")
    with zipfile.ZipFile(path) as archive:
        return [
            name for name in archive.namelist() if PurePosixPath(name).name.startswith(("custom_obj", "opaque_obj"))
        ]


def _tensors_only(real: Callable[..., Any]) -> Callable[..., Any]:
    """torch.load that executes nothing: loading an archive would fall back to executing pickles (torch 2.13,
    deserialize_torch_artifact)."""
    return lambda *args, **options: real(*args, **{**options, "weights_only": True})


def _dynamic_shapes(text: str | None) -> Any:
    """What --dynamic-shapes says: a Python literal as torch.onnx.export takes it, dims by name."""
    return None if text is None else ast.literal_eval(text)
