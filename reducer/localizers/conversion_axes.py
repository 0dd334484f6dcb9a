"""Who is at fault: the reduced graph converted and run with one thing changed at a time.

Axes: ONNX Runtime's optimization level, tf2onnx's optimizers and rewriters (leave one out, by name), the opset. What
fails with every optimizer and rewriter away is the handler's doing, or a missing one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from reducer.errors import EditConflict, ToolFault
from reducer.finding import Neighbour, OptimizerFacts, Suspect
from reducer.localizers.conversion import named
from reducer.localizers.conversion_captures import explain_captures
from reducer.oracles.conversion import ConversionOracle, How, runtime_options
from reducer.oracles.conversion_signature import UNSUPPORTED, cause_of
from reducer.programs.base import NodeRef
from reducer.programs.graphdef import GraphProgram
from reducer.programs.layers import LayersProgram
from reducer.switchboards.onnxruntime import read_log
from reducer.worker.protocol import RETURNED, Call

WATCH = "reducer.worker.optimizing:watch"
FAILS, PASSES, DIFFERS, UNKNOWN = "fails", "passes", "differs", "unknown"
LEVELS = ("none", "basic", "extended", "all")
OPSETS = (13, 14, 15, 16, 17, 18)
DEFAULT_OPSET = 15
TF2ONNX, RUNTIME = "tf2onnx", "onnxruntime"


@dataclass(frozen=True)
class Explained:
    """Suspects, best first, with what was tried to find them."""

    suspects: tuple[Suspect, ...]
    neighbours: tuple[Neighbour, ...] = ()
    optimizers: tuple[OptimizerFacts, ...] = ()


@dataclass(frozen=True)
class Axes:
    """Tries one variation of the conversion at a time on one program."""

    oracle: ConversionOracle
    program: GraphProgram

    def outcome(self, how: How) -> tuple[str, str]:
        """(fails | passes | differs | unknown, what was seen)."""
        try:
            seen = self.oracle.see(self.program, how, self.oracle.limits.full)
        except (EditConflict, ToolFault) as error:
            return UNKNOWN, str(error)[:200]
        signature = self.oracle.signature(seen)
        if signature is None:
            return PASSES, ""
        if self.oracle.alike(signature):
            return FAILS, signature.detail
        return DIFFERS, f"{signature.stage}: {signature.kind}: {signature.detail}"[:200]

    def culprits(self, names: list[str], without: Callable[[tuple[str, ...]], How]) -> tuple[str, ...]:
        """Those of `names` without which alone it does not fail. None are tried one by one when all may be away and
        it fails all the same."""
        if not names or self.outcome(without(tuple(names)))[0] == FAILS:
            return ()
        return tuple(name for name in names if self.outcome(without((name,)))[0] == PASSES)


@dataclass(frozen=True)
class RuntimePasses:
    """Passes of ONNX Runtime that changed the converted model, and those without which alone it does not fail."""

    modified: tuple[str, ...] = ()
    culprits: tuple[str, ...] = ()


def passes_of(axes: Axes, how: How, model: bytes) -> RuntimePasses:
    """Leave one out over the passes that ONNX Runtime's own log names; rules inside a rule-based one are not named."""
    host = axes.oracle.host
    log = host.folder / "optimizer.log"
    log.write_text("")
    if not model:
        return RuntimePasses()
    host.call(Call(WATCH, {"options": runtime_options(how), "log": str(log)}, (model,), axes.oracle.limits.full))
    seen = read_log(log)
    names = [name for name in dict.fromkeys((*seen.modified, seen.unfinished)) if name]
    return RuntimePasses(seen.modified, axes.culprits(names, lambda away: replace(how, disabled=away)))


