"""Tasks that watch ONNX Runtime's graph optimizer (child side)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reducer.backends.onnxruntime import session_options
from reducer.worker.main import Context
from reducer.worker.tasks import Reply, program_of

# A name of a pass or of a rewrite rule is a string constant of the library: nothing exports them.
_NAME = re.compile(rb"\x00([A-Z][A-Za-z0-9_]{5,50})(?=\x00)")
_LIKELY = re.compile(
    r"Fus(?:e|ion)|Eliminat|Transformer|Rewrite|Fold|Clean|Propagat|Remov|Optimizer|Prun|Unique|Insert"
)
_MANGLED = re.compile(r"^N\d+|E$(?<=\dE)|onnxruntime\d|_$")


def watch(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """Open one session with everything logged to the file arguments["log"], so that the log outlives a crash.

    arguments: options of the backend, log (path), graph (path of a dump of the optimized model, or None).
    Reply: error ("" when it loads), and text: the dumped graph in onnx.parser syntax.
    """
    import onnxruntime as ort

    program, options = program_of(arguments, blobs), arguments["options"]
    settings = session_options(options)
    settings.log_severity_level = 0
    dump = arguments.get("graph")
    if dump:
        settings.optimized_model_filepath = dump
    disabled = [name for name in options.get("disabled_optimizers", "").split(";") if name]
    context.stage("0:load")
    error = ""
    with _stderr_into(Path(arguments["log"])):
        try:
            ort.InferenceSession(
                program if isinstance(program, bytes) else str(program),
                settings,
                providers=[options.get("provider", "CPUExecutionProvider")],
                disabled_optimizers=disabled,
            )
        except Exception as seen:  # noqa: BLE001 - whatever a system under test raises is what we observe
            error = f"{type(seen).__name__}: {seen}"
    return {"error": error, "text": _text_of(Path(dump)) if dump else ""}, ()


def rule_names(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """Names of the library that can be those of passes and rules, most likely ones only: {"names": [...]}.

    ONNX Runtime ignores a name that it does not know, so a wrong one costs nothing.
    """
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    raw = Path(state.__file__).read_bytes()
    names = {match.decode() for match in _NAME.findall(raw)}
    return {"names": sorted(n for n in names if _LIKELY.search(n) and not _MANGLED.search(n))}, ()


@contextmanager
def _stderr_into(path: Path) -> Iterator[None]:
    """The runtime writes its log past Python, to file descriptor 2."""
    kept = os.dup(2)
    with open(path, "wb") as stream:
        os.dup2(stream.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _text_of(path: Path) -> str:
    import onnx
    import onnx.printer

    if not path.exists():
        return ""
    model = onnx.load(path)
    text = onnx.printer.to_text(model.graph)
    path.unlink()
    return str(text)
