"""Runs a test case through probes in a worker and turns the answer into observations."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reducer.errors import EditConflict, ToolFault
from reducer.feeds import FeedBook
from reducer.observation import (
    DIED,
    FAILED,
    FAULT,
    HUNG,
    OUT_OF_MEMORY,
    PASSED,
    Comparison,
    Difference,
    Observation,
    Probe,
)
from reducer.programs.onnx import OnnxProgram
from reducer.testcase import NARROW_TOLERANCE, Tolerance
from reducer.values import ValueRef
from reducer.worker import protocol
from reducer.worker.host import Host
from reducer.worker.protocol import EXPECTED, Answer, Call

CLIMB = "reducer.worker.tasks:climb"
_OUTCOMES = {
    protocol.TIMED_OUT: HUNG,
    protocol.DIED: DIED,
    protocol.OUT_OF_MEMORY: OUT_OF_MEMORY,
    protocol.FAULT: FAULT,
}


@dataclass(frozen=True)
class Order:
    """What to do with a program: the probes, whether to compare them, and how. `patience` is by backend name."""

    probes: tuple[Probe, ...]
    compare: bool = False
    skip_outputs: tuple[str, ...] = ()
    expected: Mapping[str, ValueRef] = field(default_factory=dict)
    stop_early: bool = False
    gated: tuple[Probe, ...] = ()
    keep: Path | None = None
    gentle: bool = False
    # Limits of single probes that differ from that of the call, in seconds a stage.
    patience: Mapping[str, float] = field(default_factory=dict)


class Prober:
    """Ties a host, the backends by name, the feeds and the tolerance together."""

    def __init__(self, host: Host, backends: Mapping[str, str], feeds: FeedBook, tolerance: Tolerance) -> None:
        self.host, self.backends, self.feeds, self.tolerance = host, backends, feeds, tolerance
        self._files = itertools.count()
        self._lock = threading.Lock()

    def climb(
        self, program: OnnxProgram, order: Order, seconds: float, *, fresh: bool = False
    ) -> tuple[list[Observation], Comparison]:
        """Run the probes of `order` in one worker; one observation for each that was reached.

        Raises EditConflict when the program cannot be built or fed, ToolFault when the tool itself broke.
        """
        call = Call(CLIMB, self._arguments(order, self._feeds(program, order)), (), seconds, order.gentle)
        answer = self.call_with_model(program, call, fresh=fresh or order.gentle)
        return self._read(order, answer)

    def climb_bytes(
        self, raw: bytes, feeds: Mapping[str, ValueRef], order: Order, seconds: float
    ) -> tuple[list[Observation], Comparison]:
        """The same for a serialized model that is no program of ours, with the feeds given."""
        arguments = self._arguments(order, {name: ref.to_wire() for name, ref in feeds.items()})
        return self._read(order, self.host.call(Call(CLIMB, arguments, (raw,), seconds)))

    def _arguments(self, order: Order, feeds: dict[str, Any]) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "probes": [
                {
                    "backend": self.backends[p.backend],
                    "options": dict(p.options),
                    "run": p.run,
                    "gated": p in order.gated,
                    "seconds": order.patience.get(p.backend),
                }
                for p in order.probes
            ],
            "feeds": feeds,
            "stop_early": order.stop_early,
            "keep": str(order.keep) if order.keep else None,
        }
        if order.compare:
            arguments["compare"] = self.comparison_settings(order.skip_outputs)
            arguments["expected"] = {name: ref.to_wire() for name, ref in order.expected.items()}
        return arguments

    def _feeds(self, program: OnnxProgram, order: Order) -> dict[str, Any]:
        if not any(probe.run for probe in order.probes):
            return {}
        return {name: ref.to_wire() for name, ref in self.feeds.feeds_of(program).items()}

    def can_feed(self, program: OnnxProgram) -> bool:
        """Whether every input can be given a value."""
        try:
            self.feeds.feeds_of(program)
        except EditConflict:
            return False
        return True

    def call_with_model(self, program: OnnxProgram, call: Call, *, fresh: bool = False) -> Answer:
        """Run any task on a program; a program with spilled weights travels as a file beside them."""
        raw, folder = program.model_bytes(), program.folder
        if folder is None:
            return self.host.call(replace(call, blobs=(raw,)), fresh=fresh)
        with self._lock:
            path = folder / f"candidate-{next(self._files)}.onnx"
        path.write_bytes(raw)
        try:
            return self.host.call(replace(call, arguments={**call.arguments, "model": str(path)}), fresh=fresh)
        finally:
            os.unlink(path)

    def comparison_settings(self, skip: Sequence[str]) -> dict[str, Any]:
        """What the worker needs to compare outputs: tolerances per dtype, outputs to leave out."""
        narrow = {name: self.tolerance.of(name) for name in NARROW_TOLERANCE}
        eight = ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz")
        narrow.update({name: self.tolerance.of(name) for name in eight})
        return {"tolerances": narrow, "default": self.tolerance.of("float32"), "skip": list(skip)}

    def _read(self, order: Order, answer: Answer) -> tuple[list[Observation], Comparison]:
        if answer.outcome == protocol.RETURNED:
            reports = answer.value["probes"]
            observations = [_observed(p, report) for p, report in zip(order.probes, reports, strict=False)]
            return observations, _compared(order.probes, answer.value["pairs"])
        index, _, stage = answer.stage.partition(":")
        if answer.outcome == protocol.FAULT:
            raise ToolFault(f"a fault of onnx-reduce in the worker:\n{answer.stderr}")
        reached = int(index or 0)
        passed = [Observation(p, "run" if p.run else "load", PASSED) for p in order.probes[:reached]]
        last = Observation(
            order.probes[reached],
            stage or "load",
            _OUTCOMES[answer.outcome],
            message=answer.stderr.strip()[-1500:] or _silence(answer),
            signal=_signal(answer),
            seconds=answer.seconds,
        )
        return [*passed, last], Comparison()


def _silence(answer: Answer) -> str:
    return f"no answer in {answer.limit:g} s" if answer.outcome == protocol.TIMED_OUT else ""


def _signal(answer: Answer) -> str:
    if answer.outcome != protocol.DIED:
        return ""
    return answer.signal or f"exit code {answer.exit_code}"


def _observed(probe: Probe, report: dict[str, Any]) -> Observation:
    outcome = FAILED if report["error"] else PASSED
    kept = {name: ValueRef.from_wire(wire) for name, wire in report.get("kept", {}).items()}
    return Observation(
        probe,
        report["stage"],
        outcome,
        report["error"],
        report["message"],
        seconds=report["seconds"],
        outputs=kept,
        nan_outputs=tuple(report["nan"]),
    )


def _compared(probes: Sequence[Probe], pairs: list[dict[str, Any]]) -> Comparison:
    agreeing, differing, seen = [], [], 0.0
    for pair in pairs:
        a = probes[pair["a"]]
        b = None if pair["b"] == EXPECTED else probes[pair["b"]]
        worst = pair["worst"]
        seen = max(seen, pair["seen"])
        if worst is None:
            agreeing.append((a, b))
        else:
            differing.append(
                Difference(
                    a,
                    b,
                    worst["kind"],
                    worst["output"],
                    worst["excess"],
                    worst["abs"],
                    worst["rel"],
                    worst.get("detail", ""),
                )
            )
    return Comparison(tuple(agreeing), tuple(differing), seen)
