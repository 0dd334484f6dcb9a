"""Runs the failing case under one interpreter: the reduced model in a worker there, or a script of the user's."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import onnx

from reducer import registry
from reducer.bisection.matching import Known, Seen, classify
from reducer.bisection.search import Verdict
from reducer.environments.interpreter import Interpreter
from reducer.errors import EditConflict, ToolFault, UsageError
from reducer.frontends.subject import InputOptions, Subject, load_subject
from reducer.observation import Probe
from reducer.oracles.prober import Order, Prober
from reducer.signature import NEVER_A_MATCH
from reducer.testcase import DEFAULT_TOLERANCE, Tolerance
from reducer.worker.host import Host, HostOptions
from reducer.worker.kit import plain_environment
from reducer.worker.machine import memory_cap
from reducer.worker.protocol import Call
from reducer.workspace import EXPECTED, INPUTS

CLIMB = "reducer.worker.tasks:climb"
CONTROL_SECONDS = 60.0
SCRIPT_SECONDS = 300.0
# Exit codes of a script, as for `git bisect run`; the last two are what shells and env answer.
SKIP, NOT_STARTED = 125, (126, 127)


@dataclass(frozen=True)
class Told:
    """What one run under one interpreter said."""

    verdict: Verdict
    detail: str
    seconds: float = 0.0


class Judge(Protocol):
    """Runs the failing case under an interpreter."""

    def judge(self, interpreter: Interpreter) -> Told:
        """The verdict there; never raises for what the case does."""
        ...


class ModelJudge:
    """The reduced model of a finding, in a worker of its own per interpreter. Use as a context manager.

    Nothing of the finding is executed: the probes are run again, and scripts are left alone.
    """

    def __init__(self, folder: Path, finding: Mapping[str, Any], timeout: float | None = None) -> None:
        repro = finding.get("reproduction") or {}
        if not repro.get("probes"):
            hint = f"run its script instead: onnx-reduce bisect --script {folder / 'repro.py'} --package NAME"
            raise UsageError("this failure is judged by a command, not by a backend that can be run again", hint)
        self.probes = _probes(repro)
        self.known = _known(repro, finding)
        self.seconds = timeout or float(repro.get("timeout_seconds") or 60.0)
        self._host = Host(HostOptions(preload=()))
        try:
            self.subject = _subject(folder, finding, self._host)
        except BaseException:
            self._host.close()
            raise
        self._tolerance = _tolerance(repro)

    def __enter__(self) -> ModelJudge:
        return self

    def __exit__(self, *_: object) -> None:
        self._host.close()

    def judge(self, interpreter: Interpreter) -> Told:
        """The verdict under that interpreter."""
        with Host(options_for(interpreter)) as host:
            return self.judge_model(host, self.subject)

    def judge_model(self, host: Host, subject: Subject) -> Told:
        """The verdict on a model that stands for the reduced one, in a worker of `host`."""
        expected = subject.expected if self.known.form == "mismatch" and len(self.probes) == 1 else {}
        prober = Prober(host, registry.backends(), subject.feeds, self._tolerance)
        order = Order(self.probes, compare=self.known.form == "mismatch", expected=expected)
        try:
            observations, comparison = prober.climb(subject.program, order, self.seconds)
        except (EditConflict, ToolFault) as error:
            return Told(Verdict.UNKNOWN, str(error).strip().splitlines()[-1])
        seen = Seen(observations, comparison, len(self.probes), lambda: self._control(host, subject))
        return Told(*classify(self.known, seen, subject.vocabulary))

    def _control(self, host: Host, subject: Subject) -> bool:
        """Whether the first probe can open a model of one Identity with the same opsets and IR version."""
        probe = {"backend": registry.backends()[self.probes[0].backend], "options": dict(self.probes[0].options)}
        arguments = {"probes": [{**probe, "run": False}]}
        answer = host.call(Call(CLIMB, arguments, (control_model(subject),), CONTROL_SECONDS))
        return bool(answer.value.get("probes")) and not answer.value["probes"][0]["error"]


def options_for(interpreter: Interpreter) -> HostOptions:
    """A host with that interpreter for its children."""
    options = HostOptions(preload=(), memory=memory_cap(None), python=interpreter.python)
    return replace(options, packages=interpreter.packages, isolated=interpreter.isolated)


def control_model(subject: Subject) -> bytes:
    """The smallest model with the opsets and the IR version of the subject."""
    header = onnx.ModelProto.FromString(subject.program.source.bare_header)
    model = onnx.ModelProto(ir_version=header.ir_version, opset_import=header.opset_import)
    value = onnx.helper.make_tensor_value_info
    graph = model.graph
    graph.name = "control"
    graph.input.append(value("x", onnx.TensorProto.FLOAT, [1]))
    graph.output.append(value("y", onnx.TensorProto.FLOAT, [1]))
    graph.node.append(onnx.helper.make_node("Identity", ["x"], ["y"]))
    if not any(opset.domain in ("", "ai.onnx") for opset in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid("", 9))
    return bytes(model.SerializeToString())


def _probes(repro: Mapping[str, Any]) -> tuple[Probe, ...]:
    have = registry.backends()
    for probe in repro["probes"]:
        if probe["backend"] not in have:
            raise UsageError(f"the finding names a backend that is not here: {probe['backend']}")
    runs = repro.get("stage") in ("run", "compare")
    return tuple(Probe(p["backend"], dict(p.get("options") or {}), run=runs) for p in repro["probes"])


def _known(repro: Mapping[str, Any], finding: Mapping[str, Any]) -> Known:
    message = (finding.get("failure") or {}).get("message") or ""
    return Known(repro["form"], tuple(repro.get("fragments") or ()), message, repro.get("error_class") or "")


def _tolerance(repro: Mapping[str, Any]) -> Tolerance:
    """The user's; where it is the default of float32, the one of each dtype."""
    given = [repro.get("rtol"), repro.get("atol")]
    rtol, atol = (None if value in (None, DEFAULT_TOLERANCE) else float(value) for value in given)
    return Tolerance(rtol, atol)


