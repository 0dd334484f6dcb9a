"""A bisection from end to end: releases, environments, runs, the sentence, and its place in finding.json."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from reducer import registry
from reducer.bisection.judging import Judge, ModelJudge, Told
from reducer.bisection.releases import in_order, released
from reducer.bisection.search import MOST, Search, Verdict, Window, sentence
from reducer.environments.installer import IndexUnreachable
from reducer.environments.interpreter import facts_of, made_for, parse
from reducer.errors import UsageError
from reducer.finding import VersionFact
from reducer.worker.kit import is_own

FINDING = "finding.json"
# In finding.json the verdicts are four; a clean error in place of a crash counts by the side it is on.
_OUTCOME = {Verdict.FAILS: "fails", Verdict.PASSES: "passes", Verdict.DIFFERS: "differs", Verdict.UNKNOWN: "unknown"}


@dataclass(frozen=True)
class Task:
    """What to bisect. `among` are the releases to choose from (all that have wheels when empty), `beside` further
    requirements of every environment, `base` the interpreter that environments are made from. `likely` is where the
    failure was seen: looked at first where it is among them."""

    package: str
    base: str
    beside: tuple[str, ...] = ()
    among: tuple[str, ...] = ()
    good: str | None = None
    bad: str | None = None
    likely: str | None = None
    most: int = MOST


@dataclass(frozen=True)
class Found:
    """All releases asked, from old to new, and the sentence that they prove."""

    facts: tuple[VersionFact, ...]
    window: str
    fails_somewhere: bool


@dataclass
class _Asked:
    """Runs releases and keeps what they said."""

    task: Task
    judge: Judge
    say: Callable[[str], None]
    told: dict[str, Told] = field(default_factory=dict)

    def __call__(self, version: str) -> Verdict:
        self.say(f"trying {self.task.package} {version}")
        start = time.perf_counter()
        told = self._run(version)
        # With the installation: what one waits for.
        self.told[version] = replace(told, seconds=time.perf_counter() - start)
        return told.verdict

    def _run(self, version: str) -> Told:
        asked = [parse(f"{self.task.package}=={version}"), *map(parse, self.task.beside)]
        try:
            interpreter = made_for(asked, lambda _: None, self.task.base)
        except IndexUnreachable:
            raise
        except UsageError as error:
            return Told(Verdict.UNKNOWN, str(error))
        return self.judge.judge(interpreter)


def bisect(task: Task, judge: Judge, say: Callable[[str], None]) -> Found:
    """Ask releases until the window is known. Raises UsageError when releases cannot be listed or installed at all,
    and when a release that the user named is not among them."""
    versions = in_order(task.among, all_of_them=True) if task.among else released(task.package, _python_of(task.base))
    for option, version in (("--good", task.good), ("--bad", task.bad)):
        if version is not None and version not in versions:
            hint = f"there are {versions[0]} to {versions[-1]}" if versions else "there are none"
            raise UsageError(f"{option} {version}: {task.package} has no such release for this Python", hint)
    asked = _Asked(task, judge, say)
    search = Search(versions, asked, task.most)
    start = task.bad or (task.likely if task.likely in versions else None)
    window = search.window(start, task.good)
    if window.older is None and task.bad is None and start is not None:
        window = search.window(None, task.good)
    facts = tuple(_fact(task.package, v, asked.told[v], window, versions) for v in versions if v in asked.told)
    told = _sentence(task, window, asked)
    if search.exhausted:
        told += f" (stopped after {task.most} releases)"
    return Found(facts, told, window.older is not None)


def _sentence(task: Task, window: Window, asked: _Asked) -> str:
    told = asked.told
    if window.older is None and told and all(t.verdict is Verdict.UNKNOWN for t in told.values()):
        return f"cannot be told: none of {len(told)} releases of {task.package} can run it"
    if task.bad is not None and window.older is None:
        return f"does not fail in {task.package} {task.bad} (what was seen: {told[task.bad].verdict})"
    return sentence(task.package, window, len(told))


def _fact(package: str, version: str, told: Told, window: Window, versions: Sequence[str]) -> VersionFact:
    outcome = _OUTCOME.get(told.verdict)
    if outcome is None:
        newer = window.newer is not None and versions.index(version) > versions.index(window.newer.fails)
        outcome = "passes" if newer else "differs"
    return VersionFact(package, version, outcome, told.detail[:300], round(told.seconds, 3))


def _python_of(base: str) -> str | None:
    return None if is_own(base) else ".".join(facts_of(base).version.split(".")[:2])


# --- findings ------------------------------------------------------------------------------------------------------
def read_finding(folder: Path) -> dict[str, Any]:
    """finding.json of an output folder. Raises UsageError when there is none with a reduced model."""
    path = folder / FINDING
    try:
        finding = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        hint = "name the output folder of a run: onnx-reduce bisect bad.reduced"
        raise UsageError(f"cannot read {path}: {error.strerror}", hint) from error
    except ValueError as error:
        raise UsageError(f"{path} is no finding: {error}") from error
    if not isinstance(finding, dict) or not finding.get("reduced") or not finding.get("failure"):
        raise UsageError(f"{path} holds no reduced failure: there is nothing to bisect")
    return finding


def package_of(finding: Mapping[str, Any]) -> str:
    """The package that is suspected: what the failing backend cannot do without."""
    probes = (finding.get("reproduction") or {}).get("probes") or []
    path = registry.backends().get(probes[0]["backend"]) if probes else None
    if path is None:
        raise UsageError("the finding does not tell which package fails", "name it: --package onnxruntime")
    module, _, name = path.partition(":")
    return str(getattr(__import__(module, fromlist=[name]), name).requires[0])


def task_of(finding: Mapping[str, Any], task: Task) -> Task:
    """The task with the release that the finding was made with, and its other releases beside."""
    environment = finding.get("environment") or {}
    package = canonicalize_name(task.package)
    pins = list(environment.get("requirements") or ())
    pins += [f"{name}=={environment[name]}" for name in ("onnx", "onnxruntime") if environment.get(name)]
    named = {canonicalize_name(Requirement(text).name) for text in task.beside}
    beside = list(task.beside)
    for pin in pins:
        name = canonicalize_name(Requirement(pin).name)
        if name not in (package, "numpy", *named):
            named.add(name)
            beside.append(pin)
    return replace(task, beside=tuple(beside), likely=environment.get(task.package))


def bisect_finding(
    folder: Path, finding: Mapping[str, Any], task: Task, say: Callable[[str], None], timeout: float | None = None
) -> Found:
    """Bisect the reduced model of a finding that lies in `folder`."""
    with ModelJudge(folder, finding, timeout) as judge:
        return bisect(task_of(finding, task), judge, say)


def _of(packages: Iterable[str], sentence: str) -> bool:
    return any(f" {package} " in sentence for package in packages)


def write_back(folder: Path, found: Found) -> None:
    """Put versions and window into finding.json, atomically; those of other packages stay."""
    path = folder / FINDING
    finding = json.loads(path.read_text(encoding="utf-8"))
    packages = {fact.package for fact in found.facts}
    kept = [fact for fact in finding.get("versions") or [] if fact.get("package") not in packages]
    sentences = [s for s in (finding.get("window") or "").split("; ") if s and not _of(packages, s)]
    finding["versions"] = [*kept, *map(asdict, found.facts)]
    finding["window"] = "; ".join([*sentences, found.window])
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(json.dumps(finding, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        os.replace(draft, path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {error.strerror}", "the result is what was printed") from error
