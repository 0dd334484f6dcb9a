"""The end of a run: gather suspects and facts, write data files, make the Finding."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from reducer import __version__, publishing, registry
from reducer.contrast import contrast_of
from reducer.custom_ops import libraries_in
from reducer.engine.problem import Problem
from reducer.engine.reducer import is_one_minimal
from reducer.explaining import Explanation, explain
from reducer.finding import (
    Artifact,
    Failure,
    Finding,
    Reduced,
    Rung,
    SearchFacts,
    SignatureFacts,
    Source,
)
from reducer.frontends.subject import Subject
from reducer.localizers.base import Evidence
from reducer.neighbourhood import neighbourhood, reduced_graph
from reducer.observation import DIED, FAILED, HUNG, OUT_OF_MEMORY, PASSED, SKIPPED, Difference
from reducer.oracles.command import CommandOracle
from reducer.oracles.confirm import confirmations
from reducer.oracles.crash import CrashOracle
from reducer.oracles.flaky import Rate
from reducer.oracles.ladder import Aim, Ladder, Plan, all_agree, outcome_of_compare, told_of
from reducer.oracles.mismatch import MismatchOracle
from reducer.oracles.nan import NanOracle
from reducer.oracles.prober import Prober
from reducer.oracles.trial import Trials
from reducer.passes.drop_node import DropNode
from reducer.programs.onnx import OnnxProgram
from reducer.publishing import Edition, Wish
from reducer.reproducing import copy_libraries, reproduction, reproduction_facts, write_data
from reducer.saving import files_of, save_model
from reducer.search_facts import search_facts
from reducer.signature import FailureSignature
from reducer.systems import module_of, opening_rung
from reducer.taxonomy import Known, classify
from reducer.worker.protocol import RETURNED, Call
from reducer.workspace import LOG, MODEL, Workspace

# Fails only with every optimizer pass but the culprits switched off.
ALONE = "private/culprits_only.onnx"
VERSIONS = "reducer.worker.tasks:versions"


@dataclass(frozen=True)
class Conclusion:
    """Everything that the end of a run has to work with."""

    subject: Subject
    oracle: CrashOracle | MismatchOracle | NanOracle | CommandOracle
    aim: Aim
    ladder: Ladder
    plan: Plan
    message: str
    problem: Problem[OnnxProgram]
    status: str
    confirmed: Rate
    final: Edition[CrashOracle | MismatchOracle | NanOracle | CommandOracle]
    wish: Wish

    @property
    def signature(self) -> FailureSignature:
        """The signature that was reduced."""
        assert self.oracle.target is not None
        return self.oracle.target


def nothing_found(subject: Subject, ladder: Ladder, plan: Plan, prober: Prober) -> Finding:
    """The finding of a model that does not fail: which rungs passed, with the largest difference seen."""
    return Finding(
        __version__,
        "not_reproduced",
        source_of(subject),
        None,
        None,
        SearchFacts(0, 0.0, 0.0, True),
        environment(prober, plan),
        rungs(ladder, environment(prober, plan)),
    )


def conclude(end: Conclusion, prober: Prober, workspace: Workspace) -> Finding:
    """Locate, write inputs and expected values, and say it all."""
    search = search_facts(end.problem, end.subject.program, workspace, end.status)  # before anything else takes time
    why = _better(end, _explain(end, prober), workspace, prober)
    for fault in why.faults:
        workspace.log({"event": "localizer_fault", "fault": fault})
    minimal, final = _one_minimal(end), end.final
    if why.smaller is not None:  # it may have become the best
        final = publishing.final_edition(end.problem, end.oracle, prober, end.wish)[0]
    best, oracle = final.form.program, final.oracle
    saved = files_of(workspace.write(MODEL, partial(save_model, best)))
    found = reproduction_facts(oracle, best, prober)
    files = write_data(workspace, best, prober, found)
    text, repro = reproduction(oracle, best, prober, found)
    files += publishing.write_names(workspace, final.form.names, MODEL)
    contrast, extra = contrast_of(end.problem, final, workspace)
    beside = [Artifact("other", file.name) for file in saved[1:]] + list(extra)
    beside += copy_libraries(workspace, libraries_in(end.plan.extra))
    beside += [Artifact("other", passes.alone) for passes in why.optimizers if passes.alone]
    facts = environment(prober, end.plan)
    reduced = Reduced(
        path=MODEL,
        nodes=len(best.nodes()),
        bytes=sum(file.stat().st_size for file in saved),
        op_types=dict(Counter(ref.op_type for ref in best.nodes())),
        one_minimal=minimal,
        reproduced=str(end.confirmed),
        text=text,
        canonical_sha256=final.form.sha256,
        original_values=publishing.original_values(best, end.aim, end.wish),
        graph=reduced_graph(best),
    )
    finding = Finding(
        tool_version=__version__,
        status=end.status,
        source=source_of(end.subject),
        failure=_failure(end, found.difference),
        reduced=reduced,
        search=search,
        environment=facts,
        ladder=rungs(end.ladder, facts) if end.ladder.observations else (_command_rung(end),),
        reproduction=repro,
        artifacts=(Artifact("reduced_model", MODEL), *beside, *files, Artifact("trace", LOG)),
        contrast=contrast,
        names=publishing.names_of(end.subject.program, final.form),
        neighbourhood=neighbourhood(end.subject.program, end.problem.best),
    )
    return _explained(finding, why)


def _explained(finding: Finding, why: Explanation) -> Finding:
    """The finding with what the localizers found out."""
    assert finding.failure is not None
    return replace(
        finding,
        suspects=why.suspects,
        optimizers=why.optimizers,
        neighbours=why.neighbours,
        shapes=why.shapes,
        difference=why.difference,
        taxonomy=classify(Known(finding.failure, why.suspects, why.symptoms, why.difference)),
        tracker=why.routing.tracker,
        tracker_why=why.routing.why or None,
    )


def source_of(subject: Subject) -> Source:
    """Facts of the source model."""
    return Source(
        kind="onnx",
        path=str(subject.path),
        nodes=subject.nodes,
        bytes=subject.size,
        sha256=subject.sha256,
        producer=subject.producer or None,
        inputs="given" if subject.own_inputs else "generated",
        opsets={domain or "ai.onnx": version for domain, version in subject.opsets.items()},
    )


def environment(prober: Prober, plan: Plan | None = None) -> dict[str, Any]:
    """Versions of what matters, asked of the worker that ran it."""
    found: Mapping[str, Any] = {}
    modules = dict.fromkeys(("onnx", "onnxruntime", "numpy", *((module_of(plan.system),) if plan else ())))
    packages = list(prober.host.options.packages)
    call = Call(VERSIONS, {"modules": list(modules), "packages": packages}, (), 60.0)
    answer = prober.host.call(call)
    if answer.outcome == RETURNED:
        found = answer.value["versions"]
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "os": platform.system(),
        "os_version": _os_version(),
        "arch": platform.machine(),
    }
    facts.update((name, version) for name, version in found.items() if version)
    if packages:  # what one has to install to see it
        facts["requirements"] = [f"{name}=={facts[name]}" for name in packages if name in facts]
    return facts


def _os_version() -> str:
    """The distribution's name, or what the platform calls itself; no host name in either."""
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return f"{platform.system()} {platform.release()}"