def explain(
    oracle: ConversionOracle, program: GraphProgram, seen: tuple[Mapping[str, Any], bytes], facts: Mapping[str, Any]
) -> Explained:
    """All axes, then the suspects that they leave. `seen` is what the reduced graph does and what it converts to."""
    report, model = seen
    axes, how = Axes(oracle, program), replace(oracle.how, optimizers=None)
    levels = {}
    if oracle.target.stage != "convert":
        levels = {level: axes.outcome(replace(how, level=level))[0] for level in LEVELS}
    asked = {"order": program.order(), "how": how.to_wire()}
    parts = oracle.host.call(Call(f"{program.tasks}:rewriters", asked, (), oracle.limits.full))
    named: Mapping[str, list[str]] = parts.value if parts.outcome == RETURNED else {"rewriters": [], "optimizers": []}
    known = list(named["optimizers"])
    optimizers = axes.culprits(known, lambda away: replace(how, optimizers=tuple(n for n in known if n not in away)))
    rewriters = axes.culprits(list(named["rewriters"]), lambda away: replace(how, without=away))
    neighbours = [_at_opset(axes, how, opset) for opset in OPSETS if opset != (how.opset or DEFAULT_OPSET)]
    neighbours += [Neighbour("rewriter", f"without {name}", PASSES) for name in rewriters]
    neighbours += [Neighbour("optimizer", f"without {name}", PASSES) for name in optimizers]
    runtime = RuntimePasses() if levels.get("none") != PASSES else passes_of(axes, how, model)
    tools = []
    if levels:
        found = bool(runtime.culprits)
        tools.append(OptimizerFacts("onnxruntime", levels, runtime.modified, runtime.culprits, found))
    if optimizers:
        tools.append(OptimizerFacts("tf2onnx", {}, (), optimizers, True))
    handlers = handlers_of(oracle, program)
    suspects = _suspects(oracle, program, (report, facts), (levels, optimizers, rewriters, handlers))
    if program.captures:
        suspects, inside = explain_captures(program, lambda other: Axes(oracle, other).outcome(how))
        neighbours.insert(0, inside)
    text = "without this pass of ONNX Runtime alone it does not fail (disabled_optimizers of InferenceSession)"
    suspects[1:1] = [Suspect("optimizer_pass", name, text, None, RUNTIME) for name in runtime.culprits]
    return Explained(tuple(suspects), tuple(neighbours), tuple(tools))


def explain_entry(oracle: ConversionOracle, program: LayersProgram, report: Mapping[str, Any]) -> Explained:
    """The entry point is at fault: does the same model convert through another one?"""
    try:
        seen = oracle.see(program, replace(oracle.how, optimizers=None), oracle.limits.full, entry="from_function")
        signature = oracle.signature(seen)
    except (EditConflict, ToolFault) as error:
        outcome, detail = UNKNOWN, str(error)[:200]
    else:
        outcome = PASSES if signature is None else DIFFERS
        detail = signature.detail if signature is not None else ""
        if signature is not None and (signature.kind, signature.detail) == (oracle.target.kind, oracle.target.detail):
            outcome = FAILS
    cause = cause_of(report)
    place = cause.get("frame") or "tf2onnx.convert.from_keras"
    also = {PASSES: "; the same model converts through from_function", FAILS: "; from_function fails, too"}.get(
        outcome, ""
    )
    text = f"{place} raises {cause['error']} ({cause['message'][:120]}) before any operator is converted{also}"
    other = Neighbour("entry", "from_keras -> from_function", outcome, detail)
    return Explained((Suspect("converter", "tf2onnx.convert.from_keras", text, None, TF2ONNX),), (other,))


def _at_opset(axes: Axes, how: How, opset: int) -> Neighbour:
    outcome, detail = axes.outcome(replace(how, opset=opset))
    return Neighbour("opset", f"opset: {how.opset or DEFAULT_OPSET} -> {opset}", outcome, detail)


def handlers_of(oracle: ConversionOracle, program: GraphProgram) -> Mapping[str, str]:
    """ "file:Class.function" of tf2onnx for every op type of the program that has a handler."""
    ops = sorted({r.ref.op_type for r in program.records})
    asked = {"ops": ops, "opset": oracle.how.opset}
    answer = oracle.host.call(Call(f"{program.tasks}:handlers", asked, (), oracle.limits.full))
    found: Mapping[str, str] = answer.value["handlers"] if answer.outcome == RETURNED else {}
    return found


