"""Tasks on a Keras model that is cut by layers; they run in the child only."""

from __future__ import annotations

from typing import Any

from reducer.values import ValueRef
from reducer.worker.main import Context
from reducer.worker.tf_convert import How, attempt, capturing
from reducer.worker.tf_functions import of_keras
from reducer.worker.tf_ladder import climb
from reducer.worker.tf_layers import CannotCut, LayersCandidate, described, opened
from reducer.worker.tf_subject import quiet
from reducer.worker.tf_tasks import Reply


def layers(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """{"path", "form", "folder"} -> {"layers": [{name, op, reads}]}; empty when there is no Keras model."""
    quiet()
    model = opened(arguments["path"], arguments["form"], arguments["folder"]).keras_model
    return {"layers": described(model) if hasattr(model, "layers") else []}, ()


def judge(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """Build the candidate model, convert it through its entry point, climb the ladder. As tf_tasks.judge; `entry`
    may name another entry point."""
    quiet()
    order = arguments["order"]
    subject = opened(order["path"], order["form"], order["folder"])
    feeds = [ValueRef.from_wire(wire).read() for wire in order["feeds"]]
    context.stage("build")
    try:
        candidate = LayersCandidate(subject, order["keep"], feeds)
        wanted = of_keras(candidate.model, None)
    except CannotCut as reason:
        return {"invalid": str(reason)}, ()
    how = How.from_wire(arguments["how"])
    options = {"opset": how.opset} if how.opset is not None else {}
    context.stage("convert")
    with capturing() as seen:
        entry = wanted.entries[arguments.get("entry") or "from_keras"]
        conversion = attempt(lambda: entry(options), seen.names)
    settings = arguments["settings"]
    expected = candidate.expected() if settings.get("run", True) else []
    report = climb(context, conversion, (candidate.feeds, expected), settings)
    return {"report": report, "code": candidate.code()}, (
        candidate.model.to_json(indent=1).encode(),
        conversion.model or b"",
    )
