"""A check of everything that a run hands to others: python -m tests.quality.report_lint FOLDER... prints a table."""

from __future__ import annotations

import ast
import getpass
import re
import shlex
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from reducer.errors import UsageError
from reducer.finding import Finding
from reducer.reading import read_finding
from reporters.draft import BODY_LIMIT, TITLE_LIMIT, answers_of, coded
from reporters.links import URL_LIMIT
from reporters.routing import tracker_of
from reporters.shareable import private_names
from reporters.trackers.base import Facts, Tracker, facts_of

SHORT, CORE = 40, 1
_PATHS = re.compile(r"(?<![\w.:/<])/(?:home|root|tmp|work|usr|opt|var|mnt|Users|private|data|srv|etc)/|\b[A-Za-z]:\\\w")
_LINK = re.compile(r"https?://[^\s<>\"')\]]+")
# Labels that ONNX Runtime's labeler would set for words anywhere in the text (its .github/labeler.yml).
MISLEADING = {
    "ep:CUDA": r"\bcuda\b", "ep:TensorRT": r"\b(?:tensor\s*rt|trt)\b", "ep:DML": r"\b(?:direct\s*ml|dml)\b",
    "ep:OpenVINO": r"\bopen\s*vino\b", "ep:tvm": r"\btvm\b", "ep:QNN": r"\bqnn\b", "ep:CoreML": r"\bcore-?ml\b",
    "platform:web": r"\b(?:webgl|web-?gpu|wasm|npm)\b",
    "platform:mobile": r"\b(?:nnapi|mobile|android|ios|xamarin|maui)\b",
    "platform:jetson": r"\b(?:jetson|jetpack)\b", "model:transformer": r"\bhugging-?\s*face\b",
}  # fmt: skip


@dataclass(frozen=True)
class Report:
    """One output folder: what was checked, and all complaints."""

    name: str
    tracker: str
    nodes: int
    lines: int
    verified: str
    body: int
    complaints: tuple[str, ...]


def lint(folder: Path) -> Report:
    """Complaints about one output folder; none is good."""
    try:
        finding = read_finding(folder)
    except UsageError as error:
        return Report(folder.name, "", 0, 0, "", 0, (str(error),))
    facts = facts_of(finding)
    if facts is None:
        return Report(folder.name, "", 0, 0, "", 0, ("there is no failure in it",))
    tracker = tracker_of(facts)
    issue, script = _text(folder, "issue.md"), _text(folder, "repro.py")
    verified = next((str(a.verified) for a in finding.artifacts if a.kind == "repro_script"), "")
    found = [
        *(f"{a.path} is named and not there" for a in finding.artifacts if not (folder / a.path).exists()),
        *_draft(issue, tracker, facts),
        *_markdown(issue, "issue.md"),
        *_markdown(_text(folder, "filing.md"), "filing.md"),
        *_filing(_text(folder, "filing.md"), tracker),
        *_script(script, verified, facts),
        *_page(_text(folder, "report.html")),
    ]
    for name in ("issue.md", "repro.py", "filing.md", "report.html", "test_regression.py", "ci/junit.xml",
                 "ci/results.sarif"):  # fmt: skip
        if finding.reproduction is None or finding.reproduction.form != "command" or name != "repro.py":
            found += _private(_text(folder, name), name)
    found += _names(finding, issue + script)
    return Report(
        folder.name, tracker.name, facts.reduced.nodes, len(script.splitlines()), verified, len(issue), tuple(found)
    )


def _text(folder: Path, name: str) -> str:
    path = folder / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _draft(issue: str, tracker: Tracker, facts: Facts) -> list[str]:
    found = []
    if not 0 < len(issue) <= BODY_LIMIT:
        found.append(f"the draft has {len(issue)} characters")
    try:
        answers = answers_of(issue, tracker.fields)
    except ValueError as error:
        return [*found, str(error)]
    for field, answer in zip(tracker.fields, answers, strict=True):
        wanted = field.required if tracker.is_form else not field.group
        if wanted and not answer:
            found.append(f"nothing stands under {field.heading}")
        if field.options and answer not in field.options:
            found.append(f"{answer!r} is no option of {field.heading}")
    if tracker.name == "onnxruntime" and facts.provider == "CPU":
        found += [
            f"the labeler would say {label}" for label, rule in MISLEADING.items() if re.search(rule, issue, re.I)
        ]
    title = re.match(r"<!-- title: (.*) -->", issue)
    if title is None or not 0 < len(title.group(1)) <= TITLE_LIMIT:
        found.append("the draft has no title")
    return found


