"""Suspects of a PyTorch export: operator, user's line, exporter step, and the project to file at (step 10).

Free of oracle calls: the registry, the frame of the exception and the ladder say it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reducer.finding import Suspect
from reducer.oracles.export import stage_of
from reducer.programs.fx import FxNode

Report = Mapping[str, Any]
MOST = 3
MESSAGE = 220
MOST_MISSING = 6
# Namespaces of operators that torch itself brings; the last part of a module name elsewhere is the project.
TORCH = ("aten", "prims", "prim", "higher_order", "torch", "_operator", "operator", "quantized", "torchvision")
NO_FUNCTION = "DispatchError"


def node_suspects(nodes: tuple[FxNode, ...], failure: Report, functions: Mapping[str, Report]) -> tuple[Suspect, ...]:
    """One suspect for every node that is left, the one that the message names first."""
    named = sorted(nodes, key=lambda node: node.target != failure.get("target"))
    return tuple(_node_suspect(node, failure, functions.get(str(node.id), {})) for node in named[:MOST])


def _node_suspect(node: FxNode, failure: Report, function: Report) -> Suspect:
    project = project_of(failure, node.target, function)
    return Suspect("op", node.target, _what(node, failure, function), node.name, project, node.line)


def _what(node: FxNode, failure: Report, function: Report) -> str:
    step, message = failure["step"], _line(failure)
    if failure.get("error") == NO_FUNCTION and not function.get("has", True):
        close = ", ".join(function.get("close", ()))
        return f"no ONNX function for {node.target}" + (f"; close ones: {close}" if close else "")
    made = (
        f"what {function['name']} of {function['module']} makes of it"
        if function.get("name")
        else "what the exporter makes of it"
    )
    if violent := failure.get("died") or failure.get("hung"):
        return f"{violent} at the step {step}"
    if stage_of(step) == "convert":
        frame = f" in {failure['frame']}" if failure.get("frame") else ""
        return f"{failure['error']}{frame} at the step {step}: {message}"
    if step == "compare":
        right = "onnxruntime alone differs" if failure.get("blame") == "runtime" else f"{made} computes something else"
        return f"fed with the same values, {right}: {message}"
    who = (
        "onnxruntime fails on a model that the reference runs"
        if failure.get("blame") == "runtime"
        else f"onnxruntime refuses {made}"
    )
    return f"{who} ({step}): {message}"


def module_suspects(path: str, kind: str, failure: Report, exporter: str) -> tuple[Suspect, ...]:
    """The module that fails alone, the function of torch that it called, and what eager alone runs there."""
    line = str(failure.get("line") or "")
    if stage_of(str(failure["step"])) == "convert":
        inner, function = str(failure.get("module") or kind), str(failure.get("function") or "")
        who = "torch.export" if failure["step"] == "capture" else f"torch.onnx.export ({exporter})"
        said = f": {failure['error']}: {_line(failure)}"
        found = [Suspect("op", _short(inner), f"{who} fails in {inner}.forward{said}", path or None, "torch", line)]
        if function:
            named = Suspect("op", _short(function), f"{who} fails in {function}{said}", path or None, "torch", line)
            found.insert(1 if inner.startswith("torch.") else 0, named)
        return tuple(found)
    if failure.get("blame") == "capture" or "missing" in failure:
        missing = [str(name) for name in failure.get("missing", ())]
        alone = f"; eager alone runs {', '.join(missing[:MOST_MISSING])}" if missing else ""
        does = f"the graph that torch.export captures of {kind} gives other numbers than the module"
        return (Suspect("op", _short(kind), f"{does}: {_line(failure)}{alone}", path or None, "torch"),)
    evidence = f"of the modules of the model, {kind} fails alone: {_line(failure)}"
    return (Suspect("op", _short(kind), evidence, path or None, project_of(failure, "", {})),) if path else ()


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def step_suspect(failure: Report, exporter: str) -> Suspect:
    """The step of the exporter, or the runtime."""
    step = failure["step"]
    if stage_of(step) == "convert":
        note = {"capture": "torch.export gives no graph"}.get(step, "the graph is captured, the ONNX model is not made")
        return Suspect("stage", step, f"torch.onnx.export ({exporter}): {note}", project=project_of(failure, "", {}))
    blame = failure.get("blame") or "exporter"
    note = {
        "capture": "the captured graph computes something else than the model, before any ONNX",
        "exporter": "the ONNX model is another one than the captured graph: onnxruntime without optimizations and the "
        "ONNX reference evaluator do not give torch's result either",
        "runtime": "onnxruntime without optimizations or the ONNX reference evaluator gives torch's result",
    }[blame]
    return Suspect("stage", blame, note, project=project_of(failure, "", {}))


def project_of(failure: Report, target: str, function: Report) -> str:
    """Where to file: the runtime, the package that registers the operator, the home of the ONNX function, or torch."""
    if failure.get("blame") == "runtime":
        return "onnxruntime"
    space = target.partition(".")[0].partition("::")[0]
    if space and space not in TORCH and "." in target:
        return space
    homes = (str(function.get("module", "")), str(failure.get("frame") or ""))
    outside = stage_of(str(failure["step"])) != "convert" or failure.get("error") != NO_FUNCTION
    return "onnxscript" if outside and any(home.startswith("onnxscript") for home in homes) else "torch"


def _line(failure: Report) -> str:
    lines = [line.strip() for line in str(failure.get("message", "")).splitlines() if line.strip()]
    text = lines[0] if lines else ""
    return text if len(text) <= MESSAGE else text[: MESSAGE - 3] + "..."