def rungs(ladder: Ladder, facts: Mapping[str, Any]) -> tuple[Rung, ...]:
    """The ladder as the finding tells it; a runtime that ran has passed its load rung too."""
    told: list[Rung] = []
    for seen in ladder.observations:
        backend = f"{seen.probe.label} {facts.get(module_of(seen.probe.backend), '')}".strip()
        outcome = seen.outcome if seen.outcome in (PASSED, FAILED, DIED, HUNG, OUT_OF_MEMORY) else SKIPPED
        if seen.stage == "run":
            told.append(Rung(opening_rung(seen.probe.backend), backend, PASSED))
        told.append(Rung(seen.stage, backend, outcome, seen.message.strip()[:600] or seen.signal or None, seen.seconds))
    outcome, message = outcome_of_compare(ladder)
    told.append(Rung("compare", "all witnesses that ran", outcome, message))
    return tuple(told)


def _command_rung(end: Conclusion) -> Rung:
    assert isinstance(end.oracle, CommandOracle)
    return Rung("command", Path(end.oracle.check.command[0]).name, FAILED, end.message[-600:])


def _failure(end: Conclusion, shown: Difference | None) -> Failure:
    """The failure; `shown` is the difference that the reduced model shows. Its size is told, the output as the source
    calls it."""
    signature = end.signature
    facts = SignatureFacts(signature.id, signature.kind, signature.detail)
    if end.aim.dispute is not None:
        first = end.aim.dispute.difference
        d = replace(shown, output=first.output) if shown is not None and shown.kind == first.kind else first
        symptom = {"shape": "wrong_shape", "dtype": "wrong_type", "nan": "nan_or_inf", "inf": "nan_or_inf"}
        rtol, atol = end.oracle.prober.tolerance.of("float32") if isinstance(end.oracle, MismatchOracle) else (0, 0)
        return Failure(
            "compare",
            symptom.get(d.kind, "wrong_output"),
            facts,
            told_of(replace(end.aim.dispute, difference=d), end.ladder),
            d.a.backend,
            d.output,
            d.max_abs,
            d.max_rel,
            None if all_agree(end.aim.dispute, end.ladder) else end.aim.dispute.odd,
            f"rtol {rtol:g}, atol {atol:g} (float32)",
        )
    if end.aim.nan is not None:
        output = end.aim.nan.nan_outputs[0]
        return Failure(
            "compare",
            "nan_or_inf",
            facts,
            f"output {output!r} holds NaN although all inputs are finite",
            end.aim.nan.probe.label,
            output,
        )
    if end.aim.observation is None:
        return Failure("command", "command", facts, end.message, "command")
    seen = end.aim.observation
    symptom_of = {FAILED: "exception", DIED: "signal", HUNG: "hang", OUT_OF_MEMORY: "out_of_memory"}
    message = seen.message or signature.detail
    return Failure(seen.stage, symptom_of[seen.outcome], facts, message, seen.probe.label)


