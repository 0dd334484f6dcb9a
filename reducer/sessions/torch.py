"""The data path of a run on a PyTorch model, from settings to a Finding (architecture.md section 5)."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from reducer.engine.problem import Budget, Problem
from reducer.errors import UsageError
from reducer.finding import Finding
from reducer.frontends.torch import TorchModel, output_stem, subject_of
from reducer.oracles.export import ExportOracle
from reducer.programs.fx import FxProgram, FxTable
from reducer.recording import Recorder
from reducer.sessions.base import Session
from reducer.torch_case import TorchCase
from reducer.torch_conclusion import Reduction, conclude, nothing_found
from reducer.torch_modules import ModuleSearch
from reducer.torch_onnx import with_onnx_level
from reducer.torch_reduction import FxReduction
from reducer.workspace import Workspace

BEST = "best.json"
CAPTURED, DECOMPOSED = "captured", "decomposed"


class TorchSession(Session):
    """One run on one PyTorch model."""

    kind: ClassVar[str] = "torch"

    def run(self) -> Finding:
        """The whole data path. The finding's status says how it ended; files lie in `workspace`."""
        settings = self.settings
        self._refuse()
        subject = subject_of(self.target, settings)
        folder = settings.output_folder(output_stem(self.target))
        self.workspace = Workspace(folder, force=settings.force)
        model = TorchModel(self.host, subject, settings.timeout or 60.0)
        self._say("loading the model and climbing the stage ladder")
        model.open()
        failure = model.facts["failure"]
        case = TorchCase(self.target, model, self.workspace, self._say)
        if failure is None:
            return nothing_found(case)
        if model.facts["captured"] and failure["step"] != "capture" and failure.get("blame") != "capture":
            found = self._graph(case, failure)
            if found is not None:
                return with_onnx_level(case, found, settings)
        return ModuleSearch(case, failure).run()

    def _refuse(self) -> None:
        """Raise UsageError for options that say nothing of a PyTorch model."""
        settings = self.settings
        if settings.resume:
            raise UsageError("--resume is for ONNX models so far", "run it anew; --force replaces the output folder")
        named = (("--check", settings.check), ("--inputs", settings.inputs), ("--expected", settings.expected))
        for option, value in (*named, ("--stage", settings.stage)):
            if value:
                raise UsageError(
                    f"{option} is for ONNX models, not for {self.target}",
                    "a PyTorch file says its inputs in get_inputs(); what torch computes is what is expected",
                )

    def _graph(self, case: TorchCase, failure: dict[str, Any]) -> Finding | None:
        """Reduce the FX graph; None when the failure does not survive being cut loose."""
        legacy = case.exporter == "legacy"
        self._say("recording the value of every node")
        level = CAPTURED if legacy or failure["step"] == "decompose" else DECOMPOSED
        table, private = case.model.table(level)
        if private and not legacy:
            finding = self._concluded(case, failure, table, "direct")
            if finding is not None:
                return finding
            self._say("that does not hold through the public API: searching with the public API alone")
        # What goes wrong in the decomposition is not seen in its result.
        captured = table if level == CAPTURED else case.model.table(CAPTURED)[0]
        return self._concluded(case, failure, captured, "public")

    def _concluded(self, case: TorchCase, failure: dict[str, Any], table: FxTable, through: str) -> Finding | None:
        reduction = self._reduced(case, failure, table, through)
        return conclude(case, reduction) if reduction is not None else None

    def _reduced(self, case: TorchCase, failure: dict[str, Any], table: FxTable, through: str) -> Reduction | None:
        oracle = ExportOracle(case.model, failure, table.level, through)
        # What differs by design must not be compared: its values stay as they were recorded.
        random = frozenset(n.id for n in table.nodes if n.random) if failure["step"] == "compare" else frozenset()
        start = FxProgram.of(table, frozen=random)
        if not start.keep:
            return None
        settings = self.settings
        budget = Budget(settings.budget_calls, settings.budget_seconds, max(1, settings.jobs))
        problem: Problem[FxProgram] = Problem(start, oracle, budget, self._listen(case))
        search = FxReduction(oracle, problem, settings, self._say)
        return Reduction(oracle, problem, search.status, search.minimal) if search.run() else None

    def _listen(self, case: TorchCase) -> Recorder:
        def write(program: FxProgram) -> bytes:
            return json.dumps({"level": program.table.level, **program.order()}).encode()

        return Recorder(case.workspace, self._tell, self._say, BEST, write, lambda _: False)