def _markdown(text: str, name: str) -> list[str]:
    found = []
    lines = list(coded(text))
    if lines and lines[-1][1] and not lines[-1][0].strip().startswith(("```", "~~~")):
        found.append(f"{name}: a block of code never ends")
    prose = "\n".join(line for line, is_code in lines if not is_code)
    if prose.count("<details>") != prose.count("</details>"):
        found.append(f"{name}: <details> is not closed")
    for line in prose.splitlines():
        if line.count("`") % 2 and not line.startswith("|"):
            found.append(f"{name}: code is not closed in {line[:60]!r}")
    for link in _LINK.findall(text):
        parts = urlsplit(link)
        if not parts.hostname or "." not in parts.hostname or " " in link:
            found.append(f"{name}: a broken link: {link[:80]}")
    return found


def _filing(text: str, tracker: Tracker) -> list[str]:
    found = []
    links = [link for link in _LINK.findall(text) if "/issues/new" in link]
    if len(links) != 1:
        return ["filing.md must hold one address that files"]
    asked = parse_qs(urlsplit(links[0]).query, strict_parsing=True)
    if len(links[0].encode()) > URL_LIMIT:
        found.append(f"the address has {len(links[0])} bytes")
    if asked.get("template", [""]) != [tracker.form]:
        found.append("the address opens another form")
    if "labels" in asked or not asked.get("title"):
        found.append("the address asks for labels, or has no title")
    command = next((line for line in text.splitlines() if line.startswith("gh issue create")), "")
    if shlex.split(command)[:5] != ["gh", "issue", "create", "--repo", tracker.repository]:
        found.append("the gh command is not there")
    if "is%3Aissue" not in text:
        found.append("there is no search")
    return found


def _script(script: str, verified: str, facts: Facts) -> list[str]:
    if not script:
        return ["there is no repro script"]
    found = []
    try:
        ast.parse(script)
    except SyntaxError as error:
        found.append(f"repro.py: {error}")
    if facts.reduced.nodes <= CORE and len(script.splitlines()) >= SHORT:
        found.append(f"repro.py has {len(script.splitlines())} lines for one node")
    if max(map(len, script.splitlines())) > 400:
        found.append("repro.py has a line of more than 400 characters")
    shown, _, tried = verified.partition("/")
    if shown != tried or shown in ("", "0"):
        found.append(f"repro.py showed the failure in {verified or 'no'} runs")
    return found


def _page(page: str) -> list[str]:
    if not page:
        return ["there is no report.html"]
    loads = re.findall(r"(?:src|href|action)\s*=\s*[\"'](?!#)[^\"']*", page)
    return [f"report.html loads {load[:60]}" for load in loads]


def _private(text: str, name: str) -> list[str]:
    found = [f"{name} holds a path: {text[m.start() : m.start() + 40]!r}" for m in _PATHS.finditer(text)]
    for person in (getpass.getuser(), socket.gethostname()):
        if len(person) > 4 and re.search(rf"\b{re.escape(person)}\b", text):
            found.append(f"{name} names {person}")
    return found


def _names(finding: Finding, text: str) -> list[str]:
    private = (name for name in private_names(finding) if re.search(rf"(?<![\w/.]){re.escape(name)}(?![\w/])", text))
    return [f"the name {name} of the source leaves" for name in private]


def main(folders: list[str]) -> int:
    """The table, in Markdown."""
    reports = [lint(Path(folder)) for folder in folders]
    print("| case | tracker | nodes | lines of repro.py | verified | draft | lint |")
    print("|---|---|---|---|---|---|---|")
    for r in reports:
        told = "; ".join(r.complaints) or "clean"
        print(f"| {r.name} | {r.tracker} | {r.nodes} | {r.lines} | {r.verified} | {r.body} | {told} |")
    return 1 if any(r.complaints for r in reports) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
