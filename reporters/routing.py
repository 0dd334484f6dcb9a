"""Which tracker a draft is for: what the finding says, else the first suspect with a place of its own, else the
backend that fails. `trackers()` finds the built-in ones by scanning and others by the entry point
`onnx_reduce.trackers`."""

from __future__ import annotations

import re
from functools import cache
from typing import ClassVar

from reducer.discovery import discover
from reducer.errors import UsageError
from reporters.trackers.base import BlankTracker, Facts, Tracker

CONVERTER = "converter"
DEFAULT, ONNX = "onnxruntime", "onnx"
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


class Elsewhere(BlankTracker):
    """A repository whose form is not known: the plain layout."""

    name: ClassVar[str] = "elsewhere"
    repository: ClassVar[str] = ""

    def __init__(self, repository: str) -> None:
        self.__dict__["repository"] = repository

    def labels(self, facts: Facts) -> tuple[str, ...]:
        """None is known there."""
        return ()

    def checks(self, facts: Facts) -> tuple[str, ...]:
        """What is to be done where no form is known."""
        return ("No form of this repository is known here: look whether it has one.",)


@cache
def trackers() -> tuple[Tracker, ...]:
    """All of them, forms that fit most failures of their repository first."""
    found = [kind() for kind in discover("reporters.trackers", Tracker, "onnx_reduce.trackers")]  # type: ignore[type-abstract]
    return tuple(sorted(found, key=lambda tracker: (tracker.rank, tracker.name)))


def tracker_of(facts: Facts) -> Tracker:
    """The tracker for this finding. `finding.tracker` may be owner/name or the name of a tracker; a name that
    is not known is no reason to write no draft."""
    finding = facts.finding
    if finding.tracker:
        found = find(finding.tracker, facts)
        if found is not None:
            return found
    for suspect in finding.suspects:
        known = _by_project(suspect.project, facts)
        if known is not None:
            return known
    backend = facts.failure.backend
    named = next((t for t in trackers() if t.projects and backend.startswith(t.projects) and t.name != ONNX), None)
    if named is not None and not backend.startswith("onnx-"):
        return named
    return _named(ONNX if backend.startswith(("reference", "onnx-")) else DEFAULT)


def find(name: str, facts: Facts) -> Tracker | None:
    """By the name of a tracker, or by repository: the form there that suits the failure, else the plain layout."""
    exact = next((t for t in trackers() if t.name == name.lower()), None)
    if exact is not None:
        return exact
    there = [t for t in trackers() if t.repository.lower() == name.lower()]
    if not there and _REPOSITORY.fullmatch(name):
        return Elsewhere(name)
    return next((t for t in there if t.suits(facts)), there[0] if there else None)


def check_name(name: str) -> None:
    """Raise UsageError for a tracker that is not known."""
    known = trackers()
    if not any(name.lower() == t.name for t in known) and not _REPOSITORY.fullmatch(name):
        names = ", ".join(t.name for t in known)
        raise UsageError(f"no tracker is called {name!r}", f"give owner/name, or one of {names}")


def _by_project(project: str | None, facts: Facts) -> Tracker | None:
    if project == CONVERTER:
        producer = (facts.finding.source.producer or "").lower()
        made = [t for t in trackers() if t.producers and producer.startswith(t.producers)]
        return next((t for t in made if t.suits(facts)), None)
    claimed = [t for t in trackers() if project in t.projects]
    there = [t for c in claimed[:1] for t in trackers() if t.repository == c.repository]
    return next((t for t in there if t.suits(facts)), claimed[0] if claimed else None)


def _named(name: str) -> Tracker:
    return next(tracker for tracker in trackers() if tracker.name == name)
