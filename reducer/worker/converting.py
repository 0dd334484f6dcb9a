"""The task that converts a model to another opset (child side): the version converter is C++ that models can kill."""

from __future__ import annotations

from typing import Any

from reducer.worker.main import Context
from reducer.worker.tasks import Reply, program_of


def convert_opset(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """The model converted to arguments["opset"] as blobs[0]; {"error": text} when the converter refuses."""
    import onnx
    import onnx.version_converter

    program = program_of(arguments, blobs)
    model = onnx.ModelProto.FromString(program) if isinstance(program, bytes) else onnx.load(str(program))
    try:
        converted = onnx.version_converter.convert_version(model, arguments["opset"])
    except Exception as error:  # noqa: BLE001 - whatever the converter raises is why there is no such model
        return {"error": (str(error).strip().splitlines() or [type(error).__name__])[0]}, ()
    return {}, (converted.SerializeToString(),)


def newest_opset(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """The newest opset of this onnx."""
    import onnx

    return {"opset": onnx.defs.onnx_opset_version()}, ()
