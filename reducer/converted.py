"""The end of a run on a TensorFlow source: confirm, locate, write data files, make the Finding (steps 9 and 10)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from reducer import __version__
from reducer.conversion_facts import environment, failure_of, rungs, search_facts, source_of
from reducer.engine.problem import Problem
from reducer.engine.reducer import is_one_minimal
from reducer.engine.verdict import Verdict
from reducer.finding import Artifact, Failure, Finding, Reduced, SearchFacts, SignatureFacts, Suspect
from reducer.frontends.tensorflow import TensorFlowSource
from reducer.localizers.conversion_axes import Explained, explain, explain_entry
from reducer.neighbourhood import around, kept_of
from reducer.oracles.conversion import ConversionOracle, Observed
from reducer.oracles.conversion_signature import UNSUPPORTED, cause_of
from reducer.passes.graphdef_drop import DropNodes
from reducer.passes.keras_drop import DropLayers
from reducer.programs.graphdef import GraphProgram
from reducer.publishing import write_names
from reducer.reproducing_tf import Reproduced, reproduced, reproduced_layers
from reducer.reproducing_tflite import reproduced_tflite
from reducer.worker.host import Host
from reducer.workspace import EXPECTED, INPUTS, LOG, Workspace

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
    keep_names: bool = False


@dataclass(frozen=True)
class Manner:
    """What differs between a part of a graph and a list of Keras layers: how it is shown, explained, found minimal, and
    how many nodes the source has (None: as it said itself)."""

    shown: Callable[[ConversionOracle, Any], Reproduced]
    explained: Callable[[ConversionOracle, Any, Reproduced, Mapping[str, Any]], Explained]
    minimal: Callable[[Problem[Any]], bool]
    whole: Callable[[Any], int | None]


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


def conclude(end: Converted, workspace: Workspace, manner: Manner) -> Finding:
    """Confirm, locate, write inputs and expected values, and say it all."""
    best, oracle = end.problem.best, end.oracle
    source = source_of(end.source, end.observed)
    source = replace(source, nodes=manner.whole(best) or source.nodes)
    search = search_facts(end.problem, end.status, workspace, source.nodes)  # before anything else takes time
    facts = environment(oracle.host)
    named, confirmed = _nameless(end)
    found = manner.shown(oracle, named)
    path = workspace.write(end.path, found.graph or oracle.written(named))
    # Nodes are found by the names that messages hold.
    explained = manner.explained(oracle, best, manner.shown(oracle, best) if named is not best else found, facts)
    return Finding(
        tool_version=__version__,
        status=end.status if confirmed == TIMES or end.status != "reduced" else "flaky",
        source=source,
        failure=failure_of(end.observed, oracle, found),
        reduced=Reduced(
            path=end.path,
            nodes=len(best.nodes()),
            bytes=path.stat().st_size,
            op_types=dict(Counter(ref.op_type for ref in best.nodes())),
            one_minimal=end.status == "reduced" and manner.minimal(end.problem),
            reproduced=f"{confirmed}/{TIMES}",
            text=found.code,
            graph=kept_of(best.drawing, found.names),
        ),
        search=search,
        environment=facts,
        ladder=rungs(end.observed, facts),
        suspects=explained.suspects,
        reproduction=found.reproduction,
        artifacts=(Artifact("reduced_model", end.path), *_files(workspace, found, end.path), Artifact("trace", LOG)),
        neighbours=explained.neighbours,
        optimizers=explained.optimizers,
        difference=found.difference,
        neighbourhood=around(best.drawing),
        names=found.names,
        tracker=tracker_of(oracle, explained),
    )


def _nameless(end: Converted) -> tuple[Any, int]:
    """(the result under names that tell nothing of the source where it then fails in the same way, else as it is; in
    how many fresh processes it fails)."""
    best, oracle = end.problem.best, end.oracle
    if isinstance(best, GraphProgram) and not end.keep_names:
        plain = replace(best, renamed=True)
        confirmed = confirmations(oracle, plain)
        if confirmed == TIMES:
            return plain, confirmed
    return best, confirmations(oracle, best)


def _no_node_goes(problem: Problem[Any]) -> bool:
    best = problem.best
    if len(best.nodes()) != len(best.keep):
        return False  # nodes that are glued together, or lie in functions, were not tried one by one
    if len(best.keep) == 1:
        return True
    return is_one_minimal(problem, (edit.apply(best) for edit in DropNodes().propose(best)))


def _no_layer_goes(problem: Problem[Any]) -> bool:
    best = problem.best
    if len(best.keep) == 1:
        return True
    return is_one_minimal(problem, (edit.apply(best) for edit in DropLayers().propose(best)))


GRAPH = Manner(
    reproduced,
    lambda oracle, best, found, facts: explain(oracle, best, (found.report, found.model), facts),
    _no_node_goes,
    lambda best: None,
)
TFLITE = replace(GRAPH, shown=reproduced_tflite)
# A Keras model that only an entry point cannot convert.
LAYERS = Manner(
    reproduced_layers,
    lambda oracle, best, found, facts: explain_entry(oracle, best, found.report),
    _no_layer_goes,
    lambda best: len(best.table.layers),
)


def entry_at_fault(source: TensorFlowSource, observed: Observed, oracle: ConversionOracle) -> Finding:
    """The finding when the entry point fails on its own and nothing can be cut: what is known, and no artifacts."""
    facts = environment(oracle.host)
    target = oracle.target
    report = observed.reply.get("report") or {}
    graph = observed.reply.get("graph")
    text = f"{'the frozen graph does not show it' if graph else 'there is no graph to cut'}: {target.detail}"
    extra = len((graph or {}).get("inputs", ())) - len(observed.reply.get("inputs", ()))
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


def _files(workspace: Workspace, found: Reproduced, path: str) -> tuple[Artifact, ...]:
    written = list(write_names(workspace, found.names, path))
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
