"""What is written while a run goes on: every verdict, every improvement, every other failure that is met."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reducer.engine.events import Event, Improved, Judged, Listener, PassFault
from reducer.engine.verdict import Verdict
from reducer.workspace import Workspace


@dataclass(frozen=True)
class Recorder:
    """Listens to the engine and passes events on to `tell`.

    `write` serializes a program for the file `best`; `worth_keeping` says whether a program that fails otherwise
    is a finding of its own, and not only something that a cut broke.
    """

    workspace: Workspace
    tell: Listener
    say: Callable[[str], None]
    best: str
    write: Callable[[Any], bytes]
    worth_keeping: Callable[[Any], bool]

    def __call__(self, event: Event) -> None:
        workspace = self.workspace
        if isinstance(event, Judged):
            if not event.cached:  # what an earlier run wrote down stands there already
                workspace.log(_record(event))
            slipped = event.verdict == Verdict.SLIPPED.value and not workspace.knows(event.signature)
            if slipped and self.worth_keeping(event.program):
                workspace.also_found(event.signature, event.reason, self.write(event.program))
        elif isinstance(event, Improved):
            workspace.write(self.best, self.write(event.program))
            workspace.improved = True
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
