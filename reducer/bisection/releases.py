"""Which releases of a package have wheels for an interpreter: asked of pip, whatever index it is set up for."""

from __future__ import annotations

import re
from collections.abc import Sequence

from packaging.version import InvalidVersion, Version

from reducer.environments.installer import is_offline, pip_command, run
from reducer.errors import UsageError

_AVAILABLE = re.compile(r"^Available versions: (.+)$", re.MULTILINE)
LIST_SECONDS = 300.0


def released(package: str, python_version: str | None = None) -> tuple[str, ...]:
    """Released versions from old to new, without pre-releases; `python_version` as "3.10" for another interpreter.

    Raises UsageError when the index cannot be reached or does not know the package.
    """
    wheels = ["--only-binary", ":all:", *(["--python-version", python_version] if python_version else [])]
    ended = run([*pip_command(), "index", "versions", package, *wheels], seconds=LIST_SECONDS)
    found = _AVAILABLE.search(ended.output)
    if ended.code != 0 or found is None:
        if is_offline(ended.output):
            hint = "connect, or name installed releases with --among 1.22.0,1.23.2"
            raise UsageError(f"cannot list the releases of {package}: the package index cannot be reached", hint)
        hint = "check the name, or name releases with --among"
        raise UsageError(f"cannot list the releases of {package}: {ended.last}", hint)
    return in_order(found.group(1).split(", "))


def in_order(versions: Sequence[str]) -> tuple[str, ...]:
    """The versions from old to new, each once. Raises UsageError for what is no version."""
    try:
        return tuple(sorted(dict.fromkeys(v.strip() for v in versions if v.strip()), key=Version))
    except InvalidVersion as error:
        raise UsageError(f"not a version: {error}", "for example --among 1.22.0,1.23.2") from error