def _subject(folder: Path, finding: Mapping[str, Any], host: Host) -> Subject:
    model = folder / str((finding.get("reduced") or {}).get("path", "reduced.onnx"))
    inputs, expected = folder / INPUTS, folder / EXPECTED
    options = InputOptions(inputs if _holds(inputs) else None, expected if _holds(expected) else None)
    return load_subject(model, options, host, by_command=False)


def _holds(path: Path) -> bool:
    """Whether the file is there and is no empty archive."""
    import numpy as np

    if not path.is_file():
        return False
    with np.load(path, allow_pickle=False) as saved:
        return bool(saved.files)


@dataclass(frozen=True)
class ScriptJudge:
    """A script with exit codes as for `git bisect run`: 0 passes, 125 cannot tell, 1 and others fail; a death by a
    signal fails too. A script that dies of a missing module cannot tell."""

    script: Path
    seconds: float = SCRIPT_SECONDS

    def judge(self, interpreter: Interpreter) -> Told:
        """The verdict under that interpreter."""
        with tempfile.TemporaryDirectory(prefix="onnx-reduce-bisect-") as empty, open(f"{empty}/log", "w+b") as log:
            process = subprocess.Popen(
                [interpreter.python, str(self.script.resolve())],
                cwd=empty,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=plain_environment(os.environ, interpreter.python),
                start_new_session=True,
            )
            try:
                code = process.wait(self.seconds)
            except subprocess.TimeoutExpired:
                return Told(Verdict.UNKNOWN, f"no answer in {self.seconds:g} s")
            finally:
                _end(process)
            log.seek(0)
            lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
        return Told(*_of_code(code, lines[-1][:300] if lines else ""))


def _of_code(code: int, last: str) -> tuple[Verdict, str]:
    if code == 0:
        return Verdict.PASSES, last
    if code < 0:
        names = {int(known): known.name for known in signal.Signals}
        return Verdict.FAILS, names.get(-code, f"signal {-code}")
    if code == SKIP or code in NOT_STARTED or last.split(":")[0] in NEVER_A_MATCH:
        return Verdict.UNKNOWN, last or f"exit code {code}"
    return Verdict.FAILS, last or f"exit code {code}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the whole group: what the script started, too."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
