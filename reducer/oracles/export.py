"""The oracle for PyTorch exports: a candidate must fail at the same step in the same way (architecture.md section 5).

A signature of a conversion is (step, innermost exception, innermost frame of the exporter, target); of a runtime as
for ONNX; of a difference its kind.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from reducer.engine.verdict import Judgement, Verdict
from reducer.frontends.torch import TorchModel
from reducer.oracles.mismatch import GROSS, STILL_GROSS
from reducer.programs.base import NodeId
from reducer.programs.fx import FxProgram
from reducer.signature import NEVER_A_MATCH, FailureSignature, Vocabulary, normalise

Report = Mapping[str, Any]
CONVERT = ("capture", "decompose", "translate", "optimize", "legacy export")
# The path of the whole model among its modules.
WHOLE = ""
# Steps whose innermost exception says too little by its frame: the words count, too.
WORDY = ("capture", "legacy export", "optimize")


def stage_of(step: str) -> str:
    """The rung of the ladder that a step belongs to."""
    return "convert" if step in CONVERT else step


def signature_of(report: Report, exporter: str) -> FailureSignature:
    """The identity of a failure that the worker reported."""
    step = str(report["step"])
    stage = stage_of(step)
    backend = f"torch.onnx.export ({exporter})" if stage in ("convert", "compare") else "onnxruntime"
    if violent := report.get("died") or (report.get("hung") and "hang"):
        return FailureSignature(stage, backend, str(violent), f"{violent} in {backend} during {step}")
    kind = str(report["error"])
    if stage == "compare":
        return FailureSignature(stage, backend, kind, f"{kind} differs from torch eager")
    if stage == "convert":
        words = normalise(_first_line(report), Vocabulary()) if step in WORDY else ""
        parts = [step, str(report["target"]), f"in {report['frame']}" if report.get("frame") else "", words]
        return FailureSignature(stage, backend, kind, ": ".join(part for part in parts if part))
    names = Vocabulary(frozenset(report.get("names", ())), frozenset(report.get("op_types", ())))
    return FailureSignature(stage, backend, kind, normalise(str(report["message"]), names))


def _first_line(report: Report) -> str:
    lines = str(report["message"]).strip().splitlines()
    return lines[0] if lines else ""


class ExportOracle:
    """INTERESTING when a candidate has the target's signature. `through`: direct (private, fast) or public.

    `calls` counts candidates that were really run, those of sweeps too; each is run once.
    """

    def __init__(self, model: TorchModel, target: Report, level: str, through: str) -> None:
        self.model, self.report, self.level, self.through = model, target, level, through
        self.exporter = str(model.subject["exporter"])
        self.target = signature_of(target, self.exporter)
        self.least = STILL_GROSS if float(target.get("excess") or 0.0) > GROSS else 1.0
        self.swept, self.sweep_seconds = 0, 0.0
        self.others: dict[str, tuple[str, FxProgram]] = {}
        self._seen: dict[str, Report] = {}

    def judge(self, program: FxProgram) -> Judgement:
        """The verdict on a candidate, run in a process forked from a worker that holds the graph."""
        if program.key() not in self._seen:
            self._seen[program.key()] = self.model.judge([program.order()], self._how())[0]
        return self._noted(program, self.verdict(self._seen[program.key()]))

    def _noted(self, program: FxProgram, judgement: Judgement) -> Judgement:
        """Remember what fails otherwise: the smallest program of every other signature."""
        if judgement.verdict is Verdict.SLIPPED:
            known = self.others.get(judgement.signature)
            if known is None or len(program.keep) < len(known[1].keep):
                self.others[judgement.signature] = (judgement.reason, program)
        return judgement

    def sweep(self, program: FxProgram) -> list[NodeId]:
        """The nodes that fail alone in the same way, in program order: one run each."""
        alone = [program.restrict(frozenset({node}), {}) for node in program.units()]
        fresh = [candidate for candidate in alone if candidate.key() not in self._seen]
        started = time.perf_counter()
        reports = self.model.judge([candidate.order() for candidate in fresh], self._how())
        self.sweep_seconds += time.perf_counter() - started
        self._seen.update({c.key(): report for c, report in zip(fresh, reports, strict=True)})
        self.swept += len(fresh)
        verdicts = [(c.units()[0], self._noted(c, self.verdict(self._seen[c.key()])).verdict) for c in alone]
        return [node for node, verdict in verdicts if verdict is Verdict.INTERESTING]

    def seen(self, program: FxProgram) -> Report | None:
        """What a candidate that was run did."""
        return self._seen.get(program.key())

    def _how(self) -> dict[str, Any]:
        return {"level": self.level, "through": self.through, "upto": self.report["step"]}

    def outdated(self, judgement: Judgement) -> bool:
        """Never: the limit of a candidate does not change during a run."""
        return False

    def verdict(self, report: Report) -> Judgement:
        """The verdict that a report amounts to."""
        if "invalid" in report:
            return Judgement(Verdict.INVALID, reason=str(report["invalid"]))
        if "fault" in report:
            return Judgement(Verdict.UNRESOLVED, reason=str(report["fault"])[-600:])
        if report.get("hung") and self.target.kind != "hang":
            return Judgement(Verdict.UNRESOLVED, reason="no answer in time")
        if report.get("died") or report.get("hung"):
            report = {**report, "step": report.get("at") or self.report["step"]}
        if not report["step"]:
            return Judgement(Verdict.PASSED)
        if report.get("error") in NEVER_A_MATCH:
            return Judgement(Verdict.UNRESOLVED, reason=str(report.get("message")))
        found = signature_of(report, self.exporter)
        if found != self.target:
            return Judgement(Verdict.SLIPPED, found.id, reason=f"{found.kind}: {found.detail}")
        if found.stage == "compare" and float(report["excess"]) < self.least:
            return Judgement(Verdict.UNRESOLVED, found.id, reason="the difference is near the tolerance")
        return Judgement(Verdict.INTERESTING, found.id)


def nodes_of(program: FxProgram, report: Report) -> Sequence[NodeId]:
    """The nodes that a report names: by node, as the source or one of its sub-graphs calls it, then by target."""
    name, target = report.get("node") or "", report.get("target") or ""
    bare = target.replace("::", ".").removesuffix(".default")
    found = [n.id for n in program.kept if name and (n.name == name or name in n.inner)]
    found += [n.id for n in program.kept if bare and (n.target == target or n.target.startswith(f"{bare}."))]
    return list(dict.fromkeys(found))
