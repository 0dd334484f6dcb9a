"""From `--python` and `--with` to the options of a host (step 3 of the data path)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from reducer.environments.interpreter import interpreter_of
from reducer.worker.host import HostOptions


def options_elsewhere(
    options: HostOptions, python: Path | None, requirements: Sequence[str], say: Callable[[str], None]
) -> HostOptions:
    """The options with the interpreter that the user wants. Raises UsageError when it cannot be had."""
    found = interpreter_of(python, requirements, say)
    return replace(options, python=found.python, packages=found.packages, isolated=found.isolated)
