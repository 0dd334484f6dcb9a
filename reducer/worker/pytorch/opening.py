"""The source on the ladder: eager twice, capture, its graph run, convert, check, load, run, compare (child side).

What was captured stays in this worker; every run that may die happens in a process forked from it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reducer.worker.pytorch import adapter, failures, judging
from reducer.worker.pytorch.graph import Level, copied, is_random, is_random_here, of_program, target_name
from reducer.worker.pytorch.isolation import DIED, HUNG, isolated, note
from reducer.worker.pytorch.loading import Loaded, load

Report = dict[str, Any]
CAPTURED, DECOMPOSED = "captured", "decomposed"


@dataclass
class Opened:
    """One model in this worker. `expected` are the tensors that eager gives; levels are made when first asked for."""

    subject: Mapping[str, Any]
    loaded: Loaded
    expected: list[Any] = field(default_factory=list)
    program: Any = None
    failed: Report | None = None
    levels: dict[str, Level] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        """What the exporters and the comparison are told."""
        subject = self.subject
        keys = ("exporter", "opset", "opt_level", "provider", "tolerances", "default")
        return {key: subject.get(key) for key in keys}

    def level(self, name: str) -> Level:
        """The captured or the decomposed graph with its values. Raises StepFailed."""
        if name not in self.levels:
            program = self.program
            if name == DECOMPOSED:
                program = adapter.prepare(self.program, self.subject.get("opset"))
            self.levels[name] = of_program(program, copied(self.loaded.args), copied(self.loaded.kwargs))
        return self.levels[name]


_OPENED: dict[str, Opened] = {}


def opened(subject: Mapping[str, Any]) -> Opened:
    """The model of a subject in this worker, captured at the first call."""
    import torch

    key = repr(sorted(subject.items()))
    if key not in _OPENED:
        _OPENED.clear()
        torch.set_num_threads(1)  # a pool of threads does not survive a fork
        loaded = load(subject)
        state = Opened(subject, loaded)
        try:
            state.program = loaded.program or adapter.capture(
                loaded.model,
                copied(loaded.args),
                copied(loaded.kwargs),
                shapes=adapter.dims(loaded.dynamic_shapes),
                strict=bool(subject.get("strict")),
            )
        except adapter.StepFailed as failed:
            state.failed = failures.describe(failed.error, failed.step)
        _OPENED[key] = state
    return _OPENED[key]


def run_eager(model: Any, loaded: Loaded) -> list[Any]:
    """The tensors that a fresh copy of the model gives; neither model nor inputs are changed."""
    import torch

    try:
        model = copy.deepcopy(model)
    except Exception:  # noqa: BLE001 - whatever cannot be copied is run as it is
        model = model
    with torch.no_grad():
        return [copied(t) for t in adapter.tensors_of(model(*copied(loaded.args), **copied(loaded.kwargs)))]


def climb(state: Opened, seconds: float) -> Report:
    """{rungs: [[stage, backend, outcome, message]], failure: report or None, notes: [...]}.

    The failure is the first that matters: no graph, no ONNX model, a runtime that fails, outputs that differ. For a
    difference, `blame` says who stands alone: capture, exporter or runtime.
    """
    ladder: list[list[Any]] = []
    notes: list[str] = []
    loaded = state.loaded
    first = run_eager(loaded.model, loaded)
    state.expected = first
    ladder.append(["run", "torch eager", "passed", f"{len(first)} output tensors"])
    second = run_eager(loaded.model, loaded)
    again = _against(second, first, state)
    if again["step"]:
        notes.append(f"two eager runs differ: {again['message']}; the model is random")
        ladder.append(["compare", "torch eager, twice", "differs", again["message"]])
    if stateful := _stateful(state):
        notes.append(f"a call changes the model's buffers: {', '.join(stateful[:3])}")
    failure = _captured(state, ladder) or _converted(state, ladder, seconds, random=bool(again["step"]))
    compared = state.program is not None and failure is not None and failure["step"] == judging.COMPARE
    if names := _random_nodes(state) if compared else []:
        notes.append(f"random by design: {', '.join(names)}")
    return {"rungs": ladder, "failure": failure, "notes": notes}


def _random_nodes(state: Opened) -> list[str]:
    """Operators of the captured graph whose values change from call to call."""
    nodes = [n for n in state.program.graph.nodes if n.op == "call_function" and is_random(n.target)]
    try:
        values = state.level(CAPTURED).values if nodes else {}
    except Exception:  # noqa: BLE001 - a captured graph may fail in any way
        values = {}
    return sorted({target_name(node.target) for node in nodes if is_random_here(node, values)})


def _against(made: list[Any], expected: list[Any], state: Opened) -> Report:
    report = judging.compare([judging.numpy_of(t) for t in made], expected, state.options)
    report.pop("outputs", None)
    return report


def _stateful(state: Opened) -> list[str]:
    """Buffers that one call changes."""
    import torch

    try:
        model = copy.deepcopy(state.loaded.model)
        before = {name: copied(value) for name, value in model.named_buffers()}
        with torch.no_grad():
            model(*copied(state.loaded.args), **copied(state.loaded.kwargs))
    except Exception:  # noqa: BLE001 - a model that cannot be copied is not looked into
        return []
    return [n for n, v in model.named_buffers() if n in before and not torch.equal(before[n], v)]


def _captured(state: Opened, ladder: list[list[Any]]) -> Report | None:
    """The capture rung, and whether the captured graph computes what eager does."""
    if state.failed is not None:
        ladder.append(["convert", "torch.export (capture)", "failed", state.failed["message"]])
        return state.failed if state.subject.get("exporter") != "legacy" else None
    ladder.append(["convert", "torch.export (capture)", "passed", f"{_calls(state.program)} call nodes"])
    seen = _graph_run(state)
    if seen is None:
        return None
    outcome = "differs" if seen["step"] == judging.COMPARE else ("failed" if seen["step"] else "passed")
    ladder.append(["compare", "captured graph against torch eager", outcome, seen.get("message", "")])
    if outcome == "differs" and state.subject.get("exporter") != "legacy":
        return {**seen, "blame": "capture"}
    return None


def _graph_run(state: Opened) -> Report | None:
    import torch

    loaded = state.loaded
    try:
        with torch.no_grad():
            made = adapter.tensors_of(state.program.module()(*copied(loaded.args), **copied(loaded.kwargs)))
    except Exception as error:  # noqa: BLE001 - a captured graph may fail in any way
        return {"step": "run", "message": f"{type(error).__name__}: {error}"[:300]}
    return _against(made, state.expected, state)


def _calls(program: Any) -> int:
    return sum(
        1
        for module in program.graph_module.modules()
        if hasattr(module, "graph")
        for n in module.graph.nodes
        if n.op == "call_function"
    )


def _converted(state: Opened, ladder: list[list[Any]], seconds: float, *, random: bool) -> Report | None:
    """The rungs from conversion on, through the public API."""
    exporter = state.subject.get("exporter") or "dynamo"
    label = f"torch.onnx.export ({exporter})"
    made = isolated(lambda: export_and_run(state), seconds)
    if DIED in made or HUNG in made:
        outcome = DIED if DIED in made else HUNG
        step = made["at"] or failures.first_step(state.options)
        stage = "convert" if step in failures.CONVERT_STEPS else step
        ladder.append([stage, label if stage == "convert" else "onnxruntime", outcome, str(made[outcome])])
        return {"step": step, outcome: made[outcome], "error": str(made[outcome]), "message": "", "target": ""}
    if "fault" in made:
        raise RuntimeError(made["fault"])
    ladder.extend(made["rungs"])
    failure: Report | None = made["failure"]
    if failure is not None and failure["step"] == judging.COMPARE and random:
        return None
    return failure


def export_and_run(state: Opened) -> Report:
    """{rungs, failure}: torch.onnx.export of the whole model, then every rung of ONNX."""
    loaded, options = state.loaded, state.options
    label = f"torch.onnx.export ({state.subject.get('exporter') or 'dynamo'})"
    note(failures.first_step(options))
    try:
        model = export_source(state)
    except adapter.StepFailed as failed:
        report = failures.describe(failed.error, failed.step)
        return {"rungs": [["convert", label, "failed", f"{report['step']}: {report['message']}"]], "failure": report}
    rungs: list[list[Any]] = [["convert", label, "passed", f"{len(model)} bytes"]]
    rungs.append(_checked(model))
    inputs = adapter.tensors_of((loaded.args, loaded.kwargs))
    report = judging.run_onnx(model, inputs, state.expected, options)
    rungs += _told(report)
    if report["step"]:
        report["onnx_bytes"] = len(model)
        rungs += _witnesses(model, inputs, state, report)
    report.pop("outputs", None)
    if not report["step"] and rungs[1][2] == "failed":
        return {
            "rungs": rungs,
            "failure": {
                "step": "check",
                "error": "ValidationError",
                "message": rungs[1][3],
                "target": "",
                **judging.names_of(model),
            },
        }
    return {"rungs": rungs, "failure": report if report["step"] else None}


def export_source(state: Opened) -> bytes:
    """The whole model through torch.onnx.export, from the graph that is captured already. Raises StepFailed."""
    loaded, options = state.loaded, state.options
    if options["exporter"] != "legacy" and state.program is not None:
        return adapter.export(state.program, (), {}, options)
    return adapter.export(loaded.model, copied(loaded.args), copied(loaded.kwargs), options)


def _checked(model: bytes) -> list[Any]:
    import onnx

    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # noqa: BLE001 - whatever the checker raises is its verdict
        return ["check", "onnx-checker", "failed", str(error)[:300]]
    return ["check", "onnx-checker", "passed", ""]


def _told(report: Report) -> list[list[Any]]:
    order = ["load", "run", "compare"]
    reached = report["step"] or "compare"
    rungs = [[stage, "onnxruntime", "passed", ""] for stage in order[: order.index(reached)]]
    outcome = {"compare": "differs"}.get(report["step"], "failed") if report["step"] else "passed"
    text = report.get("message") or f"largest absolute difference {report.get('seen', 0.0):.3g}"
    backend = "onnxruntime against torch eager" if reached == "compare" else "onnxruntime"
    return [*rungs, [reached, backend, outcome, text]]


def _witnesses(model: bytes, inputs: list[Any], state: Opened, report: Report) -> list[list[Any]]:
    """What the runtime without optimizations and the ONNX reference evaluator say: they tell who is at fault."""
    from reducer.backends.reference import Reference

    plain = judging.run_onnx(model, inputs, state.expected, {**state.options, "opt_level": "none"})
    rungs = [["run", "onnxruntime (none)", _outcome(plain), plain.get("message", "")]]
    try:
        made = list(Reference().open(model, {})(judging.feeds_of(model, inputs)).values())
        seen = judging.compare(made, state.expected, state.options)
        rungs.append(["compare", "onnx reference against torch eager", _outcome(seen), seen.get("message", "")])
        right = not seen["step"]
    except Exception as error:  # noqa: BLE001 - the reference fails as it likes
        rungs.append(["run", "onnx reference", "failed", f"{type(error).__name__}: {error}"[:300]])
        right = False
    # A model that the reference computes as torch does is a right one.
    report["blame"] = "runtime" if right or not plain["step"] else "exporter"
    return rungs


def _outcome(report: Report) -> str:
    return {"": "passed", "compare": "differs"}.get(report["step"], "failed")
