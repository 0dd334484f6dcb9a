"""The text of a draft and its answers, question by question, folded until GitHub takes it.

A template is laid out under the headings of the form; `answers` cuts it at these headings again, so that the text, the
prefilled address and the checks of the tests can never tell three stories.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reducer.finding import Finding, Neighbour
from reporters.rendering import fenced, folded, one_line, render, versions
from reporters.repro import ReproScript, compact
from reporters.routing import tracker_of
from reporters.shareable import shareable
from reporters.trackers.base import Facts, FormField, Tracker, facts_of
from reporters.wording import message_of, summary_of, title_of

# GitHub refuses longer ones.
BODY_LIMIT, TITLE_LIMIT = 65_536, 256
MESSAGE_LIMIT = 3000
SUSPECTS, NEIGHBOURS, WORST = 5, 12, 5
# Longer blocks are folded, so that the headings of the form stay on one screen.
GRAPH_LINES, SCRIPT_LINES = 40, 150
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")


@dataclass(frozen=True)
class Sections:
    """The parts of a draft that can be left out when the body gets too long."""

    script: str | None
    graph: str | None
    ladder: bool = True
    tables: bool = True
    message: int = MESSAGE_LIMIT


@dataclass(frozen=True)
class Draft:
    """One filled form. `body` is the whole text, `answers` what stands under each heading of the form."""

    tracker: Tracker
    facts: Facts
    title: str
    body: str

    @property
    def answers(self) -> tuple[str, ...]:
        """One per field of the tracker, stripped."""
        return answers_of(self.body, self.tracker.fields)


def draft_of(finding: Finding, limit: int = BODY_LIMIT) -> Draft | None:
    """The fullest draft of at most `limit` characters, or the shortest there is; None without a reduced failure."""
    for draft in drafts_of(finding):
        if len(draft.body) <= limit:
            break
    else:
        return None if facts_of(finding) is None else replace(draft, body=draft.body[:limit])
    return draft


def drafts_of(finding: Finding) -> Iterator[Draft]:
    """From everything to the least that still says what fails: what matters least goes first."""
    facts = facts_of(shareable(finding))
    if facts is None:
        return
    tracker = tracker_of(facts_of(finding) or facts)
    title = one_line(tracker.title(title_of(facts), facts), TITLE_LIMIT)
    for sections in _shrinking(facts):
        values = _values(facts, tracker, sections) | {"title": title.replace("--", "- -")}  # it stands in a comment
        yield Draft(tracker, facts, title, _tidy(render(tracker.template, **values)))


def answers_of(body: str, fields: Sequence[FormField]) -> tuple[str, ...]:
    """What stands under each heading. Headings count in their order and outside of code only, because a message or a
    script may hold the same line. Raises ValueError for a heading that is missing."""
    found: list[list[str]] = []
    for line, is_code in coded(body):
        if not is_code and len(found) < len(fields) and line.startswith(fields[len(found)].heading):
            found.append([line.removeprefix(fields[len(found)].heading)])
        elif found:
            found[-1].append(line)
    if len(found) < len(fields):
        raise ValueError(f"the heading is missing or out of order: {fields[len(found)].heading}")
    return tuple("\n".join(lines).strip() for lines in found)


def coded(text: str) -> Iterator[tuple[str, bool]]:
    """Every line, and whether it belongs to a block of code, fences included (CommonMark 0.31, section 4.5)."""
    fence = ""
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        inside = bool(fence or mark)
        if mark and not fence:
            fence = mark.group(1)
        elif mark and mark.group(1).startswith(fence) and not line.strip().strip(fence[0]):
            fence = ""
        yield line, inside


def _tidy(text: str) -> str:
    """Never more than one blank line outside of code, and no control codes, that messages and names may hold."""
    text = _CONTROL.sub("", text)
    kept: list[str] = []
    for line, is_code in coded(text):
        if is_code or line.strip() or (kept and kept[-1].strip()):
            kept.append(line)
    return "\n".join(kept)


def _shrinking(facts: Facts) -> Iterator[Sections]:
    documents = ReproScript().render(facts.finding)
    script = documents[0].text if documents else None
    graph = facts.reduced.text
    if script and graph and (facts.finding.source.kind != "onnx" or compact(graph) in script):
        graph = None  # the script shows it
    yield Sections(script, graph)
    yield Sections(script, graph, ladder=False)
    yield Sections(script, graph, ladder=False, tables=False)
    yield Sections(script, None, ladder=False, tables=False)
    yield Sections(script, None, ladder=False, tables=False, message=300)
    yield Sections(None, graph, ladder=False, tables=False, message=300)
    yield Sections(None, None, ladder=False, tables=False, message=300)


def _values(facts: Facts, tracker: Tracker, sections: Sections) -> dict[str, Any]:
    finding, failure = facts.finding, facts.failure
    repro, environment = finding.reproduction, finding.environment
    script = next((a for a in finding.artifacts if a.kind == "repro_script"), None)
    return {
        "finding": finding,
        "failure": failure,
        "reduced": facts.reduced,
        "message": fenced(_cut(message_of(facts), sections.message)),
        "summary": summary_of(facts),
        "graph": folded(fenced(sections.graph), "the graph", GRAPH_LINES) if sections.graph else None,
        "script": folded(fenced(sections.script, "python"), "repro.py", SCRIPT_LINES) if sections.script else None,
        "verified": script.verified if script else None,
        "too_long": script is not None and not sections.script,
        "expected": one_line(repro.expected_text, 400) if repro else "",
        "actual": one_line(repro.actual_text, 400) if repro else "",
        "ladder": _ladder(finding) if sections.ladder else [],
        "tables": sections.tables,
        "suspects": [(s, one_line(s.evidence, 400)) for s in finding.suspects[:SUSPECTS]],
        "neighbours": changes(finding.neighbours)[:NEIGHBOURS],
        "worst": finding.difference.worst[:WORST] if finding.difference else (),
        "opsets": ", ".join(f"{domain} {version}" for domain, version in finding.source.opsets.items()),
        "versions": versions(finding, tracker.packages),
        "version_of": facts.of,
        "os_version": environment.get("os_version") or environment.get("os") or "unknown",
        "generated": finding.source.inputs == "generated" and failure.stage in ("run", "compare"),
        "spans": [(f.name, f.span) for f in repro.feeds if f.span] if repro else [],
        **tracker.answers(facts),
    }


def changes(neighbours: Sequence[Neighbour]) -> list[tuple[str, str]]:
    """(the change, passes or fails): what changes to different values with one outcome is one entry."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in neighbours:
        if one.outcome in ("passes", "fails"):
            change = one.change if one.change.startswith(f"{one.axis}:") else f"{one.axis}: {one.change}"
            start, arrow, to = change.rpartition(" -> ")
            found.setdefault((start + arrow, one.outcome), []).append(to)
    return [(start + ", ".join(ends), outcome) for (start, outcome), ends in found.items()]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + " ..."


def _ladder(finding: Finding) -> list[tuple[str, str, str, str]]:
    rows = []
    for rung in finding.ladder:
        message = one_line(rung.message or "", 120).replace("|", "\\|").replace("`", "'")
        # As code: nothing in a message may turn into a link or a mention.
        rows.append((rung.stage, rung.backend, rung.outcome, f"`{message}`" if message else ""))
    return rows
