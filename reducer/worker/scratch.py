"""The temporary folder of one host: locked while its process lives, so that a later run can clear what a killed one
left behind."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

_PREFIX, _LOCK = "onnx-reduce-host-", "lock"
_LONGEST_ADDRESS = 100  # sockaddr_un holds 108 bytes


class Scratch:
    """`folder` exists until `remove`; folders of dead processes beside it are removed at the start."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock: IO[bytes] = open(self.folder / _LOCK, "wb")  # noqa: SIM115 - held until remove()
        _try_lock(self._lock)
        for other in self.folder.parent.glob(_PREFIX + "*"):
            if other != self.folder and _is_abandoned(other):
                shutil.rmtree(other, ignore_errors=True)

    def address(self) -> str | None:
        """Where a local socket can lie inside the folder; None where the path would be too long or there are none."""
        path = str(self.folder / "socket")
        return path if os.name == "posix" and len(path.encode()) <= _LONGEST_ADDRESS else None

    def remove(self) -> None:
        """Remove the folder and everything in it."""
        self._lock.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _try_lock(file: IO[bytes]) -> bool:
    """Whether the lock could be taken; never where the system has no such locks."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


def _is_abandoned(folder: Path) -> bool:
    try:
        with open(folder / _LOCK, "rb+") as file:
            return _try_lock(file)
    except OSError:
        return False  # not ours to look at, or being made or removed at this moment
