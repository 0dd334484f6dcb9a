"""The end of a run on a TensorFlow source: confirm, locate, write data files, make the Finding (steps 9 and 10)."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from reducer import __version__
from reducer.engine.problem import Problem
from reducer.engine.reducer import is_one_minimal
from reducer.engine.verdict import Verdict
from reducer.finding import (
    Artifact,
    Failure,
    Finding,
    Reduced,
    Rung,
    SearchFacts,
    SignatureFacts,
    Source,
    Suspect,
)
from reducer.frontends.tensorflow import TensorFlowSource
from reducer.localizers.conversion_axes import Explained, explain, explain_entry
from reducer.oracles.conversion import ConversionOracle, Observed
from reducer.oracles.conversion_signature import UNSUPPORTED, cause_of
from reducer.passes.graphdef_drop import DropNodes
from reducer.passes.keras_drop import DropLayers
from reducer.programs.graphdef import GraphProgram
from reducer.reproducing_tf import Reproduced, reproduced, reproduced_layers
from reducer.worker.host import Host
from reducer.worker.protocol import DIED, OUT_OF_MEMORY, RETURNED, TIMED_OUT, Call
from reducer.workspace import EXPECTED, INPUTS, LOG, Workspace

VERSIONS = "reducer.worker.tasks:versions"
MODULES = ("tf2onnx", "tensorflow", "keras", "onnx", "onnxruntime", "numpy")
TIMES = 3
# A fresh fork still imports parts of TensorFlow at its first conversion: more at once would only wait for each other.
SIDE_BY_SIDE = 2


@dataclass(frozen=True)
class Converted:
    """Everything that the end of a run has to work with. `observed` is what the source did at first."""

    source: TensorFlowSource
    observed: Observed
    oracle: ConversionOracle
    problem: Problem[Any]
    status: str
    path: str


def nothing_found(source: TensorFlowSource, observed: Observed, host: Host) -> Finding:
    """The finding of a model that converts and runs as it should: which rungs passed, the largest difference."""
    facts = environment(host)
    return Finding(
        __version__,
        "not_reproduced",
        source_of(source, observed),
        None,
        None,
        SearchFacts(0, 0.0, 0.0, True),
        facts,
        rungs(observed, facts),
    )


def conclude(end: Converted, workspace: Workspace) -> Finding:
    """Confirm, locate, write inputs and expected values, and say it all."""
    search = search_facts(end, workspace)  # before anything else takes time
    best: GraphProgram = end.problem.best
    facts = environment(end.oracle.host)
    confirmed = confirmations(end.oracle, best)
    status = end.status if confirmed == TIMES or end.status != "reduced" else "flaky"
    found = reproduced(end.oracle, best)
    path = workspace.write(end.path, found.graph or end.oracle.written(best))
    explained = explain(end.oracle, best, (found.report, found.model), facts)
    return Finding(
        tool_version=__version__,
        status=status,
        source=source_of(end.source, end.observed),
        failure=failure_of(end, found),
        reduced=Reduced(
            path=end.path,
            nodes=len(best.nodes()),
            bytes=path.stat().st_size,
            op_types=dict(Counter(ref.op_type for ref in best.nodes())),
            one_minimal=_one_minimal(end),
            reproduced=f"{confirmed}/{TIMES}",
            text=found.code,
        ),
        search=search,
        environment=facts,
        ladder=rungs(end.observed, facts),
        suspects=explained.suspects,
        reproduction=found.reproduction,
        artifacts=(Artifact("reduced_model", end.path), *_files(workspace, found), Artifact("trace", LOG)),
        neighbours=explained.neighbours,
        optimizers=explained.optimizers,
        tracker=tracker_of(end.oracle, explained),
    )


def conclude_layers(end: Converted, workspace: Workspace) -> Finding:
    """The same for a Keras model that only an entry point cannot convert."""
    search = search_facts(end, workspace)
    best, oracle = end.problem.best, end.oracle
    facts = environment(oracle.host)
    confirmed = confirmations(oracle, best)
    found = reproduced_layers(oracle, best)
    path = workspace.write(end.path, found.graph or oracle.written(best))
    explained = explain_entry(oracle, best, found.report)
    return Finding(
        tool_version=__version__,
        status=end.status if confirmed == TIMES or end.status != "reduced" else "flaky",
        source=replace(source_of(end.source, end.observed), nodes=len(best.table.layers)),
        failure=failure_of(end, found),
        reduced=Reduced(
            path=end.path,
            nodes=len(best.nodes()),
            bytes=path.stat().st_size,
            op_types=dict(Counter(ref.op_type for ref in best.nodes())),
            one_minimal=end.status == "reduced" and _no_layer_goes(end),
            reproduced=f"{confirmed}/{TIMES}",
            text=found.code,
        ),
        search=search,
        environment=facts,
        ladder=rungs(end.observed, facts),
        suspects=explained.suspects,
        reproduction=found.reproduction,
        artifacts=(Artifact("reduced_model", end.path), *_files(workspace, found), Artifact("trace", LOG)),
        neighbours=explained.neighbours,
        tracker="onnx/tensorflow-onnx",
    )


def _no_layer_goes(end: Converted) -> bool:
    best = end.problem.best
    if len(best.keep) == 1:
        return True
    return is_one_minimal(end.problem, (edit.apply(best) for edit in DropLayers().propose(best)))


def entry_at_fault(source: TensorFlowSource, observed: Observed, oracle: ConversionOracle) -> Finding:
    """The finding when the entry point fails on its own and nothing can be cut: what is known, and no artifacts."""
    facts = environment(oracle.host)
    target = oracle.target
    report = observed.reply.get("report") or {}
    text = f"the frozen graph does not show it: {target.detail}"
    extra = len((observed.reply.get("graph") or {}).get("inputs", ())) - len(observed.reply.get("inputs", ()))
    if extra > 0:
        text = f"{extra} tensors that the function captures became inputs of the converted model: {target.detail}"
    suspect = Suspect("converter", str(observed.reply.get("entry") or "entry point"), text, None, "tf2onnx")
    message = cause_of(report)["message"] or target.detail
    told = SignatureFacts(target.id, target.kind, target.detail)
    failure = Failure(target.stage, "exception", told, message, target.backend)
    nothing = nothing_found(source, observed, oracle.host)
    return replace(nothing, failure=failure, suspects=(suspect,), environment=facts, tracker="onnx/tensorflow-onnx")


def confirmations(oracle: ConversionOracle, program: Any) -> int:
    """In how many of TIMES fresh processes the public entry point fails in the same way."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        judged = list(pool.map(oracle.confirm, [program] * TIMES))
    return sum(1 for judgement in judged if judgement.verdict is Verdict.INTERESTING)


