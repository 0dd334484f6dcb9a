"""Tasks that ask a rewriter what it does (child side)."""

from __future__ import annotations

from typing import Any

from reducer.backends.rewriting import Rewriter
from reducer.worker.main import Context
from reducer.worker.tasks import Reply, load_backend, program_of


def switches(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """What the rewriter at arguments["backend"] can be told to leave undone: {"names": [...]}."""
    backend = load_backend(arguments["backend"])
    return {"names": backend.switches() if isinstance(backend, Rewriter) else []}, ()


def rewritten(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """The graph that a rewriter makes with arguments {backend, options}, as text: {"text": ...}; "" when it fails."""
    import onnx
    import onnx.printer

    backend, program = load_backend(arguments["backend"]), program_of(arguments, blobs)
    if not isinstance(backend, Rewriter):
        return {"text": ""}, ()
    model = onnx.ModelProto.FromString(program) if isinstance(program, bytes) else onnx.load(program)
    context.stage("0:optimize")
    try:
        made = model if arguments.get("untouched") else backend.rewrite(model, arguments["options"])
    except Exception:  # noqa: BLE001 - whatever a system under test raises: there is no graph to show
        return {"text": ""}, ()
    return {"text": onnx.printer.to_text(made.graph)}, ()
