"""Facts of a run on a TensorFlow source, as the finding carries them: the source, its ladder, its failure, the search.

They are what the source showed and what the search counted; nothing is run here but the question for versions.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

from reducer.engine.problem import Problem
from reducer.finding import Failure, Rung, SearchFacts, SignatureFacts, Source
from reducer.frontends.tensorflow import TensorFlowSource
from reducer.oracles.conversion import ConversionOracle, Observed
from reducer.reproducing_tf import Reproduced
from reducer.worker.host import Host
from reducer.worker.protocol import DIED, OUT_OF_MEMORY, RETURNED, TIMED_OUT, Call
from reducer.workspace import Workspace

VERSIONS = "reducer.worker.tasks:versions"
MODULES = ("tf2onnx", "tensorflow", "keras", "onnx", "onnxruntime", "numpy")


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


def failure_of(observed: Observed, oracle: ConversionOracle, found: Reproduced) -> Failure:
    """The failure that was reduced, in the words and numbers of the reduced model where it was run once more."""
    target = oracle.target
    facts = SignatureFacts(target.id, target.kind, target.detail)
    report = observed.reply.get("report") or {}
    difference = found.report.get("difference") or report.get("difference")
    if difference is not None:
        symptom = {"shape": "wrong_shape", "dtype": "wrong_type", "nan": "nan_or_inf", "inf": "nan_or_inf"}
        size = f" by up to {difference['abs']:.4g}" if difference.get("abs") is not None else ""
        text = (
            f"output {difference['output']!r}: the converted model and TensorFlow differ in {difference['kind']}{size}"
        )
        rtol, atol = oracle.tolerance.of("float32")
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
    if observed.died is not None:
        symptoms = {"hang": "hang", "out_of_memory": "out_of_memory"}
        return Failure(target.stage, symptoms.get(target.kind, "signal"), facts, target.detail, target.backend)
    return Failure(target.stage, "exception", facts, found.message or target.detail, target.backend)


def search_facts(problem: Problem[Any], status: str, workspace: Workspace, nodes: int) -> SearchFacts:
    """How the reduction went, from that many nodes."""
    return SearchFacts(
        oracle_calls=problem.calls + problem.speculated,
        seconds=round(problem.seconds, 4),
        seconds_in_oracle=round(problem.oracle_seconds, 4),
        complete=status == "reduced",
        cache_hits=problem.cache_hits,
        workers=problem.budget.jobs,
        passes=tuple(
            {"pass": name, "calls": tries, "successes": problem.successes[name]}
            for name, tries in problem.tries.items()
        ),
        also_found=workspace.others,
        curve=((0, nodes), *workspace.curve),
    )
