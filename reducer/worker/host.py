"""The parent's side: starts the zygote, hands out workers, keeps deadlines, buries the dead.

`Host.call` is safe from several threads. Nothing that a model does reaches the parent but an Answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, Listener
from types import TracebackType
from typing import Self

from reducer.errors import HostGone, ToolFault
from reducer.worker.kit import child_environment
from reducer.worker.logs import Logs
from reducer.worker.machine import resident_bytes
from reducer.worker.protocol import (
    DIED,
    FAULT,
    OUT_OF_MEMORY,
    RETURNED,
    TIMED_OUT,
    Answer,
    Call,
    receive,
    send,
)
from reducer.worker.scratch import Scratch

# The zygote of a framework imports for 10 s of CPU before its first fork.
START_SECONDS = 180.0
CALLS_PER_WORKER = 20_000
# A worker that holds so much more than after its first call is replaced: backends leak.
LEAK_BYTES = 1 << 30


@dataclass(frozen=True)
class HostOptions:
    """`memory` is the address-space cap of a worker in bytes (0: none); `python` another interpreter; an `isolated`
    child sees nothing of PYTHONPATH; `packages` are distributions whose versions the finding is to name."""

    preload: tuple[str, ...] = ("numpy", "onnx", "onnxruntime")
    memory: int = 0
    python: str = sys.executable
    isolated: bool = False
    packages: tuple[str, ...] = ()
    fork: bool = hasattr(os, "fork") and sys.platform != "darwin"


@dataclass
class _Worker:
    connection: Connection
    pid: int
    process: subprocess.Popen[bytes] | None
    served: int = 0
    log_start: int = field(default=0)
    resident: int = 0


def _leaks(worker: _Worker) -> bool:
    """Whether the worker's resident memory has grown too far since its first call."""
    resident = resident_bytes(worker.pid)
    worker.resident = worker.resident or resident
    return resident - worker.resident > LEAK_BYTES


