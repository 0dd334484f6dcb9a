"""Addresses and commands with which a human files a draft: prefilled where that fits, and searches for duplicates.

Limits and rules: GitHub answers 414 to addresses over 8,191 bytes (github/docs#5136); a value for a drop-down list
must be one of its options to the letter; `labels=` needs a permission, so it is never used; how lists with several
answers and check boxes are prefilled is not documented, so they are left to the human.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from reporters.draft import Draft
from reporters.trackers.base import FormField

URL_LIMIT = 8_191
SEARCH_WORDS, LONGEST_WORD = 6, 60


@dataclass(frozen=True)
class Prefilled:
    """An address that opens the form. `missing` are headings of answers that did not fit, or cannot be prefilled."""

    url: str
    missing: tuple[str, ...]


def prefilled(drafts: Sequence[Draft]) -> Prefilled:
    """The fullest address that fits. `drafts` go from the fullest to the shortest; for a form without room for an
    answer, that answer is left out and named."""
    fullest, shortest = drafts[0], drafts[-1]
    for draft in drafts:
        found = _with_all(draft)
        if found is not None:
            return found
    if not fullest.tracker.is_form:
        return Prefilled(_address(fullest, {}), ("the body",))
    return _with_some(shortest)


def _with_all(draft: Draft) -> Prefilled | None:
    if draft.tracker.is_form:
        pairs = zip(draft.tracker.fields, draft.answers, strict=True)
        asked = [(field, answer) for field, answer in pairs if answer and answer != "_No response_"]
        given = {field.id: answer for field, answer in asked if _fillable(field, answer)}
        missing = tuple(_label(field) for field, answer in asked if not _fillable(field, answer))
    else:
        given, missing = {"body": draft.body}, ()
    if sum(map(len, given.values())) > URL_LIMIT:
        return None  # encoding makes it no shorter
    url = _address(draft, given)
    return Prefilled(url, missing) if len(url) <= URL_LIMIT else None


def _with_some(draft: Draft) -> Prefilled:
    """Short answers first; each that still fits."""
    pairs = [p for p in zip(draft.tracker.fields, draft.answers, strict=True) if p[1] and p[1] != "_No response_"]
    given: dict[str, str] = {}
    for field, answer in sorted(pairs, key=lambda pair: len(pair[1])):
        fits = len(answer) <= URL_LIMIT and _fillable(field, answer)
        if fits and len(_address(draft, given | {field.id: answer})) <= URL_LIMIT:
            given[field.id] = answer
    return Prefilled(_address(draft, given), tuple(_label(field) for field, _ in pairs if field.id not in given))


def _fillable(field: FormField, answer: str) -> bool:
    return bool(field.id) and not field.multiple and (not field.options or answer in field.options)


def _label(field: FormField) -> str:
    return field.heading.strip("#*- :")


def _address(draft: Draft, given: dict[str, str]) -> str:
    values = {"template": draft.tracker.form} if draft.tracker.form else {}
    values |= {"title": draft.title} | given
    return f"https://github.com/{draft.tracker.repository}/issues/new?{urlencode(values, quote_via=quote)}"


def command_line(draft: Draft) -> str:
    """The `gh` command that would file the draft, to be run in the output folder."""
    words = ["gh", "issue", "create", "--repo", draft.tracker.repository, "--title", draft.title]
    return shlex.join([*words, "--body-file", "issue.md"])


def searches(draft: Draft) -> tuple[str, ...]:
    """Addresses that look for the same failure: by the fixed words of its message, and by operator and kind."""
    facts = draft.facts
    repro = facts.finding.reproduction
    ops = [op[:LONGEST_WORD] for op in facts.reduced.op_types]
    queries = []
    if repro is not None and repro.fragments:
        words = max(repro.fragments, key=len).split()[:SEARCH_WORDS]
        queries.append(" ".join(['is:issue "' + " ".join(words).replace('"', "") + '"', *ops[:1]]))
    queries.append(" ".join(["is:issue", *ops[:3], facts.failure.signature.kind]))
    base = f"https://github.com/{draft.tracker.repository}/issues"
    return tuple(f"{base}?{urlencode({'q': query}, quote_via=quote)}" for query in queries)
