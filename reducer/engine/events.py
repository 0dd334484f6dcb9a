"""What the engine tells its listeners (terminal, log, --json). Plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PassStarted:
    """A search phase or reduction pass begins on a program of `nodes` nodes."""

    name: str
    nodes: int


@dataclass(frozen=True)
class Judged:
    """One candidate has a verdict. `number` counts oracle calls; `cached` ones, known from an earlier run, cost none.
    `limit` is the time limit that decided, 0 when none did."""

    number: int
    phase: str
    nodes: int
    verdict: str
    signature: str
    seconds: float
    cached: bool
    reason: str
    key: str
    program: Any
    limit: float = 0.0


@dataclass(frozen=True)
class Improved:
    """The best program so far was replaced."""

    number: int
    nodes: int
    program: Any


@dataclass(frozen=True)
class PassFault:
    """A reduction pass raised something that it should not; it is switched off for this run."""

    name: str
    trace: str


Event = PassStarted | Judged | Improved | PassFault
Listener = Callable[[Event], None]