def _one_minimal(end: Conclusion) -> bool:
    best = end.problem.best
    if end.status != "reduced" or any(record.body or record.calls for record in best.records):
        return False  # nodes inside bodies and functions were not tried one by one
    if len(best.keep) == 1:
        return True
    return is_one_minimal(end.problem, (edit.apply(best) for edit in DropNode().propose(best)))


def _better(end: Conclusion, why: Explanation, workspace: Workspace, prober: Prober) -> Explanation:
    """A smaller model that also fails with the user's settings becomes the result; another is kept beside it."""
    if why.smaller is None:
        return why
    times = end.confirmed.tried if end.confirmed.stable else 0
    if times and confirmations(end.oracle, why.smaller.program, times) == times:
        end.problem.best = why.smaller.program
        return _explain(end, prober)
    workspace.write(ALONE, partial(save_model, why.smaller.program))
    return why.with_alone(ALONE)


def _explain(end: Conclusion, prober: Prober) -> Explanation:
    """What all localizers say of the reduced model, and whose bug it is."""
    # Of a failure that comes and goes, one run that passes says nothing.
    can_try = end.confirmed.stable and not isinstance(end.oracle, CommandOracle)
    trials = Trials(end.oracle, prober) if can_try else None
    subject, best = end.subject, end.problem.best
    aim, ladder = end.aim, end.ladder
    evidence = Evidence(subject.program, best, aim, end.message, end.plan, ladder, prober, subject.opsets, None, trials)
    return explain(evidence, registry.localizers(), subject.producer)
