"""What is written while a run goes on: every verdict, every improvement, every other failure that is met."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reducer.engine.events import Event, Improved, Judged, Listener, PassFault
from reducer.engine.verdict import Verdict
from reducer.workspace import Content, Workspace


@dataclass(frozen=True)
class Recorder:
    """Listens to the engine and passes events on to `tell`.

    `write` serializes a program for the file `best`, or gives what writes it to a path (a large one is written less
    often than it improves: `weigh` says how many bytes); `worth_keeping` says whether a program that fails otherwise
    is a finding of its own, and not only something that a cut broke.
    """

    workspace: Workspace
    tell: Listener
    say: Callable[[str], None]
    best: str
    write: Callable[[Any], Content]
    worth_keeping: Callable[[Any], bool]
    weigh: Callable[[Any], int] = lambda _: 0

    def __call__(self, event: Event) -> None:
        workspace = self.workspace
        if isinstance(event, Judged):
            if not event.cached:  # what an earlier run wrote down stands there already
                workspace.log(_record(event))
            workspace.pending.tick()
            slipped = event.verdict == Verdict.SLIPPED.value and not workspace.knows(event.signature)
            if slipped and self.worth_keeping(event.program):
                workspace.also_found(event.signature, event.reason, self.write(event.program), Path(self.best).suffix)
        elif isinstance(event, Improved):
            program = event.program
            workspace.pending.offer(lambda: workspace.write(self.best, self.write(program)), self.weigh(program))
            workspace.improved = True
            workspace.curve.append((event.number, event.nodes))
        elif isinstance(event, PassFault):
            workspace.write(f"crash/{event.name.replace(' ', '_')}.txt", event.trace)
            self.say(f"the pass {event.name!r} broke and is switched off; see crash/ in the output folder")
        self.tell(event)


def _record(event: Judged) -> dict[str, Any]:
    return {
        "call": event.number,
        "pass": event.phase,
        "nodes": event.nodes,
        "verdict": event.verdict,
        "signature": event.signature,
        "seconds": round(event.seconds, 6),
        "reason": event.reason,
        "key": event.key,
        "limit": event.limit,
    }
