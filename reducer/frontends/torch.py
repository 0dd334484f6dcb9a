"""The PyTorch front end: what the user named, as questions to the worker that holds the model (step 2).

The parent imports no torch: `TorchModel` asks, the worker (reducer/worker/pytorch) answers.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reducer.errors import ToolFault, UsageError
from reducer.programs.fx import FxInput, FxNode, FxTable
from reducer.settings import Settings
from reducer.testcase import NARROW_TOLERANCE, Tolerance
from reducer.worker.host import Host
from reducer.worker.protocol import DIED, RETURNED, TIMED_OUT, Answer, Call

TASKS = "reducer.worker.pytorch.tasks"
# Loading, capturing and exporting a model once; far above what any of the cases takes.
OPEN_SECONDS = 600.0
Report = Mapping[str, Any]


@dataclass
class TorchModel:
    """One model behind a host. `seconds` is the limit of one candidate."""

    host: Host
    subject: Mapping[str, Any]
    seconds: float = 60.0
    facts: dict[str, Any] = field(default_factory=dict)

    def open(self) -> None:
        """Load, capture and climb the ladder; `facts` then hold rungs, failure, notes, nodes, bytes, modules.

        Raises UsageError for what is no model that runs.
        """
        value = self._ask("open_model", {"seconds": self.seconds}, OPEN_SECONDS)
        if "unusable" in value:
            raise UsageError(value["unusable"], value["hint"] or "the file must run as it is: python -i FILE shows why")
        self.facts = dict(value)

    def table(self, level: str) -> tuple[FxTable, bool]:
        """(the nodes of the captured or decomposed graph, whether torch's private API can be used)."""
        value = self._ask("table", {"level": level}, OPEN_SECONDS)
        return FxTable(level, tuple(FxNode.from_wire(row) for row in value["rows"])), bool(value["private"])

    def judge(
        self, orders: Sequence[Mapping[str, Any]], how: Mapping[str, Any], *, fresh: bool = False
    ) -> list[Report]:
        """A report for every candidate of one level. how: level, through, upto."""
        arguments = {**how, "orders": list(orders), "seconds": self.seconds}
        limit = OPEN_SECONDS + self.seconds * len(orders)
        return list(self._ask("judge", arguments, limit, fresh=fresh)["reports"])

    def write(self, level: str, order: Mapping[str, Any], npz: Path) -> dict[str, Any]:
        """A candidate as text: source, imports, inputs, facts, values; or unwritable."""
        return dict(self._ask("write", {"level": level, "order": order, "npz": str(npz)}, OPEN_SECONDS))

    def boundary(self, level: str, order: Mapping[str, Any]) -> tuple[FxInput, ...]:
        """The inputs of a candidate."""
        value = self._ask("boundary", {"level": level, "order": order}, OPEN_SECONDS)
        return tuple(FxInput(name, dtype, tuple(shape)) for name, dtype, shape in value["inputs"])

    def verify(self, text: Mapping[str, Any], extra: Mapping[str, Any], *, fresh: bool = True) -> dict[str, Any]:
        """What the text of a reduced model does through the public API: {report, saved}."""
        options = {
            key: self.subject.get(key)
            for key in ("exporter", "opset", "opt_level", "provider", "tolerances", "default")
        }
        options["strict"] = bool(text.get("strict"))
        arguments = {**text, "options": options, "seconds": self.seconds, **extra}
        return dict(self._ask("verify", arguments, OPEN_SECONDS, fresh=fresh))

    def ask(self, task: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Any other task of the worker."""
        return dict(self._ask(task, arguments, OPEN_SECONDS))

    def _ask(
        self, task: str, arguments: Mapping[str, Any], seconds: float, *, fresh: bool = False
    ) -> Mapping[str, Any]:
        call = Call(f"{TASKS}:{task}", {"subject": dict(self.subject), **arguments}, (), seconds)
        answer = self.host.call(call, fresh=fresh)
        if answer.outcome == RETURNED:
            return answer.value
        raise _fault(task, answer)


def _fault(task: str, answer: Answer) -> Exception:
    if answer.outcome in (DIED, TIMED_OUT) and task == "open_model":
        how = answer.signal or answer.outcome
        return UsageError(
            f"loading or capturing the model kills its process ({how})",
            "run the file by itself: if that dies as well, it is not the export that fails",
        )
    return ToolFault(f"the worker {answer.outcome} in {task}: {answer.stderr[-1500:]}")


def subject_of(target: str, settings: Settings) -> dict[str, Any]:
    """What every question to the worker carries. Raises UsageError when torch or the file is missing."""
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("onnxscript") is None:
        raise UsageError("PyTorch or onnxscript is not installed here", 'type: pip install "onnx-reduce[torch]"')
    _check_literal(settings.dynamic_shapes)
    is_file = target.endswith((".py", ".pt2"))
    if is_file and not Path(target).is_file():
        raise UsageError(
            f"there is no file {target}", "name a .py file with get_model() and get_inputs(), or a .pt2 file"
        )
    tolerance = Tolerance(settings.rtol, settings.rtol if settings.atol is None else settings.atol)
    return {
        "target": str(Path(target).resolve()) if is_file else target,
        "cwd": os.getcwd(),
        "exporter": settings.exporter,
        "opset": settings.opset,
        "strict": settings.strict,
        "dynamic_shapes": settings.dynamic_shapes,
        "trust": settings.trust,
        "keep_names": settings.keep_names,
        "opt_level": settings.opt_level,
        "provider": settings.provider_name(),
        "tolerances": {name: list(tolerance.of(name)) for name in NARROW_TOLERANCE},
        "default": list(tolerance.of("float32")),
    }


def _check_literal(text: str | None) -> None:
    if text is None:
        return
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise UsageError(
            f"--dynamic-shapes is no Python literal: {error}", """for example --dynamic-shapes '{"x": {0: "batch"}}'"""
        ) from error


def digest(target: str) -> str | None:
    """The SHA-256 of the file that was named."""
    path = Path(target)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def output_stem(target: str) -> Path:
    """The path whose stem names the output folder: the file, or factory for package.module:factory."""
    return Path(target) if target.endswith((".py", ".pt2")) else Path(target.rpartition(":")[2] or target)
