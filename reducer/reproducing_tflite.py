"""What a repro script for a reduced TFLite model needs to know: the flatbuffer itself, its inputs, the call."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from reducer import finding
from reducer.errors import EditConflict, ToolFault
from reducer.finding import Reproduction
from reducer.oracles.conversion import ConversionOracle
from reducer.programs.graphdef import GraphProgram
from reducer.reproducing_tf import Reproduced, actual_of, described, expected_of, fragments_of, probe_of
from reducer.values import Value, ValueRef
from reducer.worker.protocol import RETURNED, Call

# A larger flatbuffer lies beside the script.
MOST_INLINE = 6000


def reproduced_tflite(oracle: ConversionOracle, program: GraphProgram) -> Reproduced:
    """Everything that is shown of the reduced model."""
    how, store = replace(oracle.how, optimizers=None), str(oracle.host.folder / "shown.bin")
    try:
        seen = oracle.see(program, how, oracle.limits.full, public=True, keep=store, measure=True)
    except EditConflict:
        return Reproduced()
    report = _told_of_source(seen.reply)
    told, blobs = (seen.reply, seen.blobs) if report else _built(oracle, program)
    feeds = dict(zip(told["inputs"], (program.all_values[name].read() for name in program.inputs), strict=True))
    expected = {name: ValueRef.from_wire(wire).read() for name, wire in report.get("expected", {}).items()}
    names = told.get("names") or {}
    found = Reproduced(report, blobs[0], blobs[1], feeds, expected, str(told["text"]), names)
    return replace(found, reproduction=_reproduction(oracle, found, told))


def _told_of_source(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    """The report with nodes in the log under the names that the source has for them: suspects are told by these."""
    report, labels = reply.get("report") or {}, reply.get("labels") or {}
    if not report:
        return report

    def named(entry: Mapping[str, Any]) -> Mapping[str, Any]:
        # tf2onnx extends the names of tensors.
        name = max((n for n in labels if entry["node"].startswith(n)), key=len, default=entry["node"])
        return {**entry, "node": labels.get(name, name)}

    log = {**report["log"], **{kind: [named(e) for e in report["log"][kind]] for kind in ("unsupported", "raised")}}
    return {**report, "log": log}


def _built(oracle: ConversionOracle, program: GraphProgram) -> tuple[Mapping[str, Any], tuple[bytes, ...]]:
    """The model of a process that did not come back from converting it."""
    call = Call(f"{program.tasks}:build", {"order": program.order()}, (), oracle.limits.full)
    answer = oracle.host.call(call)
    if answer.outcome != RETURNED:
        raise ToolFault(f"the reduced model cannot be built: {answer.stderr[-1500:]}")
    return answer.value, (answer.blobs[0], b"")


def _reproduction(oracle: ConversionOracle, found: Reproduced, told: Mapping[str, Any]) -> Reproduction:
    target, report = oracle.target, found.report
    options = {**probe_of(oracle).options, "entry": "from_tflite"}
    if nchw := [name for name in told.get("nchw") or () if name in told["inputs"]]:
        options["nchw"] = ",".join(nchw)
    inline = len(found.graph) <= MOST_INLINE
    rtol, atol = _tolerance(oracle, found.expected, told.get("steps") or {})
    return Reproduction(
        form="tflite",
        stage=target.stage,
        probes=(finding.Probe("tf2onnx", options),),
        error_class=target.kind,
        fragments=fragments_of(oracle, report) if report else (),
        signal=oracle.ended or "",
        timeout_seconds=oracle.limits.full,
        rtol=rtol,
        atol=atol,
        mismatch=target.kind if target.stage == "compare" else "",
        model_code=base64.b64encode(zlib.compress(found.graph, 9)).decode() if inline else None,
        feeds=described(found.feeds),
        expected_text=expected_of(found) or f"the converted model passes {target.stage}",
        actual_text=actual_of(report) if report else target.detail,
    )


def _tolerance(
    oracle: ConversionOracle, expected: Mapping[str, Value], steps: Mapping[str, Any]
) -> tuple[float, float]:
    """That of the outputs: one step where all are quantized integers, none for other integers."""
    if expected and all(len(steps.get(name) or ()) > 1 for name in expected):
        return 0.0, 1.0
    if all(np.asarray(value).dtype.kind in "biu" for value in expected.values()):
        return 0.0, 0.0
    rtol, atol = oracle.tolerance.of("float32")
    return rtol, max([atol, *(step[0] for step in steps.values() if len(step) == 1)])
