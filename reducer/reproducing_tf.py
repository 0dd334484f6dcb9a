"""What a repro script for tf2onnx needs to know, and the data that lies beside the reduced graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from reducer import finding
from reducer.difference import excerpt, from_wire
from reducer.errors import EditConflict
from reducer.finding import DifferenceFacts, Feed, Reproduction
from reducer.oracles.conversion import ConversionOracle
from reducer.oracles.conversion_signature import UNSUPPORTED, cause_of
from reducer.programs.fed import formula_of
from reducer.programs.graphdef import GraphProgram
from reducer.programs.layers import LayersProgram
from reducer.signature import literal_fragments
from reducer.values import Value, ValueRef, is_narrow
from reducer.worker.protocol import RETURNED, Call

WRITE_CODE = "reducer.worker.tf_candidates:write_code"
# More elements than that are written as a formula when there is one, and up to the other number as they are.
FEW_LITERALS, MOST_LITERALS = 4, 64


@dataclass(frozen=True)
class Reproduced:
    """The reduced graph, run once more through the public entry point: its report and files, and the script's facts.
    `feeds` go into inputs.npz under the names of the script's parameters, with constants too long for a script; `names`
    are those of the source with what they are called now."""

    report: Mapping[str, Any] = field(default_factory=dict)
    graph: bytes = b""
    model: bytes = b""
    feeds: Mapping[str, Value] = field(default_factory=dict)
    expected: Mapping[str, Value] = field(default_factory=dict)
    code: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    reproduction: Reproduction | None = None

    @property
    def message(self) -> str:
        """The raw message of what the reduced graph does: of the handler where one raised, else of the rung."""
        return cause_of(self.report)["message"] if self.report else ""

    @property
    def difference(self) -> DifferenceFacts | None:
        """The wrong output of the reduced graph in numbers."""
        return from_wire(self.report["measured"]) if "measured" in self.report else None


def reproduced(oracle: ConversionOracle, program: GraphProgram) -> Reproduced:
    """Everything that is shown of the reduced graph."""
    store = oracle.host.folder / "shown.bin"
    how = replace(oracle.how, optimizers=None)
    try:
        seen = oracle.see(program, how, oracle.limits.full, public=True, keep=str(store), measure=True)
    except EditConflict:
        return Reproduced()
    report = seen.reply.get("report") or {}
    expected = {name: ValueRef.from_wire(wire).read() for name, wire in report.get("expected", {}).items()}
    answer = oracle.host.call(Call(WRITE_CODE, {"order": program.order(), "store": str(store)}, (), oracle.limits.full))
    forms = answer.value["forms"] if answer.outcome == RETURNED else []
    graph, model = seen.blobs or (oracle.written(program), b"")
    found = Reproduced(report, graph, model, expected=expected, names=seen.reply.get("names", {}))
    if not forms:
        return found
    return _with_script(found, oracle, program, forms)


def _with_script(
    found: Reproduced, oracle: ConversionOracle, program: GraphProgram, forms: list[Mapping[str, Any]]
) -> Reproduced:
    form = forms[0]
    refs = [program.all_values[name] for name in program.inputs]
    feeds: dict[str, Value] = {n: ref.read() for n, ref in zip(form["parameters"], refs, strict=True)}
    saved = {name: ValueRef.from_wire(wire).read() for name, wire in form["saved"].items()}
    target, report = oracle.target, found.report
    rtol, atol = oracle.tolerance.of("float32")
    if all(np.asarray(value).dtype.kind in "biu" for value in found.expected.values()):
        rtol = atol = 0.0  # what is no float is compared exactly
    fallback = next((f["code"] for f in forms if f["text"]), None)
    repro = Reproduction(
        form="tf2onnx",
        stage=target.stage,
        probes=(_probe(oracle, program, form["parameters"]),),
        error_class=target.kind,
        fragments=fragments_of(oracle, report) if report else (),
        signal=oracle.ended or "",
        timeout_seconds=oracle.limits.full,
        rtol=rtol,
        atol=atol,
        mismatch=(report.get("difference") or {}).get("kind", target.kind) if target.stage == "compare" else "",
        model_code=form["code"],
        model_text=None if form["text"] else fallback,
        feeds=described(feeds),
        expected_text=expected_of(found) or f"the converted model passes {target.stage}",
        actual_text=actual_of(report) if report else target.detail,
    )
    return replace(found, feeds={**feeds, **saved}, code=None if form["text"] else form["code"], reproduction=repro)


def reproduced_layers(oracle: ConversionOracle, program: LayersProgram) -> Reproduced:
    """Everything that is shown of a reduced Keras model."""
    try:
        seen = oracle.see(program, replace(oracle.how, optimizers=None), oracle.limits.full, measure=True)
    except EditConflict:
        return Reproduced()
    if seen.died is not None:
        return Reproduced()
    report, code = seen.reply["report"], seen.reply["code"]
    found = Reproduced(report, seen.blobs[0], seen.blobs[1], code=code)
    if code is None or oracle.target.stage == "compare":
        return found  # without the weights, which no script holds, the outputs say nothing
    probe = probe_of(oracle)
    repro = Reproduction(
        form="tf2onnx",
        stage=oracle.target.stage,
        probes=(replace(probe, options={**probe.options, "entry": "from_keras"}),),
        error_class=oracle.target.kind,
        fragments=fragments_of(oracle, report),
        timeout_seconds=oracle.limits.full,
        model_code=code,
        expected_text="the model converts",
        actual_text=actual_of(report),
    )
    return replace(found, reproduction=repro)


def probe_of(oracle: ConversionOracle) -> finding.Probe:
    """The conversion as the script must repeat it."""
    how = oracle.how
    options = {
        "entry": "saved_model" if how.raises else "from_function",
        "opt_level": how.level,
        "provider": how.provider,
    }
    if how.opset is not None:
        options["opset"] = str(how.opset)
    return finding.Probe("tf2onnx", options)


def _probe(oracle: ConversionOracle, program: GraphProgram, parameters: Sequence[str]) -> finding.Probe:
    """As the script's function must be converted; `parameters` are its names of the program's inputs."""
    probe = _with_nchw(probe_of(oracle), oracle, dict(zip(program.inputs, parameters, strict=True)))
    turned = [str(place) for place, name in enumerate(program.outputs) if name in oracle.how.nchw_out]
    if turned:
        probe = replace(probe, options={**probe.options, "nchw_out": ",".join(turned)})
    return replace(probe, options={**probe.options, "captures": "yes"}) if program.captures else probe


def _with_nchw(probe: finding.Probe, oracle: ConversionOracle, parameters: Mapping[str, str]) -> finding.Probe:
    """With the parameters of the script that tf2onnx is to make NCHW."""
    turned = [parameters[name] for name in oracle.how.nchw_in if name in parameters]
    return replace(probe, options={**probe.options, "nchw": ",".join(turned)}) if turned else probe


def fragments_of(oracle: ConversionOracle, report: Mapping[str, Any]) -> tuple[str, ...]:
    """Pieces that the error or tf2onnx's log holds whenever it is this failure."""
    target = oracle.target
    if target.stage == "compare":
        return ()
    if target.kind == UNSUPPORTED:
        return (f": {target.detail.rpartition(' ')[2]}] is not supported",)
    cause = cause_of(report)
    pieces = literal_fragments(target.detail.partition(": ")[2] or target.detail, cause["message"])
    raised = bool(report["log"]["raised"]) or target.stage == "convert"
    frame = cause.get("frame", "").rpartition(":")[2]
    return (target.kind, *([f"in {frame}"] if frame else []), *pieces) if raised else pieces


