"""Which releases of a package have wheels for an interpreter: asked of pip, whatever index it is set up for."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence

from packaging.version import InvalidVersion, Version

from reducer.environments.installer import IndexUnreachable, is_offline, pip_command, run
from reducer.errors import UsageError

# `pip index versions` counts sdists too, whatever --only-binary says; what pip says of a requirement that nothing
# meets does not.
_OFFERED = re.compile(r"\(from versions: (.*)\)")
LIST_SECONDS = 300.0


def released(package: str, python_version: str | None = None) -> tuple[str, ...]:
    """Released versions with wheels, from old to new, without pre-releases; `python_version` as "3.10" for another
    interpreter.

    Raises UsageError when the index cannot be reached or has none.
    """
    with tempfile.TemporaryDirectory(prefix="onnx-reduce-list-") as empty:
        words = ["download", "--no-deps", "--no-input", "--only-binary", ":all:", "--dest", empty]
        words += ["--python-version", python_version] if python_version else []
        ended = run([*pip_command(), *words, f"{package}<0"], seconds=LIST_SECONDS)
    if is_offline(ended.output):
        hint = "connect, or name installed releases with --among 1.22.0,1.23.2"
        raise IndexUnreachable(f"cannot list the releases of {package}: the package index cannot be reached", hint)
    found = _OFFERED.search(ended.output)
    versions = in_order(found.group(1).split(", ")) if found and found.group(1) != "none" else ()
    if not versions:
        hint = "check the name, or name releases with --among"
        raise UsageError(f"cannot list the releases of {package}: {ended.last}", hint)
    return versions


def in_order(versions: Sequence[str], *, all_of_them: bool = False) -> tuple[str, ...]:
    """The versions from old to new, each once; pre-releases only with `all_of_them`. Raises UsageError for what is
    no version."""
    try:
        known = {text.strip(): Version(text) for text in versions if text.strip()}
    except InvalidVersion as error:
        raise UsageError(f"not a version: {error}", "for example --among 1.22.0,1.23.2") from error
    kept = (text for text, version in known.items() if all_of_them or not version.is_prerelease)
    return tuple(sorted(kept, key=known.__getitem__))
