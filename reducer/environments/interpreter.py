"""The interpreter that a run's children use: this one, the user's `--python`, or one made for `--with` (step 3)."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from reducer.environments.bounds import bounds_for
from reducer.environments.cache import key_of, made_once
from reducer.environments.installer import PYTHON, Conflict, install, python_in, run
from reducer.errors import UsageError

# What the child's modules import, and the runtime that is the first suspect.
NEEDED = ("numpy", "onnx", "onnxruntime")
# Narrow floats: installed where it can be, missed only when a model has them.
WANTED = "ml_dtypes"
PROBE_SECONDS = 120.0
_PROBE = """
import json, platform, sys
from importlib import import_module
out = {"python": platform.python_version(), "tag": sys.implementation.name + " " + platform.machine(), "missing": {}}
for name in sys.argv[1:]:
    try:
        import_module(name)
    except BaseException as error:
        out["missing"][name] = type(error).__name__ + ": " + (str(error).strip().splitlines() or [""])[-1]
print("\\n" + json.dumps(out))
"""


@dataclass(frozen=True)
class Interpreter:
    """`python` is its path; `packages` are the distributions that were asked for and those needed beside them;
    an `isolated` one was made by this program and gets no PYTHONPATH."""

    python: str = sys.executable
    packages: tuple[str, ...] = ()
    isolated: bool = False


@dataclass(frozen=True)
class Facts:
    """What an interpreter says of itself: version, implementation and machine, and modules that cannot be imported."""

    version: str
    tag: str
    missing: dict[str, str]

    def same_as(self, other: Facts) -> bool:
        """Whether the same wheels fit both."""
        return (self.version.split(".")[:2], self.tag) == (other.version.split(".")[:2], other.tag)


def interpreter_of(python: Path | None, requirements: Sequence[str], say: Callable[[str], None]) -> Interpreter:
    """The interpreter for `--python` and `--with`; one with requirements is made, or taken from the cache.

    Raises UsageError when it is no Python, lacks what is needed, or cannot be made.
    """
    if requirements:
        return made_for([parse(text) for text in requirements], say, place_of(python))
    if python is None:
        return Interpreter()
    place = place_of(python)
    missing = facts_of(place, NEEDED).missing
    if missing:
        name, reason = next(iter(missing.items()))
        hint = f"{python} -m pip install {' '.join(missing)}"
        raise UsageError(f"{python} cannot import {name}: {reason}", hint)
    return Interpreter(place, NEEDED)


def place_of(python: Path | None) -> str:
    """The interpreter's path: as given, or found as a shell would; this one for None. Links stay: a virtual
    environment's python is one."""
    if python is None:
        return sys.executable
    return os.path.abspath(shutil.which(python) or python)


def parse(text: str) -> Requirement:
    """A requirement as pip takes it by name. Raises UsageError."""
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        hint = "for example --with onnxruntime==1.17.3"
        raise UsageError(f"--with takes a requirement, not {text!r}: {str(error).splitlines()[0]}", hint) from error


def facts_of(python: str, modules: Iterable[str] = ()) -> Facts:
    """Ask an interpreter. Raises UsageError when it is none."""
    ended = run([python, "-c", _PROBE, *modules], python, PROBE_SECONDS)
    try:
        told = json.loads(ended.last)
        return Facts(told["python"], told["tag"], told["missing"])
    except (ValueError, KeyError, TypeError) as error:
        hint = "name the python of an environment, for example --python old/bin/python"
        raise UsageError(f"{python} is no Python interpreter: {ended.last}", hint) from error


def made_for(
    asked: Sequence[Requirement],
    say: Callable[[str], None],
    base: str = sys.executable,
    needed: Sequence[str] = NEEDED,
) -> Interpreter:
    """An interpreter with these requirements, and with what is `needed` beside them in the release that is here."""
    facts = facts_of(base) if base != sys.executable else _own()
    names: set[str] = {canonicalize_name(requirement.name) for requirement in asked}
    beside = [name for name in needed if not _has(names, name)]
    # The releases that are here, so that nothing else differs; another Python may have no wheels of them.
    pins = [_pin(name) for name in beside] if facts.same_as(_own()) else beside
    bounds = bounds_for([*asked, *map(Requirement, pins)])
    narrow = [] if WANTED in names or "onnx" not in needed else [WANTED]
    requirements = [*map(str, asked), *pins, *bounds, *narrow]
    key = key_of(requirements, f"{facts.version} {facts.tag} {base if base != sys.executable else ''}")

    def make(draft: Path) -> None:
        say(f"installing {', '.join(map(str, asked))} (once; kept in the cache)")
        try:
            install(draft, requirements, base)
        except Conflict:  # with the releases that are here: any others then
            install(draft, [*map(str, asked), *beside, *bounds, *narrow], base)
        broken = facts_of(python_in(draft), needed).missing
        if broken:
            name, reason = next(iter(broken.items()))
            hint = "another release of what it depends on may help: add it with a second --with"
            raise UsageError(f"{' '.join(requirements)} can be installed, but {name} not imported: {reason}", hint)

    folder = made_once(key, make, PYTHON)
    packages = tuple(dict.fromkeys((*sorted(names), *beside)))
    return Interpreter(python_in(folder), packages, isolated=True)


def _own() -> Facts:
    return Facts(platform.python_version(), f"{sys.implementation.name} {platform.machine()}", {})


def _has(names: set[str], wanted: str) -> bool:
    """Whether a package of that name, or one with the same modules (onnxruntime-gpu), was asked for."""
    return wanted in names or (wanted == "onnxruntime" and any(name.startswith("onnxruntime-") for name in names))


def _pin(name: str) -> str:
    """The release that is installed here; numpy is chosen by the others."""
    if name == "numpy":
        return name
    try:
        return f"{name}=={metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return name
