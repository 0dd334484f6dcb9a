"""A bound on what loading may take in this process: a few megabytes of protobuf can name millions of parts."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from reducer.errors import UsageError

# Beside a multiple of the bytes that are parsed: room for the imports that loading brings.
ROOM_BYTES = 2 << 30
ROOM_PER_BYTE = 4


@contextlib.contextmanager
def bounded_memory(size: int, what: str) -> Iterator[None]:
    """Let the block allocate ROOM_BYTES and ROOM_PER_BYTE times `size` bytes at most; UsageError beyond.

    Where the system knows no such limit (only Linux says how much is used now) the block runs without one.
    """
    used = _address_space()
    try:
        import resource
    except ImportError:
        used = None
    if used is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = used + ROOM_BYTES + ROOM_PER_BYTE * size
    limit = min([wanted, *(old for old in (soft, hard) if old != resource.RLIM_INFINITY)])
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    except MemoryError as error:
        raise UsageError(
            f"{what} names more than can be held in memory", "is it a model? Its parts are far more than its bytes"
        ) from error
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _address_space() -> int | None:
    """Bytes of address space in use."""
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            return int(stream.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None
