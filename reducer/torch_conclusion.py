"""The end of a run on a PyTorch model: the text of the result, its proof in fresh processes, suspects, the Finding."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reducer import __version__
from reducer.conclusion import VERSIONS
from reducer.difference import from_wire
from reducer.engine.problem import Problem
from reducer.engine.verdict import Verdict
from reducer.finding import (
    Artifact,
    DifferenceFacts,
    Failure,
    Finding,
    Reduced,
    Rung,
    SearchFacts,
    SignatureFacts,
    Source,
    Suspect,
)
from reducer.frontends.torch import digest
from reducer.localizers.export import node_suspects, step_suspect
from reducer.neighbourhood import around, kept_of
from reducer.oracles.export import ExportOracle, stage_of
from reducer.programs.fx import FxProgram
from reducer.signature import FailureSignature
from reducer.torch_case import Report, TorchCase, shown
from reducer.torch_reproducing import reproduction
from reducer.worker.protocol import RETURNED, Call
from reducer.workspace import ALSO, INPUTS, LOG, Workspace

TIMES = 3
PT2, TEXT = "reduced.pt2", "reduced.py"
MOST_OTHERS = 5
PACKAGES = ("torch", "onnxscript", "onnx_ir", "onnx", "onnxruntime", "numpy")
# They say something where the model uses them.
LIBRARIES = ("transformers", "torchvision", "timm", "diffusers")


@dataclass(frozen=True)
class Reduction:
    """The end of a search on the graph."""

    oracle: ExportOracle
    problem: Problem[FxProgram]
    status: str
    minimal: bool


def nothing_found(case: TorchCase) -> Finding:
    """The finding of a model that does not fail."""
    facts = environment(case)
    nothing = SearchFacts(0, 0.0, 0.0, complete=True)
    return Finding(__version__, "not_reproduced", source_of(case), None, None, nothing, facts, rungs(case, facts))


def conclude(case: TorchCase, end: Reduction) -> Finding | None:
    """Write the result down, prove it, and say it all; None when its text does not fail in the same way."""
    problem, oracle = end.problem, end.oracle
    search = _search(end, case.workspace)
    best = problem.best
    case.say("confirming the result in fresh processes")
    npz = case.workspace.folder / INPUTS
    text = case.model.write(oracle.level, best.order(), npz)
    if "unwritable" in text:
        case.say(f"the result cannot be written as a module: {text['unwritable']}")
        return None
    text["npz"] = str(npz) if npz.exists() else None
    pt2 = case.workspace.folder / PT2
    reports = confirmations(case, text, pt2)
    same = [r for r in reports if oracle.verdict(r["report"]).verdict is Verdict.INTERESTING]
    if not same:
        return None
    case.text.update(text)
    seen = same[0]["report"]
    status = end.status if len(same) == TIMES or end.status != "reduced" else "flaky"
    facts = environment(case)
    path, size, files = files_of(case, text, pt2 if any(r["saved"] for r in reports) else None)
    signature = _named(oracle.target, best)
    return Finding(
        tool_version=__version__,
        status=status,
        source=source_of(case),
        failure=failure_of(case, signature, seen),
        reduced=Reduced(
            path=path,
            nodes=len(best.keep),
            bytes=size,
            op_types=dict(Counter(node.target for node in best.kept)),
            one_minimal=end.minimal and end.status == "reduced",
            reproduced=f"{len(same)}/{TIMES}",
            text=shown(text),
            graph=kept_of(best.drawing),
        ),
        search=replace(search, also_found=_others(case, oracle)),
        environment=facts,
        ladder=rungs(case, facts),
        suspects=_suspects(case, best, oracle),
        reproduction=reproduction(case, signature, seen, text),
        difference=difference_of(seen),
        neighbourhood=around(best.drawing),
        artifacts=(*files, Artifact("trace", LOG)),
    )


def confirmations(case: TorchCase, text: Report, pt2: Path | None, times: int = TIMES) -> list[dict[str, Any]]:
    """What the text does in fresh processes through the public API; the first one saves the program as well."""

    def once(number: int) -> dict[str, Any]:
        return case.model.verify(text, {"pt2": str(pt2)} if pt2 and number == 0 else {})

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(once, range(times)))


def _named(signature: FailureSignature, best: FxProgram) -> FailureSignature:
    """A difference says nothing of the operator: the ones that are left belong to its identity."""
    if signature.stage != "compare" or len(best.keep) > 3:
        return signature
    targets = ", ".join(sorted({node.target for node in best.kept}))
    return replace(signature, detail=f"{signature.detail}: {targets}")


def files_of(case: TorchCase, text: Report, pt2: Path | None) -> tuple[str, int, tuple[Artifact, ...]]:
    """(path of the reduced model, its size, what was written): the saved program where there is one, and the text."""
    source = case.workspace.write(TEXT, shown(text) + "\n")
    inputs = (Artifact("inputs", INPUTS),) if text["npz"] else ()
    if pt2 is not None and pt2.exists():
        return PT2, pt2.stat().st_size, (Artifact("reduced_model", PT2), *inputs, Artifact("other", TEXT))
    (case.workspace.folder / PT2).unlink(missing_ok=True)
    return TEXT, source.stat().st_size, (Artifact("reduced_model", TEXT), *inputs)


def _others(case: TorchCase, oracle: ExportOracle) -> tuple[Mapping[str, Any], ...]:
    """Other failures that were met, each with the text of a candidate that shows it."""
    found = []
    for signature, (detail, program) in list(oracle.others.items())[:MOST_OTHERS]:
        written = case.model.write(oracle.level, program.order(), case.workspace.folder / "other.npz")
        (case.workspace.folder / "other.npz").unlink(missing_ok=True)
        if "unwritable" in written:
            continue
        path = f"{ALSO}/{signature}.py"
        inputs = "".join(f"# {name} = {code}\n" for name, code in written["inputs"])
        case.workspace.write(path, f"{shown(written)}\n\n\n{inputs}")
        found.append({"signature": signature, "detail": detail, "path": path})
    return tuple(found)


def _search(end: Reduction, workspace: Workspace) -> SearchFacts:
    problem = end.problem
    passes = tuple(
        {"pass": name, "calls": tries, "successes": problem.successes[name]} for name, tries in problem.tries.items()
    )
    if end.oracle.swept:
        passes = ({"pass": "every node alone", "calls": end.oracle.swept, "successes": 0}, *passes)
    return SearchFacts(
        oracle_calls=problem.calls + problem.speculated + end.oracle.swept,
        seconds=round(problem.seconds, 4),
        seconds_in_oracle=round(problem.oracle_seconds + end.oracle.sweep_seconds, 4),
        complete=end.status == "reduced",
        cache_hits=problem.cache_hits,
        workers=problem.budget.jobs,
        passes=passes,
        curve=((0, len(end.problem.best.table.nodes)), *workspace.curve),
    )


def difference_of(seen: Report) -> DifferenceFacts | None:
    """The wrong output of a proof in numbers."""
    return from_wire(seen["measured"]) if "measured" in seen else None


def _suspects(case: TorchCase, best: FxProgram, oracle: ExportOracle) -> tuple[Suspect, ...]:
    few = best.kept[:8]
    asked = case.model.ask("functions", {"level": oracle.level, "nodes": [node.id for node in few]})
    found = node_suspects(few, case.failure, asked["functions"])
    return (*found, step_suspect(case.failure, case.exporter))


def source_of(case: TorchCase) -> Source:
    """Facts of the model that was named."""
    facts, path = case.model.facts, Path(case.target)
    size = path.stat().st_size if path.is_file() else 0
    return Source(
        kind="torch",
        path=str(path) if path.is_file() else case.target,
        nodes=facts["nodes"] or facts["modules"],
        bytes=int(facts["bytes"]) or size,
        sha256=digest(case.target),
        producer=None,
        inputs="given",
    )


def failure_of(case: TorchCase, signature: FailureSignature, proof: Report | None = None) -> Failure:
    """The failure as the ladder saw it on the whole model; a difference as the proof of the result has it."""
    seen = {**case.failure, **(proof or {})} if signature.stage == "compare" else case.failure
    kind = seen.get("kind")
    symptom = {
        "value": "wrong_output",
        "shape": "wrong_shape",
        "dtype": "wrong_type",
        "nan": "nan_or_inf",
        "inf": "nan_or_inf",
    }
    violent = "signal" if seen.get("died") else "hang" if seen.get("hung") else "exception"
    output = f"output {seen['output']}" if "output" in seen else None
    rtol, atol = case.model.subject["default"]
    return Failure(
        stage_of(str(seen["step"])),
        symptom.get(str(kind), "wrong_output") if signature.stage == "compare" else violent,
        SignatureFacts(signature.id, signature.kind, signature.detail),
        str(seen.get("message") or signature.detail),
        signature.backend,
        output,
        seen.get("max_abs"),
        seen.get("max_rel"),
        {"capture": "torch.export", "exporter": "the exported model", "runtime": "onnxruntime"}.get(
            str(seen.get("blame"))
        ),
        f"rtol {rtol:g}, atol {atol:g} (float32)" if signature.stage == "compare" else None,
    )


def rungs(case: TorchCase, facts: Mapping[str, Any]) -> tuple[Rung, ...]:
    """The ladder as the finding tells it, with the notes on what makes two runs differ."""
    told = [
        Rung(stage, _versioned(backend, facts), outcome, message or None)
        for stage, backend, outcome, message in case.model.facts["rungs"]
    ]
    notes = [Rung("run", "torch eager", "passed", note) for note in case.model.facts["notes"]]
    return (*told, *notes)


def _versioned(backend: str, facts: Mapping[str, Any]) -> str:
    package = "onnxruntime" if backend.startswith("onnxruntime") else "onnx" if backend.startswith("onnx") else "torch"
    return f"{backend}, {package} {facts.get(package, '')}".strip()


def environment(case: TorchCase) -> dict[str, Any]:
    """Versions of what matters, asked of the worker that ran it."""
    asked = {"modules": list(PACKAGES), "loaded": list(LIBRARIES)}
    answer = case.model.host.call(Call(VERSIONS, asked, (), 60.0))
    found: Mapping[str, Any] = answer.value["versions"] if answer.outcome == RETURNED else {}
    facts: dict[str, Any] = {"python": platform.python_version(), "os": platform.system(), "arch": platform.machine()}
    return {**facts, **{name: version for name, version in found.items() if version}}
