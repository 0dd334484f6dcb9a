"""One finding, many views: the terminal, the draft, the page and the machine outputs say the same."""

from __future__ import annotations

import html
import json
import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from reducer.finding import Finding
from reporters.finding_json import FindingJson
from reporters.html import HtmlReport
from reporters.issue import IssueDraft
from reporters.junit import JUnit
from reporters.sarif import Sarif
from reporters.terminal import print_summary
from tests.reporters.builders import LOAD, finding_of
from tests.reporters.rich_finding import rich


def views(finding: Finding) -> dict[str, str]:
    stream = StringIO()
    print_summary(finding, Console(file=stream, width=200), Path("out"))
    made = {"terminal": stream.getvalue()}
    for reporter in (FindingJson(), IssueDraft(), HtmlReport(), JUnit(), Sarif()):
        (document,) = reporter.render(finding)
        made[reporter.name] = html.unescape(document.text) if document.path.endswith(("html", "xml")) else document.text
    return made


@pytest.mark.parametrize("finding", [finding_of(LOAD), rich()], ids=["load", "compare"])
def test_all_say_what_fails_and_how_small_it_got(finding: Finding) -> None:
    assert finding.failure is not None
    assert finding.reduced is not None
    for name, text in views(finding).items():
        assert finding.failure.signature.kind in text, name
        assert finding.failure.stage in text, name
        assert finding.suspects[0].name in text, name
        assert re.search(rf"\b{finding.source.nodes}\b", text), name
        if name not in ("junit.xml",):
            assert finding.reduced.reproduced in text, name


def test_numbers_are_the_same_everywhere() -> None:
    made = views(rich())
    read = json.loads(made["finding.json"])
    calls, verified = read["search"]["oracle_calls"], read["artifacts"][0]["verified"]
    assert f"{calls} calls" in made["terminal"]
    assert f"{calls} oracle calls" in made["issue.md"]
    assert f"{calls} oracle calls" in made["report.html"]
    for name in ("terminal", "issue.md", "report.html"):
        assert verified in made[name]
    assert read["failure"]["signature"]["id"] in made["issue.md"]
    assert read["failure"]["signature"]["id"] in made["report.html"]
    for title in re.findall(r"<!-- title: (.*) -->", made["issue.md"]):
        assert title in made["report.html"]
        assert title in made["junit.xml"]
        assert title in made["results.sarif"]