def described(feeds: Mapping[str, Value]) -> tuple[Feed, ...]:
    """Feeds as a script shows them: by a formula, or literals when short."""
    found = []
    for name, value in feeds.items():
        array = np.asarray(value)
        dtype = "string" if array.dtype.kind in "OUS" else array.dtype.name
        formula = formula_of(array) if array.size > FEW_LITERALS else None
        short = array.size <= MOST_LITERALS and not is_narrow(array.dtype) and array.dtype.kind != "c" and not formula
        found.append(Feed(name, dtype, array.shape, array.tolist() if short else None, formula=formula or ""))
    return tuple(found)


def expected_of(found: Reproduced) -> str:
    """The right value of the output that is wrong, else of the first one, in a few words."""
    right = found.report.get("excerpts") or [excerpt(value) for value in found.expected.values()]
    return str(right[0]) if right else ""


def actual_of(report: Mapping[str, Any]) -> str:
    difference = report.get("difference")
    if difference is not None:
        size = f" by up to {difference['abs']:.4g}" if difference.get("abs") is not None else ""
        shown = f"{report['excerpts'][1]}; " if "excerpts" in report else ""
        return f"{shown}differs in {difference['kind']}{size}"
    cause = cause_of(report)
    return f"{cause['error']}: {cause['message']}"[:1500]
