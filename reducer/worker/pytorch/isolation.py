"""A run in a process of its own, forked from this worker: it starts with the captured graph and may die (child side).

Forking costs about 40 ms with torch loaded, where a new worker would have to capture the model again.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Report = dict[str, Any]
DIED, HUNG, FAULT, AT = "died", "hung", "fault", "at"
_WRITER: list[Any] = []


def note(step: str) -> None:
    """From here on a death in this process is blamed on `step`."""
    for stream in _WRITER:
        stream.write(json.dumps({AT: step}).encode() + b"\n")
        stream.flush()


def isolated(run: Callable[[], Report], seconds: float) -> Report:
    """What `run` returns, or {"died": signal or exit code}, {"hung": seconds}, {"fault": traceback}; the first two
    with "at": the last step noted."""
    return next(each(lambda _: run(), [None], seconds))


def each(run: Callable[[Any], Report], items: Sequence[Any], seconds: float) -> Iterator[Report]:
    """`run(item)` of every item in order, in as few processes as there are deaths and hangs, plus one.

    `seconds` is the limit of one item.
    """
    done = 0
    while done < len(items):
        for report in _batch(run, items[done:], seconds):
            done += 1
            yield report


def _batch(run: Callable[[Any], Report], items: Sequence[Any], seconds: float) -> Iterator[Report]:
    """Reports in order until all are done or one kills its process."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _work(run, items, writer)
    os.close(writer)
    buffer = b""
    done, at = 0, ""
    try:
        while done < len(items):
            line, buffer, hung = _line(reader, buffer, seconds)
            if hung:
                yield {HUNG: seconds, AT: at}
                return
            if line is None:
                status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                child = 0
                yield {DIED: signal.Signals(-status).name if status < 0 else f"exit code {status}", AT: at}
                return
            report = json.loads(line)
            if set(report) == {AT}:
                at = report[AT]
                continue
            done += 1
            yield report
    finally:
        os.close(reader)
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _line(reader: int, buffer: bytes, seconds: float) -> tuple[bytes | None, bytes, bool]:
    """(one line or None at the end, what follows it, whether it took too long)."""
    end = time.monotonic() + seconds
    while b"\n" not in buffer:
        ready, _, _ = select.select([reader], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return None, buffer, True
        piece = os.read(reader, 1 << 20)
        if not piece:
            return None, buffer, False
        buffer += piece
    line, _, rest = buffer.partition(b"\n")
    return line, rest, False


def _work(run: Callable[[Any], Report], items: Sequence[Any], writer: int) -> None:
    """The child: never returns."""
    code = 0
    try:
        with os.fdopen(writer, "wb") as stream:
            _WRITER[:] = [stream]
            for item in items:
                try:
                    report = run(item)
                except MemoryError:
                    raise
                except Exception:  # noqa: BLE001 - a fault of ours is told, never taken for a finding
                    report = {FAULT: traceback.format_exc()}
                stream.write(json.dumps(report).encode() + b"\n")
                stream.flush()
    except BaseException:  # noqa: BLE001 - a forked child must never return into the worker
        code = 70
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
