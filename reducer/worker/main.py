"""The child process: a zygote that only forks, or a worker that serves calls until it is told to stop.

    python -m reducer.worker.main zygote|worker ADDRESS

Imports the standard library alone; each task imports its own backend. The connection key comes from stdin.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Client, Connection
from typing import Any

from reducer.worker.protocol import receive, send


class Context:
    """Lets a task say which stage it enters."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def stage(self, name: str, seconds: float | None = None) -> None:
        """From here on a silent death is blamed on `name`, and a clock of its own runs (the call's, or `seconds`)."""
        send(self._connection, {"stage": name, "seconds": seconds})


def main(argv: list[str]) -> int:
    """Entry point; `argv` is [role, address]."""
    role, address = argv
    key = bytes.fromhex(sys.stdin.readline().strip())
    settings = json.loads(sys.stdin.readline())
    _harden(settings, group=True)
    if role == "zygote":
        return _zygote(address, key, settings)
    _redirect(settings["errors"], os.getpid())
    with contextlib.suppress(EOFError, OSError):
        _serve(_connect(address, key))
    return 0


def _connect(address: str, key: bytes) -> Connection:
    connection = Client(address, authkey=key)
    send(connection, {"hello": os.getpid()})
    return connection


def _harden(settings: dict[str, Any], *, group: bool) -> None:
    """Own process group, death with the parent, no core files, a memory cap, Ctrl-C left to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setpgid") and group:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
    with contextlib.suppress(Exception):  # only Linux has it; elsewhere the closed connection ends us
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL, 0, 0, 0)
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if limit := settings.get("memory"):
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _redirect(folder: str, pid: int) -> None:
    """Send everything printed, by C++ code too, to a file that the parent reads after a death."""
    target = os.open(os.path.join(folder, f"{pid}.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)


def _zygote(address: str, key: bytes, settings: dict[str, Any]) -> int:
    """Serve fork, preload and reap orders. Opens no model, so that every fork is a clean start."""
    control = _connect(address, key)
    _preload(settings["preload"])
    while True:
        try:
            order, _ = receive(control)
        except (EOFError, OSError):
            return 0
        if "preload" in order:
            _preload(order["preload"])
        elif "reap" in order:
            send(control, {"status": _reap(order["reap"])})
        elif "fork" in order:
            pid = os.fork()
            if pid == 0:
                control.close()
                os._exit(_forked(address, key, settings))
            send(control, {"pid": pid})


def _forked(address: str, key: bytes, settings: dict[str, Any]) -> int:
    try:
        _harden(settings, group=True)
        _redirect(settings["errors"], os.getpid())
        _serve(_connect(address, key))
    except (EOFError, OSError):
        return 0
    except BaseException:  # noqa: BLE001 - a forked child must never return into the zygote
        traceback.print_exc()
        return 70
    return 0


def _reap(pid: int) -> int | None:
    try:
        status = os.waitpid(pid, 0)[1]
    except ChildProcessError:
        return None
    # os.waitstatus_to_exitcode is missing in Python 3.8.
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _preload(modules: list[str]) -> None:
    for name in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _serve(connection: Connection) -> None:
    while True:
        header, blobs = receive(connection)
        if header.get("stop"):
            return
        if header.get("gentle") and hasattr(os, "nice"):
            os.nice(10)
        try:
            value, out = _task(header["task"])(Context(connection), header["arguments"], blobs)
            send(connection, {"value": value}, out)
        except MemoryError:
            send(connection, {"memory": True})
        except Exception:  # noqa: BLE001 - a fault of the task itself is reported, never mistaken for a finding
            send(connection, {"fault": traceback.format_exc()})


def _task(path: str) -> Callable[..., tuple[dict[str, Any], tuple[bytes, ...]]]:
    module, _, name = path.partition(":")
    found: Callable[..., tuple[dict[str, Any], tuple[bytes, ...]]] = getattr(importlib.import_module(module), name)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
