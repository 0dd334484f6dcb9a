"""The second level of a PyTorch failure: the ONNX model that is exported from the reduced module, reduced as such.

Only where that model is the failing thing: it does not load, does not run, or the runtime alone differs. The ONNX
engine works on it, and its nodes are mapped back to torch's by what the exporter wrote beside them.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from reducer.engine.problem import ignore
from reducer.errors import OnnxReduceError
from reducer.finding import Artifact, Finding, Suspect
from reducer.sessions.onnx import OnnxSession
from reducer.settings import Settings
from reducer.torch_case import TorchCase
from reducer.workspace import INPUTS, MODEL

FOLDER = "onnx"
SECONDS = 20.0


def with_onnx_level(case: TorchCase, finding: Finding, settings: Settings) -> Finding:
    """The finding with what the ONNX engine makes of the exported model, where that model is what fails."""
    failure = finding.failure
    runtime = case.failure.get("blame") == "runtime"
    if failure is None or not (failure.stage in ("load", "run") or (failure.stage == "compare" and runtime)):
        return finding
    scratch = case.model.host.folder / FOLDER
    scratch.mkdir(exist_ok=True)
    model, feeds = scratch / "model.onnx", scratch / "feeds.npz"
    case.model.verify(case.text, {"onnx": str(model), "feeds": str(feeds)})
    if not model.exists():
        return finding
    case.say("reducing the exported ONNX model")
    try:
        below = _reduced(case, model, feeds if feeds.exists() else None, settings)
    except OnnxReduceError as error:
        case.say(f"the exported ONNX model was not reduced: {error}")
        return finding
    if below is None or below.reduced is None:
        return finding
    files = (Artifact("other", f"{FOLDER}/{MODEL}"),)
    return replace(
        finding,
        suspects=(*finding.suspects, *_suspects(case, below)),
        artifacts=(*finding.artifacts, *files),
    )


def _reduced(case: TorchCase, model: Path, feeds: Path | None, settings: Settings) -> Finding | None:
    """The finding on the ONNX model, its files copied below the result."""
    own = Settings(
        inputs=feeds,
        provider=settings.provider,
        opt_level=settings.opt_level,
        rtol=settings.rtol,
        atol=settings.atol,
        budget_seconds=SECONDS,
        output=model.with_suffix(".reduced"),
        force=True,
    )
    session = OnnxSession(own, str(model), ignore, lambda _: None, case.model.host)
    try:
        found = session.run()
        if session.workspace is None or found.reduced is None:
            return None
        for name in (MODEL, INPUTS):
            made = session.workspace.folder / name
            if made.exists():
                (case.workspace.folder / FOLDER).mkdir(exist_ok=True)
                shutil.copyfile(made, case.workspace.folder / FOLDER / name)
        return found
    finally:
        if session.workspace is not None:
            session.workspace.discard()


def _suspects(case: TorchCase, below: Finding) -> tuple[Suspect, ...]:
    """The ONNX operator that is left, with the torch node that it was made of."""
    assert below.reduced is not None
    path = case.workspace.folder / FOLDER / MODEL
    origins = case.model.ask("origins", {"model": str(path)})["origins"]
    first = next((s for s in below.suspects if s.kind in ("op", "type", "shape", "value")), None)
    ops = ", ".join(below.reduced.op_types)
    came = f"; made of {origins[0]['target']} ({origins[0]['node']})" if origins else ""
    said = f": {first.evidence}" if first is not None else ""
    evidence = f"the exported ONNX model fails by itself, reduced to {below.reduced.nodes} ({ops}){said}{came}"
    name = first.name if first is not None else ops
    return (
        Suspect(
            "op",
            name,
            evidence,
            first.node if first is not None else None,
            first.project if first is not None else None,
        ),
    )
