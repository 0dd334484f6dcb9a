"""The oracle for --check: a user's command decides, with exit codes in Polygraphy's meaning."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from reducer.engine.verdict import Judgement, Verdict
from reducer.errors import EditConflict, UsageError
from reducer.oracles.base import Oracle
from reducer.oracles.limits import Limits
from reducer.programs.onnx import OnnxProgram
from reducer.saving import FEW_BYTES, outside_bytes
from reducer.signature import FailureSignature, Vocabulary, normalise

PLACEHOLDER = "{}"
_NOT_FOUND = (126, 127)


@dataclass(frozen=True)
class Check:
    """The command and which of its endings count. Without codes any nonzero exit fails."""

    command: tuple[str, ...]
    fail_codes: tuple[int, ...] = ()
    ignore_fail_codes: tuple[int, ...] = ()
    fail_regex: str = ""

    def argv(self, model: Path) -> list[str]:
        """The command with the candidate's path where {} stands, else at the end."""
        if any(PLACEHOLDER in word for word in self.command):
            return [word.replace(PLACEHOLDER, str(model)) for word in self.command]
        return [*self.command, str(model)]

    def fails(self, code: int, text: str) -> bool:
        """Whether this ending counts as the failure."""
        if code == 0 or code in self.ignore_fail_codes:
            return False
        if self.fail_codes and code not in self.fail_codes:
            return False
        return not self.fail_regex or re.search(self.fail_regex, text) is not None


@dataclass(frozen=True)
class Ending:
    """How one run of the command ended; `code` None is a time-out."""

    code: int | None
    text: str
    seconds: float


class CommandOracle(Oracle):
    """INTERESTING when the command fails with the same code and, unless a regex decides, the same last line."""

    def __init__(self, check: Check, folder: Path, vocabulary: Vocabulary, limits: Limits) -> None:
        self.check, self.folder, self.vocabulary, self.limits = check, folder, vocabulary, limits
        self.target: FailureSignature | None = None
        self.first: Ending | None = None
        self._files = itertools.count()
        folder.mkdir(parents=True, exist_ok=True)

    def aim(self, program: OnnxProgram) -> Ending:
        """Run the source once; sets the target when it fails. Raises UsageError when it cannot be started."""
        ending = self.run(program, self.limits.full)
        if ending.code is None or self.check.fails(ending.code, ending.text):
            self.target = self._signature(ending)
        if ending.code is not None:
            self.limits.saw(ending.seconds)
        self.limits.hang = ending.code is None
        self.first = ending
        return ending

    def judge(self, program: OnnxProgram) -> Judgement:
        """The verdict of the command on a candidate."""
        return self._judge(program, self.limits.candidate)

    def confirm(self, program: OnnxProgram) -> Judgement:
        """The same under the full limit; every run of a command is a fresh process."""
        return self._judge(program, self.limits.full)

    def _judge(self, program: OnnxProgram, seconds: float) -> Judgement:
        assert self.target is not None, "aim() comes first"
        try:
            ending = self.run(program, seconds)
        except EditConflict as conflict:
            return Judgement(Verdict.INVALID, reason=str(conflict))
        if ending.code is None and self.target.kind != "hang":
            reason = f"no answer in {seconds:.1f} s"
            return Judgement(Verdict.UNRESOLVED, seconds=ending.seconds, reason=reason, limit=seconds)
        if ending.code is not None:
            self.limits.saw(ending.seconds)
            if not self.check.fails(ending.code, ending.text):
                return Judgement(Verdict.PASSED, seconds=ending.seconds)
        signature = self._signature(ending)
        same = signature == self.target
        verdict = Verdict.INTERESTING if same else Verdict.SLIPPED
        limit = seconds if ending.code is None else 0.0
        return Judgement(verdict, signature.id, ending.seconds, signature.detail, limit)

    def _signature(self, ending: Ending) -> FailureSignature:
        if ending.code is None:
            return FailureSignature("command", "command", "hang", "hang of the command")
        kind = f"exit code {ending.code}"
        if ending.code < 0:
            with contextlib.suppress(ValueError):
                kind = signal.Signals(-ending.code).name
        if self.check.fail_regex:
            return FailureSignature("command", "command", kind, f"output matches {self.check.fail_regex}")
        lines = [line for line in ending.text.splitlines() if line.strip()]
        return FailureSignature("command", "command", kind, normalise(lines[-1] if lines else "", self.vocabulary))

    def run(self, program: OnnxProgram, seconds: float) -> Ending:
        """Write the candidate, run the command in its own process group, kill the group when time is up."""
        apart = outside_bytes(program) > FEW_BYTES  # then the candidate lies where its weights are
        path = ((program.folder if apart else None) or self.folder) / f"checked-{next(self._files)}.onnx"
        path.write_bytes(program.model_bytes(inline=not apart))
        try:
            return self._run(self.check.argv(path), seconds)
        finally:
            path.unlink(missing_ok=True)

    def _run(self, argv: list[str], seconds: float) -> Ending:
        start = time.perf_counter()
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise UsageError(f"--check cannot be started: {argv[0]}: {error.strerror}") from error
        try:
            text, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            _kill_group(process)
            return Ending(None, "", time.perf_counter() - start)
        except BaseException:
            _kill_group(process)
            raise
        return Ending(process.returncode, text, time.perf_counter() - start)


def _kill_group(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
    process.communicate()
