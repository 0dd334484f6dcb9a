"""The host outlives whatever its workers do, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reducer.worker.host import Host, HostOptions
from reducer.worker.protocol import DIED, FAULT, OUT_OF_MEMORY, RETURNED, TIMED_OUT, Answer, Call
from tests.conftest import ROOT
from tests.fakes.backends import ALL
from tests.models import chain_text, model_of

BAD = model_of(chain_text(3, {1: "Elu"})).SerializeToString()
GOOD = model_of(chain_text(3)).SerializeToString()
CLIMB = "reducer.worker.tasks:climb"


def call(host: Host, name: str, model: bytes = BAD, *, at: str = "run", seconds: float = 20.0) -> Answer:
    probe = {"backend": ALL[name], "options": {"at": at}, "run": True}
    return host.call(Call(CLIMB, {"probes": [probe]}, (model,), seconds))


SIGNALS = [
    ("segfaults", "SIGSEGV"), ("aborts", "SIGABRT"), ("divides", "SIGFPE"), ("bus_error", "SIGBUS"),
    ("illegal", "SIGILL"),
]  # fmt: skip


@pytest.mark.parametrize("at", ["open", "run"])
@pytest.mark.parametrize(("name", "signal"), SIGNALS)
def test_a_death_by_signal_is_an_answer_with_stage_and_stderr(host: Host, name: str, signal: str, at: str) -> None:
    answer = call(host, name, at=at)
    assert (answer.outcome, answer.signal) == (DIED, signal)
    assert answer.stage == ("0:load" if at == "open" else "0:run")
    if name == "segfaults":
        assert "about to crash" in answer.stderr
    assert call(host, name, GOOD).outcome == RETURNED


def test_a_silent_exit_is_a_death_with_its_code(host: Host) -> None:
    answer = call(host, "exits")
    assert (answer.outcome, answer.signal, answer.exit_code) == (DIED, "", 3)


def test_a_hang_ends_at_the_deadline(host: Host) -> None:
    start = time.perf_counter()
    assert call(host, "hangs", seconds=0.5).outcome == TIMED_OUT
    assert time.perf_counter() - start < 10


def test_hunger_for_memory_is_stopped_in_the_worker(host: Host) -> None:
    assert call(host, "eats_memory").outcome == OUT_OF_MEMORY


def test_an_exception_of_the_backend_is_an_observation(host: Host) -> None:
    answer = call(host, "raises")
    assert answer.outcome == RETURNED
    assert answer.value["probes"][0]["error"] == "RuntimeError"


def test_every_stage_has_a_clock_of_its_own(host: Host) -> None:
    probes = [{"backend": ALL["honest"], "options": {}, "run": True, "seconds": 20.0}]
    probes += [{"backend": ALL["hangs"], "options": {}, "run": True, "seconds": 0.4}]
    answer = host.call(Call(CLIMB, {"probes": probes}, (BAD,), 20.0))
    assert (answer.outcome, answer.stage, answer.limit) == (TIMED_OUT, "1:run", 0.4)


def test_a_worker_that_leaks_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reducer.worker.host.LEAK_BYTES", 32 << 20)
    with Host(HostOptions(preload=())) as host:
        first = _pid(host)
        host.call(Call("tests.worker.test_host:leak_task"))
        assert _pid(host) != first


HOARD: list[bytearray] = []


def leak_task(context: object, arguments: object, blobs: object) -> tuple[dict[str, int], tuple[bytes, ...]]:
    HOARD.append(bytearray(b"x" * (64 << 20)))
    return {}, ()


def test_a_fault_of_a_task_is_told_apart(host: Host) -> None:
    answer = host.call(Call(CLIMB, {"probes": [{"backend": "no.such:Thing", "options": {}}]}, (BAD,)))
    assert answer.outcome == FAULT
    assert "ModuleNotFoundError" in answer.stderr


def test_a_worker_serves_many_calls_and_a_fresh_one_serves_one(host: Host) -> None:
    pids = {_pid(host) for _ in range(5)}
    assert len(pids) == 1
    fresh = {_pid(host, fresh=True) for _ in range(3)}
    assert len(fresh) == 3
    assert not fresh & pids


def _pid(host: Host, *, fresh: bool = False) -> int:
    return int(host.call(Call("tests.worker.test_host:pid_task"), fresh=fresh).value["pid"])


def pid_task(context: object, arguments: object, blobs: object) -> tuple[dict[str, int], tuple[bytes, ...]]:
    return {"pid": os.getpid()}, ()


def test_calls_from_several_threads_do_not_mix(host: Host) -> None:
    names = ["raises", "honest", "segfaults", "answers_wrong"] * 8
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda name: call(host, name).outcome, names))
    assert outcomes == [DIED if name == "segfaults" else RETURNED for name in names]


@pytest.mark.parametrize("fork", [True, False])
def test_closing_ends_every_child_and_removes_every_file(fork: bool) -> None:
    with Host(HostOptions(preload=(), fork=fork)) as host:
        folder = host.folder
        pid = _pid(host)
        assert _alive(pid)
        call(host, "segfaults")
    assert not folder.exists()
    assert not _alive(pid)


def test_children_die_with_a_killed_parent(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from reducer.worker.host import Host, HostOptions\n"
        "from reducer.worker.protocol import Call\n"
        "host = Host(HostOptions(preload=()))\n"
        "pid = host.call(Call('tests.worker.test_host:pid_task')).value['pid']\n"
        "print(pid, host._zygote.pid, host.folder, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    worker, zygote, _ = ended.stdout.split()
    end = time.monotonic() + 10
    while time.monotonic() < end and (_alive(int(worker)) or _alive(int(zygote))):
        time.sleep(0.05)
    assert not _alive(int(worker))
    assert not _alive(int(zygote))


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
