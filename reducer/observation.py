"""What one isolated run did: data, never an exception."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reducer.values import ValueRef

PASSED, FAILED, DIED, HUNG, OUT_OF_MEMORY, FAULT = (
    "passed",
    "failed",
    "died",
    "hung",
    "out_of_memory",
    "fault",
)
SKIPPED, DIFFERS = "skipped", "differs"

STAGES = ("convert", "check", "shape_inference", "optimize", "load", "run", "compare")


@dataclass(frozen=True)
class Probe:
    """One backend with its options, and whether it is to run or only to open the model."""

    backend: str
    options: Mapping[str, str] = field(default_factory=dict)
    run: bool = True

    @property
    def label(self) -> str:
        """How the probe is named to people."""
        shown = [(key, value) for key, value in sorted(self.options.items()) if key != "custom_ops"]
        extra = [value for _, value in shown if value != "CPUExecutionProvider"]
        return self.backend + (f" ({', '.join(extra)})" if extra else "")


@dataclass(frozen=True)
class Observation:
    """How one probe ended. `stage` is the last one it entered; `outputs` are references when they were kept;
    `nan_outputs` are those that hold NaN although everything fed was finite."""

    probe: Probe
    stage: str
    outcome: str
    error: str = ""
    message: str = ""
    signal: str = ""
    seconds: float = 0.0
    outputs: Mapping[str, ValueRef] = field(default_factory=dict)
    nan_outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """The gravest difference of two witnesses. `excess` is in units of the tolerance; `b` None is `--expected`."""

    a: Probe
    b: Probe | None
    kind: str
    output: str
    excess: float
    max_abs: float | None = None
    max_rel: float | None = None
    detail: str = ""


@dataclass(frozen=True)
class Comparison:
    """All pairs of witnesses that ran: those that agree, and how the others differ."""

    agreeing: tuple[tuple[Probe, Probe | None], ...] = ()
    differing: tuple[Difference, ...] = ()
    seen: float = 0.0

    def between(self, a: Probe, b: Probe | None) -> Difference | None:
        """The difference of this pair, None when they agree or did not both run."""
        return next((d for d in self.differing if (d.a, d.b) in ((a, b), (b, a))), None)

    def agree(self, a: Probe, b: Probe | None) -> bool:
        """Whether both ran and agree."""
        return (a, b) in self.agreeing or (b, a) in self.agreeing

    def supported(self, a: Probe) -> bool:
        """Whether another witness, not the known outputs, agrees with this one."""
        return any(a in pair and None not in pair for pair in self.agreeing)


def plain(value: Any) -> str:
    """One line of a message, for tables."""
    text = str(value).strip().splitlines()
    return text[0][:300] if text else ""
