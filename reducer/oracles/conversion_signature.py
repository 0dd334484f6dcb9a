"""The identity of a failed conversion by tf2onnx.

What makes it (facts: design notes on TensorFlow, section 5):
- a node without a handler that ONNX Runtime then names: its op type;
- a handler that raised: exception class, innermost file:function of tf2onnx, normalised message, whether the entry
  point raises it or only logs it and ONNX Runtime refuses the model later;
- else ONNX Runtime's class and normalised message, or the kind of the wrong output.
A logged error alone is no failure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reducer.signature import FailureSignature, Vocabulary, normalise
from reducer.worker import protocol
from reducer.worker.protocol import Answer

UNSUPPORTED = "unsupported operator"
# tf2onnx makes names of the node it works on and a counter.
_MADE_NAME = re.compile(r"\b[\w/.]*__\d+(?::\d+)?")
_COUNTED = re.compile(r"\b([A-Za-z_]\w*?)_\d+\b")
# Handlers work on the node after its type was changed to ONNX's: messages hold names of both.
Report = Mapping[str, Any]


def plain_message(text: str, vocabulary: Vocabulary) -> str:
    """The message with everything masked that tf2onnx, TensorFlow or Keras number or name."""
    return _COUNTED.sub(r"\1_N", normalise(_MADE_NAME.sub("'<name>/0'", text), vocabulary))


def signature_of(
    report: Report, vocabulary: Vocabulary, wanted: FailureSignature | None = None
) -> FailureSignature | None:
    """The identity of what the ladder saw; None when it passed. With several candidates for the cause, the one of
    `wanted` is taken if it is among them."""
    failure = report["failure"]
    if failure is None:
        difference = difference_of(report, wanted)
        return wrong_output(difference["kind"]) if difference else None
    stage, log = failure["stage"], report["log"]
    if stage in ("load", "run"):
        missing = _missing(failure["message"], log["unsupported"], wanted)
        if missing:
            return FailureSignature(stage, "tf2onnx", UNSUPPORTED, f"tf2onnx has no handler for {missing}")
    raised = log["raised"]
    if raised:
        found = [_of_exception(stage, error, vocabulary) for error in raised]
        return next((s for s in found if wanted is not None and same(s, wanted)), found[0])
    if stage == "convert":
        return _of_exception(stage, failure, vocabulary)
    detail = plain_message(failure["message"], vocabulary)
    return FailureSignature(stage, failure["backend"], failure["error"], detail)


def cause_of(report: Mapping[str, Any]) -> Mapping[str, str]:
    """{error, message}: the handler's exception where one was raised, else what the failing rung says."""
    raised = report.get("log", {}).get("raised") or []
    return raised[0] if raised else (report.get("failure") or {"error": "", "message": ""})


def same(a: FailureSignature, b: FailureSignature) -> bool:
    return replace(a, context="") == replace(b, context="")


def _missing(message: str, unsupported: list[Mapping[str, str]], wanted: FailureSignature | None) -> str:
    """The op type without a handler that the runtime names; the wanted one first: any of several is enough."""
    named = [u["op"] for u in unsupported if re.search(rf"(?<![\w.]){re.escape(u['op'])}(?!\w)", message)]
    if wanted is not None and named and wanted.kind == UNSUPPORTED:
        ours = [u["op"] for u in unsupported if wanted.detail.endswith(f" {u['op']}")]
        named = ours or named
    return named[0] if named else ""


def _of_exception(stage: str, error: Mapping[str, str], vocabulary: Vocabulary) -> FailureSignature:
    text = plain_message(error["message"], vocabulary)
    detail = f"{error['frame'] or 'outside tf2onnx'}: {text}"
    return FailureSignature(stage, "tf2onnx", error["error"], detail)


def difference_of(report: Report, wanted: FailureSignature | None = None) -> Mapping[str, Any] | None:
    """The gravest difference; of several outputs that differ, one in the kind of `wanted` where there is one."""
    kind = wanted.kind if wanted is not None else ""
    ours = [one for one in report.get("differences", ()) if one["kind"] == kind]
    worst: Mapping[str, Any] | None = report["difference"]
    return max(ours, key=lambda one: float(one["excess"]), default=worst)


def wrong_output(kind: str) -> FailureSignature:
    """The identity of an output that differs in this kind."""
    return FailureSignature("compare", "tf2onnx", kind, f"{kind} differs: the converted model against TensorFlow")


def died_signature(answer: Answer) -> FailureSignature:
    """A worker that did not come back: by a signal, too late, or out of memory."""
    stage = answer.stage or "convert"
    backend = "onnxruntime" if stage in ("load", "run") else "tf2onnx"
    kind = {protocol.TIMED_OUT: "hang", protocol.OUT_OF_MEMORY: "out_of_memory"}.get(
        answer.outcome, answer.signal or "exit"
    )
    return FailureSignature(stage, backend, kind, f"{kind} in {backend} during {stage}")
