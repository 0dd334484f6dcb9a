"""A run that was cut off goes on where it was, repeats nothing, and refuses to go on with something else."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import onnx
import pytest

from reducer.engine.verdict import Verdict
from reducer.errors import HostGone, UsageError
from reducer.resuming import remembered
from reducer.worker.host import Host, HostOptions
from reducer.worker.protocol import Call
from reducer.workspace import Workspace
from tests.conftest import ROOT
from tests.models import chain_text, model_of

CHECK = """
import sys, time, onnx
time.sleep(0.15)
ops = {node.op_type for node in onnx.load(sys.argv[1]).graph.node}
sys.exit(3 if {"Elu", "Tanh"} <= ops else 0)
"""


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from reducer.cli import entry; entry()", "bad.onnx", *words,
         "--check", sys.executable, "check.py"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT)), start_new_session=True,
    )  # fmt: skip


def prepare(folder: Path, bad: dict[int, str] | None = None) -> None:
    (folder / "check.py").write_text(CHECK)
    onnx.save(model_of(chain_text(40, bad or {11: "Elu", 31: "Tanh"})), str(folder / "bad.onnx"))


def verdicts(log: Path) -> list[dict[str, Any]]:
    found = []
    for line in log.read_text().splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if "verdict" in record:
            found.append(record)
    return found


def kill_after(process: subprocess.Popen[str], log: Path, count: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        if log.exists() and len(verdicts(log)) >= count:
            break
        time.sleep(0.02)
    time.sleep(random.random() * 0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_a_run_killed_at_any_point_goes_on_and_repeats_nothing(tmp_path: Path) -> None:
    prepare(tmp_path)
    whole = start(tmp_path, "--output", "whole")
    assert whole.wait() == 0
    wanted = verdicts(tmp_path / "whole" / "log.jsonl")
    log = tmp_path / "cut.partial" / "log.jsonl"
    kill_after(start(tmp_path, "--output", "cut"), log, 1)
    kill_after(start(tmp_path, "--output", "cut", "--resume"), log, 8)
    with open(log, "a") as stream:
        stream.write('{"call": 99, "verd')  # as a write that was cut off
    before = len(verdicts(log))
    assert 1 <= before < len(wanted)
    last = start(tmp_path, "--output", "cut", "--resume")
    assert last.wait() == 0, last.communicate()
    after = verdicts(tmp_path / "cut" / "log.jsonl")
    assert [record["key"] for record in after] == [record["key"] for record in wanted]
    assert not log.parent.exists()
    same = [(tmp_path / name / "reduced.onnx").read_bytes() for name in ("whole", "cut")]
    assert same[0] == same[1]
    finding = json.loads((tmp_path / "cut" / "finding.json").read_text())
    assert finding["search"]["oracle_calls"] == len(wanted) - before
    assert finding["search"]["cache_hits"] >= before


def test_another_model_check_or_folder_is_refused(tmp_path: Path) -> None:
    prepare(tmp_path)
    kill_after(start(tmp_path), tmp_path / "bad.reduced.partial" / "log.jsonl", 2)
    saved = (tmp_path / "bad.reduced.partial" / "log.jsonl").read_bytes()
    for words, change in (
        (("--resume", "--fail-code", "3"), "the options changed"),
        (("--resume", "--output", "elsewhere"), "nothing to resume"),
    ):
        ended = start(tmp_path, *words)
        _, told = ended.communicate()
        assert ended.returncode == 2
        assert change in told
    prepare(tmp_path, {2: "Elu", 3: "Tanh"})
    ended = start(tmp_path, "--resume")
    _, told = ended.communicate()
    assert ended.returncode == 2
    assert "the model changed" in told
    assert (tmp_path / "bad.reduced.partial" / "log.jsonl").read_bytes() == saved


def test_another_version_of_a_backend_is_refused(tmp_path: Path) -> None:
    first = Workspace(tmp_path / "o", force=False)
    run = {"source": "a", "environment": {"onnxruntime": "1.0"}}
    assert remembered(first, run) == {}
    first.log({"call": 1, "key": "k", "verdict": "slipped", "signature": "s", "seconds": 0.1, "limit": 2.0})
    first.release()
    again = Workspace(tmp_path / "o", force=False, resume=True)
    known = remembered(again, run)
    assert known["k"].verdict is Verdict.SLIPPED
    assert known["k"].limit == 2.0
    with pytest.raises(UsageError, match="versions of the backends changed"):
        remembered(again, {"source": "a", "environment": {"onnxruntime": "2.0"}})


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    Workspace(tmp_path / "o", force=False)  # this process is alive
    with pytest.raises(UsageError, match="another run is at work"):
        Workspace(tmp_path / "o", force=False, resume=True)


def test_a_run_that_was_cut_short_is_resumed_from_its_folder(tmp_path: Path) -> None:
    prepare(tmp_path)
    assert start(tmp_path, "--budget-calls", "3").wait() == 0
    ended = start(tmp_path, "--resume")
    assert ended.wait() == 0
    finding = json.loads((tmp_path / "bad.reduced" / "finding.json").read_text())
    assert finding["status"] == "reduced"
    assert finding["search"]["cache_hits"] >= 3
    assert finding["reduced"]["nodes"] == 2


def test_a_full_disk_is_a_clear_error_and_keeps_what_is_there(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "o", force=False)
    workspace.write("reduced.onnx", b"the best")
    workspace._log.close()
    workspace._log = open("/dev/full", "w")  # noqa: SIM115 - closed by release()
    with pytest.raises(UsageError, match="No space left on device"):
        workspace.log({"call": 1})
    workspace.release()
    shutil.rmtree(workspace.folder / "also_found", ignore_errors=True)
    (workspace.folder / "also_found").write_text("in the way")
    with pytest.raises(UsageError, match="cannot write"):
        workspace.also_found("sig", "detail", b"model")
    assert (workspace.folder / "reduced.onnx").read_bytes() == b"the best"


def test_a_vanished_temporary_folder_is_a_clear_error() -> None:
    with Host(HostOptions(preload=())) as host:
        host.call(Call("tests.worker.test_host:pid_task"))
        shutil.rmtree(host.folder)
        with pytest.raises(HostGone, match="temporary folder is gone"):
            host.call(Call("tests.worker.test_host:pid_task"))


def test_what_a_killed_run_left_in_the_temporary_folder_is_cleared(tmp_path: Path) -> None:
    script = (
        "import os, signal\n"
        "from reducer.worker.host import Host, HostOptions\n"
        "host = Host(HostOptions(preload=()))\n"
        "print(host.folder, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = dict(os.environ, TMPDIR=str(tmp_path), PYTHONPATH=str(ROOT))
    first = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    left = Path(first.stdout.strip())
    assert left.exists()
    second = subprocess.run(
        [sys.executable, "-c", script.replace("os.kill", "host.close() #")], env=environment, check=True, timeout=60
    )
    assert second.returncode == 0
    assert not left.exists()
    assert list(tmp_path.iterdir()) == []