def tracker_of(oracle: ConversionOracle, explained: Explained) -> str | None:
    """Where to file: the runtime's tracker, or one of the two forms of the converter's."""
    project = next((s.project for s in explained.suspects if s.project), None)
    if project == "onnxruntime":
        return "microsoft/onnxruntime"
    return "tensorflow-onnx-operators" if oracle.target.kind == UNSUPPORTED else "onnx/tensorflow-onnx"


def _files(workspace: Workspace, found: Reproduced) -> tuple[Artifact, ...]:
    written = []
    if found.feeds:
        workspace.write_npz(INPUTS, found.feeds)
        written.append(Artifact("inputs", INPUTS))
    if found.expected:
        workspace.write_npz(EXPECTED, found.expected)
        written.append(Artifact("other", EXPECTED))
    if found.model:
        workspace.write("converted.onnx", found.model)
        written.append(Artifact("other", "converted.onnx"))
    return tuple(written)


def source_of(source: TensorFlowSource, observed: Observed) -> Source:
    """Facts of the source."""
    graph = observed.reply.get("graph") or {}
    return Source(
        kind="tensorflow",
        path=str(source.path),
        nodes=int(graph.get("nodes") or observed.reply.get("layers") or 0),
        bytes=source.nbytes,
        sha256=source.sha256,
        producer="tf2onnx",
        inputs="given" if observed.reply.get("given") else "generated",
        opsets={"ai.onnx": source.how.opset} if source.how.opset else {},
    )


