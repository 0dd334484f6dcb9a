"""What the command line drives: one run on one source, whatever kind it is (architecture.md section 5).

A new kind of source is one file here and one in reducer/sources that claims what the user types.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Self

from reducer.engine.events import Listener
from reducer.finding import Finding
from reducer.settings import Settings
from reducer.worker.host import Host, HostOptions
from reducer.worker.machine import memory_cap
from reducer.workspace import Workspace


class Session(ABC):
    """One run. Use as a context manager: leaving it ends every child process, those of a given `host` too.

    `kind` is the source.kind of finding.json.
    """

    kind: ClassVar[str]

    def __init__(
        self, settings: Settings, target: str, listener: Listener, say: Callable[[str], None], host: Host | None = None
    ) -> None:
        self.settings, self.target, self._tell, self._say = settings, target, listener, say
        self.workspace: Workspace | None = None
        self.host = host or Host(HostOptions(memory=memory_cap(settings.memory_limit)))

    @abstractmethod
    def run(self) -> Finding:
        """The whole data path. The finding's status says how it ended; files lie in `workspace`."""

    def completed(self, finding: Finding) -> Finding:
        """The finding with what was still being found out while the repro scripts ran."""
        return finding

    def abandon(self) -> Path | None:
        """Remove the staging folder of a run that did not end, unless it holds progress: then say where."""
        if self.workspace is None or not self.workspace.folder.exists():
            return None
        if self.workspace.improved or self.workspace.resumed:
            self.workspace.release()
            return self.workspace.folder if self.workspace.improved else None
        self.workspace.discard()
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.host.close()
