"""The search where there is no graph, or a wrong one: down the tree of the user's modules, into those that fail in the
same way with the inputs that they got (steps 6 to 10 for a failure of torch.export).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reducer import __version__
from reducer.finding import Artifact, Finding, Reduced, SearchFacts, Suspect
from reducer.localizers.export import module_suspects, step_suspect
from reducer.oracles.export import WHOLE, signature_of, stage_of
from reducer.signature import FailureSignature
from reducer.torch_case import TorchCase, shown
from reducer.torch_conclusion import (
    TIMES,
    confirmations,
    difference_of,
    environment,
    failure_of,
    files_of,
    rungs,
    source_of,
)
from reducer.torch_reproducing import reproduction
from reducer.workspace import INPUTS, LOG

Report = Mapping[str, Any]
# How a module can be written without all of the user's file: made anew, or by what of the file makes the model.
SHORT_FORMS = ("anew", "needed")


@dataclass
class ModuleSearch:
    """One descent. `path` is the module that is left, "" for the whole model."""

    case: TorchCase
    failure: Report
    calls: int = 0
    path: str = ""
    kind: str = ""
    seen: Report = field(default_factory=dict)
    minimal: bool = False

    def run(self) -> Finding:
        """Descend, prove, and say it all."""
        started = time.perf_counter()
        status = "reduced"
        try:
            self._descend()
        except KeyboardInterrupt:
            status = "interrupted"
        spent = time.perf_counter() - started
        return self._finding(status, spent)

    @property
    def _way(self) -> str:
        """How a module is judged: by the step that failed, or by all of the exporter."""
        if self.failure["step"] == "capture":
            return "capture"
        return "graph" if self.failure.get("blame") == "capture" else "public"

    def _descend(self) -> None:
        model = self.case.model
        rows = {row["name"]: row for row in model.ask("modules", {})["modules"]}
        self.kind = rows[""]["kind"]
        self.case.say("descending into the modules that fail alone")
        target = self._identity(self.failure)
        self.seen = self._judged([""])[0]
        while children := rows[self.path]["children"]:
            for name, report in zip(children, self._judged(children), strict=True):
                if report.get("step") and self._identity(report) == target:
                    self.path, self.kind, self.seen = name, rows[name]["kind"], report
                    break
            else:
                break
        self.minimal = True

    def _judged(self, names: list[str]) -> list[Report]:
        arguments = {"names": names, "way": self._way, "seconds": self.case.model.seconds}
        reports: list[Report] = self.case.model.ask("judge_modules", arguments)["reports"]
        self.calls += len(names)
        for name, report in zip(names, reports, strict=True):
            verdict = report.get("step") or ("fault" if "fault" in report else "passed")
            record = {"call": self.calls, "pass": "modules", "module": name, "verdict": verdict}
            self.case.workspace.log({**record, "reason": str(report.get("message", report.get("fault", "")))[:300]})
        return reports

    def _identity(self, report: Report) -> FailureSignature:
        return signature_of(report, self.case.exporter)

    def _finding(self, status: str, seconds: float) -> Finding:
        case, target = self.case, self._identity(self.failure)
        text, reports = self._proven(target)
        same = [r["report"] for r in reports if self._same(r["report"], target)]
        if reports and len(same) < TIMES and status == "reduced":
            status = "flaky"
        facts = environment(case)
        path, size, files = files_of(case, text, None)
        return Finding(
            tool_version=__version__,
            status=status,
            source=source_of(case),
            failure=failure_of(case, target, same[0] if same else None),
            reduced=Reduced(
                path, 1, size, {self.kind: 1}, self.minimal, f"{len(same)}/{len(reports) or TIMES}", shown(text)
            ),
            search=SearchFacts(self.calls, round(seconds, 4), round(seconds, 4), complete=status == "reduced"),
            environment=facts,
            ladder=rungs(case, facts),
            suspects=self._suspects(),
            reproduction=reproduction(case, target, same[0], text) if same else None,
            difference=difference_of(same[0]) if same else None,
            artifacts=(*files, Artifact("trace", LOG)),
        )

    def _proven(self, target: FailureSignature) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The text of the module that is left, or of the whole model when that alone shows it, with its proofs."""
        why = "no text of this module shows the failure"
        for path in dict.fromkeys((self.path, WHOLE)):
            sizes = {form: self._written(path, "seeded", form) for form in SHORT_FORMS}
            why = str(sizes[SHORT_FORMS[-1]].get("unwritable", why))
            short = sorted((f for f in sizes if "unwritable" not in sizes[f]), key=lambda f: len(shown(sizes[f])))
            ways = [(form, kind) for form in short for kind in ("seeded", "recorded")]
            for form, kind in [*ways, ("entire", "recorded")] if short else []:
                text = self._written(path, kind, form)
                first = self.case.model.verify(text, {})
                if self._same(first["report"], target):
                    return text, [first, *confirmations(self.case, text, None, TIMES - 1)]
        return {"source": f"# {why}", "imports": [], "inputs": [], "npz": None}, []

    def _written(self, path: str, kind: str, form: str) -> dict[str, Any]:
        npz = self.case.workspace.folder / INPUTS
        npz.unlink(missing_ok=True)
        text = self.case.model.ask("write_module", {"name": path, "kind": kind, "form": form, "npz": str(npz)})
        strict = bool(self.case.model.subject.get("strict")) and self._way != "public"
        return {**text, "strict": strict, "npz": str(npz) if npz.exists() else None}

    def _same(self, report: Report, target: FailureSignature) -> bool:
        """By step, class and words: the frames in between are those of the wrapper, too."""
        if "invalid" in report or not report.get("step"):
            return False
        return stage_of(str(report["step"])) == target.stage and self._identity(report) == target

    def _suspects(self) -> tuple[Suspect, ...]:
        seen = {**self.failure, **self.seen}
        return (
            *module_suspects(self.path, self.kind, seen, self.case.exporter),
            step_suspect(self.failure, self.case.exporter),
        )
