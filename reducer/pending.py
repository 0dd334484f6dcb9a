"""Writing the best program while the search goes on: at once when it is small, seldom when it is large.

Writing takes a small share of the time; the end of the run, an interrupt and an error write what is pending.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

# A pending program is written when that much of the time since the last writing would go into it.
WRITING_SHARE = 0.1
_DISK_BYTES_PER_SECOND = 2e8


@dataclass
class Pending:
    """The best program that is not on disk yet."""

    write: Callable[[], object] | None = None
    cost: float = 0.0
    last: float = field(default_factory=time.monotonic)

    def offer(self, write: Callable[[], object], size: int) -> None:
        """Write now if that is cheap, else when it is due. `size` is in bytes."""
        self.write, self.cost = write, size / _DISK_BYTES_PER_SECOND
        self.tick()

    def tick(self) -> None:
        """Write what is pending if enough time has passed for what it costs."""
        if self.write is not None and self.cost <= WRITING_SHARE * (time.monotonic() - self.last):
            self.flush()

    def flush(self) -> None:
        """Write what is pending."""
        write, self.write = self.write, None
        if write is not None:
            write()
            self.last = time.monotonic()
