"""How a run shows itself while it runs: a live line, plain lines, JSON objects, or nothing."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from reducer.engine.events import Event, Improved, Judged, PassStarted

if TYPE_CHECKING:
    from rich.live import Live


class Progress:
    """Listens to the engine. The base class says nothing."""

    def __call__(self, event: Event) -> None:
        """An event of the engine."""

    def say(self, text: str) -> None:
        """A step of the session."""

    def close(self) -> None:
        """No more is coming."""


class JsonProgress(Progress):
    """One JSON object a line on stdout, flushed at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def emit(self, record: dict[str, Any]) -> None:
        """Write one object."""
        self._stream.write(json.dumps(record) + "\n")
        self._stream.flush()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Judged):
            self.emit(
                {
                    "event": "judged",
                    "call": event.number,
                    "pass": event.phase,
                    "nodes": event.nodes,
                    "verdict": event.verdict,
                    "signature": event.signature,
                    "seconds": round(event.seconds, 6),
                }
            )
        elif isinstance(event, Improved):
            self.emit({"event": "improved", "call": event.number, "nodes": event.nodes})
        elif isinstance(event, PassStarted):
            self.emit({"event": "pass", "pass": event.name, "nodes": event.nodes})

    def say(self, text: str) -> None:
        self.emit({"event": "step", "text": text})


class PlainProgress(Progress):
    """Lines on stderr for logs and pipes; every candidate when `verbose`."""

    def __init__(self, stream: TextIO, *, verbose: bool) -> None:
        self._stream, self._verbose = stream, verbose

    def _line(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Improved):
            self._line(f"nodes left: {event.nodes} (call {event.number})")
        elif isinstance(event, Judged) and self._verbose:
            reason = f": {event.reason[:120]}" if event.reason else ""
            self._line(f"  #{event.number} {event.phase}: {event.nodes} nodes, {event.verdict}{reason}")

    def say(self, text: str) -> None:
        self._line(text)


class LiveProgress(Progress):
    """One line that changes: nodes left, calls, calls per second, elapsed, what is being tried."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._start = time.perf_counter()
        self._nodes: int | None = None
        self._calls, self._doing = 0, "starting"
        self._shown = 0.0
        self._live: Live = Live(console=Console(stderr=True), transient=True, auto_refresh=False)
        self._live.start()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Judged):
            self._calls = event.number
        elif isinstance(event, Improved):
            self._nodes = event.nodes
        elif isinstance(event, PassStarted):
            self._doing = event.name
            self._nodes = event.nodes if self._nodes is None else self._nodes
        self._draw()

    def say(self, text: str) -> None:
        self._doing = text
        self._draw(now=True)

    def _draw(self, *, now: bool = False) -> None:
        from rich.text import Text

        moment = time.perf_counter()
        if not now and moment - self._shown < 0.05:
            return
        self._shown = moment
        elapsed = moment - self._start
        left = f"nodes left: {self._nodes} · " if self._nodes is not None else ""
        calls = f"{self._calls} calls · {self._calls / max(elapsed, 1e-3):.0f}/s · " if self._calls else ""
        self._live.update(Text(f"{left}{calls}{elapsed:.1f} s · {self._doing}"), refresh=True)

    def close(self) -> None:
        self._live.stop()


def make_progress(*, as_json: bool, quiet: bool, verbose: bool) -> Progress:
    """The progress that fits the options and the terminal."""
    if as_json:
        return JsonProgress(sys.stdout)
    if quiet:
        return Progress()
    if verbose or not sys.stderr.isatty() or not sys.stdout.isatty():
        return PlainProgress(sys.stderr, verbose=verbose)
    return LiveProgress()
