"""oracle.pkl of NNSmith: refused unless trusted, read in the worker, only what the graph has is fed."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from reducer.errors import UsageError
from reducer.frontends.pickled import pickle_in, read_pickled
from reducer.worker.host import Host
from tests.models import model_of
from tests.test_cli import run, save

LOG = model_of("g (float[3] x) => (float[3] y) { a = Abs(x) b = Log(a) y = Neg(b) }")


class Bomb:
    """Does what its owner wants when it is unpickled."""

    def __init__(self, call: str) -> None:
        self.call = call

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.call,)


def save_pickle(path: Path, content: object) -> Path:
    path.write_bytes(pickle.dumps(content))
    return path


def test_a_pickle_is_known_by_its_name_its_folder_or_its_first_byte(tmp_path: Path) -> None:
    oracle = save_pickle(tmp_path / "oracle.pkl", {})
    assert pickle_in(tmp_path) == oracle
    assert pickle_in(oracle) == oracle
    assert pickle_in(save_pickle(tmp_path / "inputs.npz", {})) is not None
    np.savez(tmp_path / "real.npz", x=np.ones(3))
    assert pickle_in(tmp_path / "real.npz") is None
    assert pickle_in(tmp_path / "gone") is None


def test_an_untrusted_pickle_is_not_touched(tmp_path: Path, host: Host) -> None:
    bomb = save_pickle(tmp_path / "oracle.pkl", {"input": Bomb(f"touch {tmp_path}/exploded")})
    with pytest.raises(UsageError, match="is a pickle") as caught:
        read_pickled(bomb, ["x"], "input", host, trust=False)
    assert "--trust" in caught.value.hint
    assert not (tmp_path / "exploded").exists()


def test_a_trusted_pickle_is_read_in_another_process(tmp_path: Path, host: Host) -> None:
    pid = tmp_path / "pid"
    content = {"input": {"x": np.arange(3.0), "lost": np.ones(1)}, "output": None, "note": Bomb(f"echo $PPID > {pid}")}
    oracle = save_pickle(tmp_path / "oracle.pkl", content)
    values = read_pickled(oracle, ["x"], "input", host, trust=True)
    assert list(values) == ["x"]
    assert values["x"].tolist() == [0, 1, 2]
    assert int(pid.read_text()) != os.getpid()
    with pytest.raises(UsageError, match="'output'"):
        read_pickled(oracle, ["y"], "expected", host, trust=True)


def test_a_pickle_that_breaks_or_kills_is_an_error_of_the_users(tmp_path: Path, host: Host) -> None:
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04 nonsense")
    with pytest.raises(UsageError, match="cannot be unpickled"):
        read_pickled(tmp_path / "a.pkl", ["x"], "input", host, trust=True)
    killer = save_pickle(tmp_path / "b.pkl", Bomb("kill -9 $PPID"))
    with pytest.raises(UsageError, match="died SIGKILL"):
        read_pickled(killer, ["x"], "input", host, trust=True)
    for content in ([1, 2], {"input": {"other": np.ones(2)}}, {"input": {"x": object()}}):
        with pytest.raises(UsageError, match="gives no values"):
            read_pickled(save_pickle(tmp_path / "c.pkl", content), ["x"], "input", host, trust=True)


def test_the_command_line_takes_a_finding_folder(tmp_path: Path) -> None:
    save(tmp_path, LOG)
    save_pickle(
        tmp_path / "oracle.pkl", {"input": {"x": np.ones(3, np.float32)}, "output": {"y": np.ones(3, np.float32)}}
    )
    refused = run("bad.onnx", "--inputs", ".", cwd=tmp_path)
    assert refused.returncode == 2
    assert "--trust" in refused.stderr
    ended = run("bad.onnx", "--inputs", ".", "--expected", "oracle.pkl", "--trust", "-q", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
