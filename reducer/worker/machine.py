"""What the machine has, and what a process takes of it (parent side)."""

from __future__ import annotations

import os

# Of the machine's memory; a worker that wants more has found a bug of its own.
MEMORY_SHARE = 0.75


def memory_cap(gibibytes: float | None) -> int:
    """Bytes of address space for a worker: as told, else a share of the machine; 0 where that cannot be told."""
    if gibibytes is not None:
        return int(gibibytes * (1 << 30))
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 0
    return int(total * MEMORY_SHARE)


def resident_bytes(pid: int) -> int:
    """Resident memory of a process, 0 where it cannot be told."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
