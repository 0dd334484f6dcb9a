"""What parent and child say to each other. Standard library only: the child may run another interpreter.

A message is one JSON header followed by `blobs` raw byte strings. The child may send any number of
`{"stage": name, "seconds": limit or None}` notices before its one reply, so the parent knows where a silent death
happened and how long this stage may take.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

# What an isolated run can end in.
RETURNED, DIED, TIMED_OUT, OUT_OF_MEMORY, FAULT = "returned", "died", "hung", "out_of_memory", "fault"

# In a comparison, the witness that is the user's --expected.
EXPECTED = -1


@dataclass(frozen=True)
class Call:
    """Run `task` ("package.module:function") in a worker. `seconds` is the limit of one stage: every notice of a
    stage starts the clock anew, with limits of its own where the notice brings them. A `gentle` call gives way to
    everything else on the machine (use it with a fresh worker only)."""

    task: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    blobs: tuple[bytes, ...] = ()
    seconds: float = 60.0
    gentle: bool = False


@dataclass(frozen=True)
class Answer:
    """How a call ended. `stage` is the last notice and `limit` what it was given in seconds; `stderr` is its tail;
    `value` and `blobs` only when RETURNED."""

    outcome: str
    stage: str = ""
    value: Mapping[str, Any] = field(default_factory=dict)
    blobs: tuple[bytes, ...] = ()
    signal: str = ""
    exit_code: int | None = None
    stderr: str = ""
    seconds: float = 0.0
    limit: float = 0.0


def send(connection: Connection, header: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> None:
    """Write one message."""
    connection.send_bytes(json.dumps({**header, "blobs": len(blobs)}).encode())
    for blob in blobs:
        connection.send_bytes(blob)


def receive(connection: Connection) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """Read one message. Raises EOFError or OSError when the other side is gone."""
    header: dict[str, Any] = json.loads(connection.recv_bytes())
    return header, tuple(connection.recv_bytes() for _ in range(header.pop("blobs", 0)))
