"""Installs released wheels into a new virtual environment: uv when it is there, and pip.

pip has the last word: uv reads nothing of pip's configuration, where an index of one's own may be set. Wheels only:
an sdist would be compiled for minutes, and run its setup code.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from reducer.environments.cache import made_once
from reducer.errors import UsageError
from reducer.worker.kit import is_own, plain_environment

INSTALL_SECONDS = 1800.0
_WINDOWS = sys.platform == "win32"
PYTHON = "Scripts/python.exe" if _WINDOWS else "bin/python"
# Lines of pip that say nothing of what went wrong.
_NOISE = ("WARNING", "[notice]", "DEPRECATION")


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code and the last line that says something."""

    code: int
    last: str
    output: str


def python_in(folder: Path) -> str:
    """The interpreter of a virtual environment."""
    return str(folder / PYTHON)


def uv_command() -> list[str] | None:
    """How to start uv, None when it is not there."""
    if found := shutil.which("uv"):
        return [found]
    return [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else None


def install(folder: Path, requirements: Sequence[str], base: str) -> None:
    """Make a virtual environment of the interpreter `base` in `folder`. Raises UsageError with the last line of pip."""
    if (uv := uv_command()) is not None:
        made = run([*uv, "venv", "--quiet", "--allow-existing", "--python", base, str(folder)])
        into = ["pip", "install", "--quiet", "--python", python_in(folder), "--only-binary", ":all:"]
        if made.code == 0 and run([*uv, *into, *requirements]).code == 0:
            return
        shutil.rmtree(folder, ignore_errors=True)
    python = _empty(folder, base)
    pip = [python, "-m", "pip"] if not is_own(base) else [*pip_command(), "--python", python]
    ended = run([*pip, "install", "--quiet", "--only-binary", ":all:", "--no-input", *requirements], python)
    if ended.code != 0:
        text = f"cannot install {' '.join(requirements)}: {ended.last}"
        if is_offline(ended.output):
            hint = "the package index cannot be reached: connect, or name an interpreter that has it with --python"
            raise IndexUnreachable(text, hint)
        if "ResolutionImpossible" in ended.output:
            raise Conflict(text, "these exclude each other: name another release of one of them with --with")
        raise UsageError(text, "see which releases there are with: python -m pip index versions NAME")


def _empty(folder: Path, base: str) -> str:
    """A virtual environment with nothing in it but, for another interpreter, its own pip."""
    if is_own(base):
        venv.create(folder, symlinks=not _WINDOWS, clear=True)
        return python_in(folder)
    ended = run([base, "-m", "venv", "--clear", str(folder)], base)
    if ended.code != 0:
        raise UsageError(f"{base} cannot make a virtual environment: {ended.last}", "install its venv module, or uv")
    return python_in(folder)


@cache
def pip_command() -> list[str]:
    """How to start a pip: this interpreter's, or one of its own in the cache. Raises UsageError without either."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]

    def make(draft: Path) -> None:
        ended = run([sys.executable, "-m", "venv", "--clear", str(draft)])
        if ended.code != 0:
            raise UsageError(f"there is no pip here: {ended.last}", f"{sys.executable} -m ensurepip")

    folder = made_once(f"pip-{sys.version_info.major}.{sys.version_info.minor}", make, PYTHON)
    return [python_in(folder), "-m", "pip"]


def run(command: Sequence[str], python: str = sys.executable, seconds: float = INSTALL_SECONDS) -> Ended:
    """Run a command to its end; a time-out and a command that is not there are endings too."""
    try:
        ended = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds,
            env={**plain_environment(os.environ, python), "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Ended(1, f"no end after {seconds:.0f} s", "")
    except OSError as error:
        return Ended(127, f"{command[0]}: {error.strerror}", "")
    lines = [line.strip() for line in ended.stdout.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(_NOISE)]
    return Ended(ended.returncode, (telling or lines or ["no message"])[-1], ended.stdout)


# What pip and urllib3 print of an index that does not answer.
_OFFLINE = ("Retrying (Retry(", "NewConnectionError", "Max retries exceeded", "Temporary failure in name resolution")


class Conflict(UsageError):
    """The requirements exclude each other."""


class IndexUnreachable(UsageError):
    """Nothing can be installed: the package index does not answer."""


def is_offline(output: str) -> bool:
    """Whether pip complained that the index cannot be reached."""
    return any(sign in output for sign in _OFFLINE)
