"""What children print, C++ code too: a file each, of which the end is read when one dies (parent side)."""

from __future__ import annotations

from pathlib import Path

TAIL_BYTES = 4000


class Logs:
    """The log files of one host, by process id."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def of(self, name: str | int) -> Path:
        """The file of a process, or of a role that has no process id yet."""
        return self.folder / f"{name}.log"

    def size(self, pid: int) -> int:
        """Bytes printed so far."""
        try:
            return self.of(pid).stat().st_size
        except OSError:
            return 0

    def tail(self, pid: int, start: int) -> str:
        """What was printed behind `start`, its end when it is long."""
        try:
            with open(self.of(pid), "rb") as stream:
                stream.seek(max(start, self.size(pid) - TAIL_BYTES))
                return stream.read().decode(errors="replace")
        except OSError:
            return ""

    def all(self, most: int = 800) -> str:
        """The ends of all of them, for a child that did not start."""
        return "\n".join(path.read_text(errors="replace")[-most:] for path in sorted(self.folder.glob("*.log"))).strip()