def _suspects(
    oracle: ConversionOracle,
    program: GraphProgram,
    seen: tuple[Mapping[str, Any], Mapping[str, Any]],
    found: tuple[Mapping[str, str], tuple[str, ...], tuple[str, ...], Mapping[str, str]],
) -> list[Suspect]:
    levels, optimizers, rewriters, handlers = found
    report, facts = seen
    runtime = levels.get("none") == PASSES
    project = RUNTIME if runtime else TF2ONNX
    records = program.records
    pattern = " -> ".join(dict.fromkeys(r.ref.op_type for r in records))
    blamed = blamed_node(oracle, program, report)
    where = blamed.name if blamed else (records[0].name if records else None)
    name = blamed.op_type if blamed else pattern
    suspects = [Suspect("op", name, _evidence(oracle, report, found, facts), where, project)]
    if name != pattern:
        suspects.append(Suspect("op", pattern, f"these {len(records)} nodes are needed together", where, project))
    if runtime:
        broken = [level for level in LEVELS if levels[level] == FAILS]
        text = f"passes at the level {_last_good(levels)}, fails from {broken[0]} on" if broken else "only none passes"
        suspects.append(Suspect("optimizer_pass", "ONNX Runtime's graph optimization", text, None, RUNTIME))
    for name in optimizers:
        text = "without this optimizer of tf2onnx alone it does not fail"
        suspects.append(Suspect("optimizer_pass", name, text, None, TF2ONNX))
    for name in rewriters:
        suspects.append(
            Suspect("converter", name, "without this rewriter of tf2onnx alone it does not fail", None, TF2ONNX)
        )
    failure = report["failure"] if report else None
    if failure and failure["stage"] == "convert" and failure["frame"] and not report["log"]["raised"]:
        # It came to no handler, or past them all.
        suspects.append(Suspect("converter", failure["frame"], f"raises {failure['error']}", where, TF2ONNX))
    elif not (runtime or optimizers or rewriters):
        for op, handler in handlers.items():
            suspects.append(Suspect("converter", handler, f"the handler of {op} at this opset", where, TF2ONNX))
    return suspects


def blamed_node(oracle: ConversionOracle, program: GraphProgram, report: Mapping[str, Any]) -> NodeRef | None:
    """The node that tf2onnx itself names: one without a handler, or the one whose handler raised."""
    refs = program.nodes()
    if oracle.target.kind == UNSUPPORTED:
        op = oracle.target.detail.rpartition(" ")[2]
        same = next((ref for ref in refs if ref.op_type == op), None)
        # Of TFLite's operators tf2onnx first makes TensorFlow's: then it is told by the name of the node.
        names = [u["node"] for u in report["log"]["unsupported"] if u["op"] == op] if report and not same else []
        ids = named(program.source, names)
        return same or next((ref for ref in refs if ref.id in ids and not ref.path), None)
    raised = report["log"]["raised"] if report else []
    names = named(program.source, [raised[0]["node"]]) if raised else []
    return next((ref for ref in refs if ref.id in names and not ref.path), None)


def _last_good(levels: Mapping[str, str]) -> str:
    return next((level for level in reversed(LEVELS) if levels[level] == PASSES), "none")


def _evidence(
    oracle: ConversionOracle,
    report: Mapping[str, Any],
    found: tuple[Mapping[str, str], tuple[str, ...], tuple[str, ...], Mapping[str, str]],
    facts: Mapping[str, Any],
) -> str:
    levels, optimizers, rewriters, handlers = found
    target, version = oracle.target, facts.get("tf2onnx", "")
    opset = oracle.how.opset or DEFAULT_OPSET
    if target.kind == UNSUPPORTED:
        return f"tf2onnx {version} has no handler for it at opset {opset}"
    raised = report["log"]["raised"] if report else []
    if raised:
        first = raised[0]
        return f"{first['frame']} raises {first['error']}: {first['message'][:200]}"
    makers = ", ".join(dict.fromkeys(handlers.values())) or TF2ONNX
    if not report:
        return f"{target.detail} (handlers: {makers})"
    if levels.get("none") == PASSES:
        return f"what tf2onnx makes of it is right without ONNX Runtime's optimizations ({_last_good(levels)} passes)"
    if optimizers or rewriters:
        return f"fails only with {', '.join((*optimizers, *rewriters))} of tf2onnx {version}"
    difference = report["difference"]
    if difference is not None:
        size = f" by up to {difference['abs']:.4g}" if difference.get("abs") is not None else ""
        return (
            f"fed with the same values, the output of {makers} differs from TensorFlow's in {difference['kind']}{size}"
        )
    failure = report["failure"] or {"message": target.detail}
    if failure.get("stage") == "convert":
        return f"{failure['frame'] or 'tf2onnx'} raises {failure['error']}: {failure['message'][:200]}"
    return f"ONNX Runtime refuses what {makers} makes of it at every optimization level: {failure['message'][:200]}"
