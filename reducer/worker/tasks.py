"""Tasks that open or run models; they run in the child only. Each takes (context, arguments, blobs).

`program` arrives as blobs[0], or as a path in arguments["model"] when it has weights beside it.
"""

from __future__ import annotations

import importlib
import platform
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, Tuple

from reducer.backends.base import Backend
from reducer.values import ValueRef, append_values
from reducer.worker.comparison import compare_all, new_nans
from reducer.worker.main import Context

Reply = Tuple[Dict[str, Any], Tuple[bytes, ...]]

MOST_MESSAGE = 8000


def load_backend(path: str) -> Backend:
    """The backend at "package.module:Class"."""
    module, _, name = path.partition(":")
    backend: Backend = getattr(importlib.import_module(module), name)()
    return backend


def program_of(arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> bytes | Path:
    """The serialized model, or the file it lies in."""
    return Path(arguments["model"]) if arguments.get("model") else blobs[0]


def read_feeds(wires: dict[str, list[Any]]) -> dict[str, Any]:
    """The recorded values of a request."""
    return {name: ValueRef.from_wire(wire).read() for name, wire in wires.items()}


def climb(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """Open, and run when asked, each probe in turn; then compare those that ran, pair by pair.

    arguments: probes [{backend, options, run, gated, seconds}] (a gated one only runs when all before it passed;
    seconds is a limit of its own or None), feeds,
    compare {tolerances, default, skip} or None, expected, stop_early, and keep: a store path for the outputs of
    each probe or None. Reply: probes [{stage, error, message, seconds, kept}], pairs.
    """
    program = program_of(arguments, blobs)
    feeds = read_feeds(arguments.get("feeds") or {})
    reports: list[dict[str, Any]] = []
    outputs: list[dict[str, Any] | None] = []
    for index, probe in enumerate(arguments["probes"]):
        if probe.get("gated") and any(earlier["error"] for earlier in reports):
            continue
        report, made = _one(context, index, probe, (program, feeds))
        reports.append(report)
        outputs.append(made)
        if report["error"] and arguments.get("stop_early"):
            break
    pairs = []
    if arguments.get("compare"):
        expected = read_feeds(arguments.get("expected") or {})
        pairs = compare_all(outputs, expected or None, arguments["compare"])
    if arguments.get("keep"):
        for report, made in zip(reports, outputs):
            kept = append_values(Path(arguments["keep"]), made or {})
            report["kept"] = {name: ref.to_wire() for name, ref in kept.items()}
    return {"probes": reports, "pairs": pairs}, ()


def _one(
    context: Context, index: int, probe: dict[str, Any], case: tuple[bytes | Path, dict[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    program, feeds = case
    backend = load_backend(probe["backend"])
    stage, start = backend.open_stage, time.perf_counter()
    report: dict[str, Any] = {"stage": stage, "error": "", "message": ""}
    made: dict[str, Any] | None = None
    try:
        context.stage(f"{index}:{stage}", probe.get("seconds"))
        run = backend.open(program, probe["options"])
        if backend.runs and probe.get("run", True):
            stage = "run"
            context.stage(f"{index}:{stage}", probe.get("seconds"))
            made = dict(run(feeds))
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a system under test raises is what we observe
        report.update(error=type(error).__name__, message=shortened(str(error)) or repr(error))
    report.update(stage=stage, seconds=time.perf_counter() - start)
    report["nan"] = new_nans(feeds, made or {})
    return report, made


def shortened(message: str) -> str:
    """A message that a name of megabytes has blown up, without its middle: the parent searches what it is told."""
    if len(message) <= MOST_MESSAGE:
        return message
    return f"{message[: MOST_MESSAGE * 3 // 4]} ... {message[-MOST_MESSAGE // 4 :]}"


def versions(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """Versions of the interpreter, of backends, modules and distributions: {"backends": {name: path}, "modules": [...],
    "packages": [...], "loaded": [modules that count if something has imported them]} -> {name: version}."""
    found: dict[str, Any] = {"python": platform.python_version()}
    for name in arguments.get("packages", []):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    for name, path in arguments.get("backends", {}).items():
        try:
            found[name] = load_backend(path).version()
        except ImportError as error:
            found[name] = None
            found[f"{name}:error"] = str(error)
    loaded = [name for name in arguments.get("loaded", []) if name in sys.modules]
    for name in [*arguments.get("modules", []), *loaded]:
        try:
            found[name] = str(getattr(importlib.import_module(name), "__version__", "unknown"))
        except ImportError:
            found[name] = None
    return {"versions": found}, ()