class Host:
    """A pool of warm workers. Use as a context manager; closing kills every child and removes every file."""

    def __init__(self, options: HostOptions | None = None) -> None:
        self.options = options or HostOptions()
        self._scratch = Scratch()
        self.folder = self._scratch.folder
        self._key = secrets.token_bytes(16)
        self._listener = Listener(self._scratch.address(), authkey=self._key, backlog=64)
        self._spawning, self._idle = threading.Lock(), threading.Lock()
        self._free: list[_Worker] = []
        self._all: set[int] = set()
        self._zygote: subprocess.Popen[bytes] | None = None
        self._control: Connection | None = None
        self.deaths = 0
        self._logs = Logs(self.folder / "logs")
        if self.options.fork:
            # Started here, met at the first call: its imports run while the parent loads the model.
            self._zygote = self._start("zygote")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- calls -----------------------------------------------------------------------------------------------
    def call(self, call: Call, *, fresh: bool = False) -> Answer:
        """Run a call in a warm worker, or in one that never ran anything (`fresh`). Raises HostGone."""
        if not self.folder.exists():
            raise HostGone(f"the temporary folder is gone: {self.folder}", "set TMPDIR to a place that stays")
        worker = self._new() if fresh else self._borrow()
        start = time.perf_counter()
        alive = False
        try:
            answer, alive = self._exchange(worker, call, start)
        finally:
            if alive and not fresh and worker.served < CALLS_PER_WORKER and not _leaks(worker):
                with self._idle:
                    self._free.append(worker)
            else:
                self._dismiss(worker)
        return answer

    def preload(self, modules: Sequence[str]) -> None:
        """Have the zygote import more, so that later workers start with it. Idle workers are replaced."""
        if self.options.fork:
            with self._spawning:
                send(self._meet_zygote(), {"preload": list(modules)})
            with self._idle:
                idle, self._free = self._free, []
            for worker in idle:
                self._dismiss(worker)

    def _exchange(self, worker: _Worker, call: Call, start: float) -> tuple[Answer, bool]:
        worker.served += 1
        worker.log_start = self._logs.size(worker.pid)
        stage, limit = "", call.seconds
        deadline = start + limit
        try:
            order = {"task": call.task, "arguments": call.arguments, "gentle": call.gentle}
            send(worker.connection, order, call.blobs)
            while True:
                if not worker.connection.poll(max(0.0, deadline - time.perf_counter())):
                    self._kill(worker)
                    return replace(self._answer(worker, TIMED_OUT, stage, start), limit=limit), False
                header, blobs = receive(worker.connection)
                if "stage" in header:
                    stage, limit = header["stage"], header.get("seconds") or call.seconds
                    deadline = time.perf_counter() + limit
                    continue
                if "fault" in header:
                    return self._answer(worker, FAULT, stage, start, stderr=header["fault"]), True
                if "memory" in header:
                    return self._answer(worker, OUT_OF_MEMORY, stage, start), False
                seconds = time.perf_counter() - start
                return Answer(RETURNED, stage, header["value"], blobs, seconds=seconds), True
        except (EOFError, OSError):
            return self._buried(worker, stage, start), False

    def _buried(self, worker: _Worker, stage: str, start: float) -> Answer:
        self.deaths += 1
        code = self._status(worker)
        name = ""
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                name = signal.Signals(-code).name
        return replace(self._answer(worker, DIED, stage, start), signal=name, exit_code=code)

    def _answer(self, worker: _Worker, outcome: str, stage: str, start: float, *, stderr: str = "") -> Answer:
        tail = stderr or self._logs.tail(worker.pid, worker.log_start)
        return Answer(outcome, stage, stderr=tail, seconds=time.perf_counter() - start)

    # --- workers ---------------------------------------------------------------------------------------------
    def _borrow(self) -> _Worker:
        with self._idle:
            if self._free:
                return self._free.pop()
        return self._new()

    def _new(self) -> _Worker:
        with self._spawning:
            if self.options.fork:
                control = self._meet_zygote()
                send(control, {"fork": True})
                worker = self._accept(None)
                receive(control)
            else:
                worker = self._accept(self._start("worker"))
            self._all.add(worker.pid)
            return worker

    def _start(self, role: str) -> subprocess.Popen[bytes]:
        environment = child_environment(self.options.python, self.folder, isolated=self.options.isolated)
        environment["TMPDIR"] = str(self.folder)  # whatever a backend drops there goes when the folder goes
        log = open(self._logs.of(role), "ab")  # noqa: SIM115 - handed to the child
        process = subprocess.Popen(
            [self.options.python, "-m", "reducer.worker.main", role, str(self._listener.address)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environment,
            cwd=self.folder,
        )
        log.close()
        settings = {"preload": self.options.preload, "memory": self.options.memory}
        assert process.stdin is not None
        message = f"{self._key.hex()}\n{json.dumps({**settings, 'errors': str(self._logs.folder)})}\n"
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(message.encode())
            process.stdin.close()
        return process

    def _meet_zygote(self) -> Connection:
        if self._control is None:
            worker = self._accept(self._zygote)
            self._control = worker.connection
        return self._control

    def _accept(self, process: subprocess.Popen[bytes] | None) -> _Worker:
        """The next child that connects. Raises ToolFault when it died before it could."""
        watcher = process or self._zygote
        socket = self._listener._listener._socket  # type: ignore[attr-defined]  # the only way to a timeout
        socket.settimeout(0.5)
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                connection = self._listener.accept()
                break
            except TimeoutError:
                dead = watcher is not None and watcher.poll() is not None
                if dead or time.monotonic() > end:
                    raise ToolFault(f"the worker process did not start: {self._logs.all() or 'no message'}") from None
        hello, _ = receive(connection)
        return _Worker(connection, hello["hello"], process)

    def _dismiss(self, worker: _Worker) -> None:
        self._kill(worker)
        worker.connection.close()
        if worker.pid in self._all:
            self._status(worker)
        self._logs.of(worker.pid).unlink(missing_ok=True)

    def _kill(self, worker: _Worker) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if worker.pid in self._all and hasattr(os, "killpg"):
                os.killpg(worker.pid, signal.SIGKILL)
            elif worker.process is not None:
                worker.process.kill()

    def _status(self, worker: _Worker) -> int | None:
        """Exit code of a dead worker, negative for a signal; reaps it."""
        self._all.discard(worker.pid)
        if worker.process is not None:
            return worker.process.wait()
        with self._spawning:
            if self._control is None:
                return None
            send(self._control, {"reap": worker.pid})
            code: int | None = receive(self._control)[0]["status"]
            return code

    def close(self) -> None:
        """Kill every child, remove every file. Safe to call twice."""
        for worker in self._free:
            worker.connection.close()
        self._free = []
        for pid in list(self._all):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._zygote is not None:
            self._zygote.kill()
            self._zygote.wait()
            self._zygote = None
        with contextlib.suppress(OSError):  # the folder that its socket lies in may be gone
            self._listener.close()
        self._scratch.remove()
