"""The one place that knows torch's private exporter API (torch 2.13), with the public one as the fallback.

Why private: the public call rebuilds the registry each time (400 ms) and decomposes again (120 ms and more), where
translating one node takes 1 ms. It serves the search alone; verdicts that are reported use the public call.
"""

from __future__ import annotations

import contextlib
import functools
import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from reducer.worker.pytorch.failures import CAPTURE, DECOMPOSE, LEGACY, OPTIMIZE, TRANSLATE


class StepFailed(Exception):
    """A step of the exporter raised `error`."""

    def __init__(self, step: str, error: BaseException) -> None:
        super().__init__(step)
        self.step, self.error = step, error


@contextlib.contextmanager
def at_step(step: str) -> Iterator[None]:
    """Whatever is raised inside is a StepFailed of that step."""
    try:
        yield
    except (StepFailed, MemoryError):
        raise
    except Exception as error:
        raise StepFailed(step, error) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No gradients, no warnings: what the exporters do for a model in use."""
    import logging

    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def capture(
    model: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, shapes: Any = None, strict: bool = False
) -> Any:
    """An ExportedProgram, as torch.onnx.export makes it: non-strict, then strict. Raises StepFailed (the first one)."""
    import torch

    with quiet(), at_step(CAPTURE):
        if strict:
            return torch.export.export(model, args, kwargs or None, dynamic_shapes=shapes, strict=True)
        first: Exception | None = None
        for way in _ways_of_capture():
            try:
                return way(model, args, kwargs, shapes)
            except Exception as error:  # noqa: BLE001 - the next way is tried whatever this one raised
                first = first or error
        assert first is not None
        raise first from first.__cause__  # the one that the public call reports, too


def _ways_of_capture() -> list[Callable[..., Any]]:
    """The ways of the exporter, which patches torch.export (sizes of 0 and 1, recurrent layers of dynamic length)."""
    import torch

    try:
        from torch.onnx._internal.exporter import _capture_strategies as private

        return [strategy()._capture for strategy in private.CAPTURE_STRATEGIES]
    except (ImportError, AttributeError, TypeError):
        export = torch.export.export
        return [
            lambda model, args, kwargs, shapes, strict=strict: export(
                model, args, kwargs or None, dynamic_shapes=shapes, strict=strict
            )
            for strict in (False, True)
        ]


def dims(shapes: Any) -> Any:
    """Dynamic shapes as torch.export takes them: a name is a DYNAMIC dimension, as torch.onnx.export has it (2.13,
    convert_str_to_export_dim); "auto" and "static" are hints."""
    import torch

    if isinstance(shapes, dict):
        return {key: dims(value) for key, value in shapes.items()}
    if isinstance(shapes, list | tuple):
        return type(shapes)(dims(value) for value in shapes)
    if isinstance(shapes, str):
        hints = {"auto": torch.export.Dim.AUTO, "static": torch.export.Dim.STATIC}
        return hints.get(shapes, torch.export.Dim.DYNAMIC)
    return shapes


@functools.cache
def registry(opset: int | None) -> Any:
    """The ONNX functions of that opset, made once per process. Raises where the private API is another one."""
    from torch.onnx._internal.exporter import _constants, _registration

    with quiet():
        return _registration.ONNXRegistry.from_torchlib(opset_version=max(_opset(opset), _constants.TORCHLIB_OPSET))


@contextlib.contextmanager
def known_functions(opset: int | None) -> Iterator[None]:
    """The public call with the registry of this process, which it would make anew each time: for the search alone."""
    try:
        from torch.onnx._internal.exporter import _registration

        real, held = _registration.ONNXRegistry.__dict__["from_torchlib"], registry(opset)
    except (ImportError, AttributeError, KeyError, TypeError):
        yield
        return
    _registration.ONNXRegistry.from_torchlib = staticmethod(lambda *_, **__: held)
    try:
        yield
    finally:
        _registration.ONNXRegistry.from_torchlib = real


def _opset(opset: int | None) -> int:
    from torch.onnx import _constants

    return int(opset or _constants.ONNX_DEFAULT_OPSET)


def is_private_usable(opset: int | None) -> bool:
    """Whether the private API looks as expected."""
    try:
        from torch.onnx._internal.exporter import _core

        names = ("_prepare_exported_program_for_export", "_exported_program_to_onnx_program")
        return all(callable(getattr(_core, name, None)) for name in names) and bool(registry(opset).functions)
    except (ImportError, AttributeError, TypeError):
        return False


def prepare(program: Any, opset: int | None) -> Any:
    """The decomposed ExportedProgram that is translated. Raises StepFailed."""
    from torch.onnx._internal.exporter import _core

    with quiet(), at_step(DECOMPOSE):
        return _core._prepare_exported_program_for_export(program, registry=registry(opset))


def translate(module: Any, signature: Any, constants: dict[str, Any], opset: int | None) -> bytes:
    """A prepared graph as a serialized ONNX model: the steps of the public call after decomposition.

    `constants` are the tensors of placeholders that are no inputs, by the target in `signature`. Raises StepFailed.
    """
    from torch.onnx._internal._lazy_import import onnxscript_apis
    from torch.onnx._internal.exporter import _core

    program = SimpleNamespace(
        graph_module=module,
        graph_signature=signature,
        range_constraints={},
        constants={},
        named_parameters=list,
        named_buffers=lambda: list(constants.items()),
    )
    with quiet():
        with at_step(TRANSLATE):
            made = _core._exported_program_to_onnx_program(program, registry=registry(opset))
        with at_step(OPTIMIZE):
            made.model = onnxscript_apis.convert_version(made.model, _opset(opset))
            made.optimize()
            return bytes(made.model_proto.SerializeToString())


def export(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any]) -> bytes:
    """torch.onnx.export, nothing else: a serialized ONNX model. Raises StepFailed.

    options: exporter, opset, dynamic_shapes (as torch takes them), strict: capture by torch.export in that mode first.
    """
    import torch

    known: dict[str, Any] = {"opset_version": options.get("opset"), "verbose": False}
    if options.get("exporter") == "legacy":
        names = [f"in_{number}" for number, _ in enumerate(tensors_of((args, kwargs)))]
        buffer = io.BytesIO()
        with quiet(), at_step(LEGACY):
            torch.onnx.export(model, args, buffer, kwargs=kwargs or None, dynamo=False, input_names=names, **known)
        return buffer.getvalue()
    shapes = options.get("dynamic_shapes")
    if options.get("strict"):
        model, args, kwargs, shapes = capture(model, args, kwargs, shapes=dims(shapes), strict=True), (), {}, None
    # The first three steps name themselves in what they raise; anything else comes from what follows.
    with quiet(), at_step(OPTIMIZE):
        made = torch.onnx.export(model, args, kwargs=kwargs or None, dynamo=True, dynamic_shapes=shapes, **known)
    return bytes(made.model_proto.SerializeToString())


def tensors_of(tree: Any) -> list[Any]:
    """The tensors of nested arguments or outputs, in order."""
    import torch
    from torch.utils import _pytree

    return [leaf for leaf in _pytree.tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def has_function(target: Any, opset: int | None) -> bool:
    """Whether the registry holds an ONNX function for that target."""
    return target in registry(opset).functions


def close_functions(name: str, opset: int | None) -> Sequence[str]:
    """Up to three targets that have an ONNX function and are called nearly like `name`."""
    import difflib

    known = {str(target): None for target in registry(opset).functions}
    packet = name.rsplit(".", 1)[0]
    siblings = [other for other in known if other.rsplit(".", 1)[0] == packet]
    return list(dict.fromkeys([*siblings, *difflib.get_close_matches(name, known, 3, 0.75)]))[:3]


def function_of(target: Any, opset: int | None) -> tuple[str, str]:
    """(module, name) of the ONNX function that translates a target; empty when there is none."""
    for entry in registry(opset).functions.get(target, ())[:1]:
        held = getattr(entry.onnx_function, "function", entry.onnx_function)
        return str(getattr(held, "__module__", "")), str(getattr(held, "__name__", ""))
    return "", ""