def environment(host: Host) -> dict[str, Any]:
    """Versions of what matters, asked of the worker that ran it."""
    answer = host.call(Call(VERSIONS, {"modules": list(MODULES)}, (), 60.0))
    found: Mapping[str, Any] = answer.value["versions"] if answer.outcome == RETURNED else {}
    facts = {"python": platform.python_version(), "os": platform.system(), "arch": platform.machine()}
    return {**facts, **{name: version for name, version in found.items() if version}}


def rungs(observed: Observed, facts: Mapping[str, Any]) -> tuple[Rung, ...]:
    """The ladder of the source as the finding tells it."""
    if observed.died is not None:
        outcome = {TIMED_OUT: "hung", DIED: "died", OUT_OF_MEMORY: "out_of_memory"}.get(observed.died.outcome, "died")
        return (Rung(observed.died.stage or "convert", "tf2onnx", outcome, observed.died.stderr[-600:] or None),)
    told = []
    for rung in observed.reply["report"]["rungs"]:
        module = {"onnx-checker": "onnx"}.get(rung["backend"], rung["backend"])
        message = (rung["message"] or "").strip()[:600] or None
        backend = f"{rung['backend']} {facts.get(module, '')}".strip()
        told.append(Rung(rung["stage"], backend, rung["outcome"], message, rung["seconds"]))
    logged = observed.reply["report"]["log"]
    errors = [f"{u['op']} is not supported" for u in logged["unsupported"]]
    errors += [f"{e['error']}: {e['message']}" for e in logged["raised"]]
    if errors and told[0].outcome == "passed":
        told[0] = Rung("convert", told[0].backend, "passed", f"logs {len(errors)} errors: {errors[0]}"[:600])
    return tuple(told)


def failure_of(end: Converted, found: Reproduced) -> Failure:
    """The failure that was reduced, with the source's own message."""
    target = end.oracle.target
    facts = SignatureFacts(target.id, target.kind, target.detail)
    report = end.observed.reply.get("report") or {}
    difference = report.get("difference")
    if difference is not None:
        symptom = {"shape": "wrong_shape", "dtype": "wrong_type", "nan": "nan_or_inf", "inf": "nan_or_inf"}
        size = f" by up to {difference['abs']:.4g}" if difference.get("abs") is not None else ""
        text = (
            f"output {difference['output']!r}: the converted model and TensorFlow differ in {difference['kind']}{size}"
        )
        rtol, atol = end.oracle.tolerance.of("float32")
        return Failure(
            "compare",
            symptom.get(difference["kind"], "wrong_output"),
            facts,
            text,
            "tf2onnx",
            difference["output"],
            difference.get("abs"),
            difference.get("rel"),
            "the converted model",
            f"rtol {rtol:g}, atol {atol:g} (float32)",
        )
    if end.observed.died is not None:
        symptoms = {"hang": "hang", "out_of_memory": "out_of_memory"}
        return Failure(target.stage, symptoms.get(target.kind, "signal"), facts, target.detail, target.backend)
    return Failure(target.stage, "exception", facts, found.message or target.detail, target.backend)


def _one_minimal(end: Converted) -> bool:
    best = end.problem.best
    if end.status != "reduced" or len(best.nodes()) != len(best.keep):
        return False  # nodes that are glued together, or lie in functions, were not tried one by one
    if len(best.keep) == 1:
        return True
    return is_one_minimal(end.problem, (edit.apply(best) for edit in DropNodes().propose(best)))


def search_facts(end: Converted, workspace: Workspace) -> SearchFacts:
    """How the reduction went."""
    problem = end.problem
    return SearchFacts(
        oracle_calls=problem.calls + problem.speculated,
        seconds=round(problem.seconds, 4),
        seconds_in_oracle=round(problem.oracle_seconds, 4),
        complete=end.status == "reduced",
        cache_hits=problem.cache_hits,
        workers=problem.budget.jobs,
        passes=tuple(
            {"pass": name, "calls": tries, "successes": problem.successes[name]}
            for name, tries in problem.tries.items()
        ),
        also_found=workspace.others,
    )
