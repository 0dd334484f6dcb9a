"""filing.md: an address that fits and fills the form, the command, the searches, and what a human must look at."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from reducer.finding import Artifact, Finding, Rung
from reporters.draft import drafts_of
from reporters.filing import Filing
from reporters.links import URL_LIMIT, Prefilled, command_line, prefilled, searches
from reporters.routing import trackers
from tests.reporters.builders import LOAD, NO_KERNEL, finding_of
from tests.reporters.rich_finding import rich


def page(finding: Finding) -> str:
    (document,) = Filing().render(finding)
    assert (document.kind, document.path) == ("other", "filing.md")
    return document.text


def address(finding: Finding) -> tuple[Prefilled, dict[str, str]]:
    found = prefilled(list(drafts_of(finding)))
    assert len(found.url.encode()) <= URL_LIMIT
    return found, {key: value[0] for key, value in parse_qs(urlsplit(found.url).query, strict_parsing=True).items()}


def test_a_form_is_filled_field_by_field() -> None:
    found, asked = address(finding_of(LOAD))
    assert urlsplit(found.url).path == "/microsoft/onnxruntime/issues/new"
    assert asked["template"] == "08-general.yml"
    assert asked["title"].startswith("Elu: onnxruntime fails")
    assert (asked["platform"], asked["arch"], asked["ort-version"]) == ("Linux", "X64", "1.3")
    assert "import onnxruntime as ort" in asked["reproducibility"]
    assert found.missing == ("Execution Provider",)  # a list with several answers
    assert not {"ep", "labels", "urgency"} & set(asked)


def test_a_text_template_gets_one_body() -> None:
    found, asked = address(finding_of(LOAD, tracker="onnx"))
    assert set(asked) == {"template", "title", "body"}
    assert asked["template"] == "bug.md"
    assert "### Is the issue related to model conversion?" in asked["body"]
    assert found.missing == ()
    assert set(address(finding_of(LOAD, tracker="onnxscript"))[1]) == {"title", "body"}


def test_what_does_not_fit_is_named() -> None:
    long = replace(LOAD, model_text=NO_KERNEL + "# " + "ä" * 3000)
    found, asked = address(finding_of(long))
    assert "reproducibility" in asked  # without the script, which does not fit
    assert "it is the file repro.py" in asked["reproducibility"]
    tall = tuple(Rung("load", "ort", "failed", "m" * 120) for _ in range(60))
    assert "ladder" not in str(address(finding_of(LOAD, ladder=tall))[1])
    huge = finding_of(LOAD, tracker="onnx")
    assert huge.failure is not None
    wide = replace(huge, failure=replace(huge.failure, message="ü" * 9000), reproduction=replace(LOAD, actual_text=""))
    found, asked = address(wide)
    assert "body" in asked or found.missing == ("the body",)


def test_a_form_without_ids_gets_its_title_only() -> None:
    found, asked = address(finding_of(LOAD, tracker="pytorch"))
    assert set(asked) == {"template", "title"}
    assert found.missing == ("🐛 Describe the bug", "Versions")


@pytest.mark.parametrize("tracker", [tracker.name for tracker in trackers()])
def test_every_tracker_has_command_searches_and_checks(tracker: str) -> None:
    finding = finding_of(LOAD, tracker=tracker)
    draft = next(drafts_of(finding))
    words = shlex.split(command_line(draft))
    assert words == ["gh", "issue", "create", "--repo", draft.tracker.repository, "--title", draft.title,
                     "--body-file", "issue.md"]  # fmt: skip
    for search in searches(draft):
        query = parse_qs(urlsplit(search).query)["q"][0]
        assert query.startswith("is:issue ")
        assert "Elu" in query
    text = page(finding)
    assert text.count("- [ ] ") >= 3
    assert "planted" not in text
    assert len(re.findall(r"/issues/new\?", text)) == 1


def test_the_human_is_told_what_is_doubtful() -> None:
    assert "Run `repro.py` yourself" in page(finding_of(LOAD))
    for verified, words in (("0/3", "did NOT show"), ("2/3", "2/3 runs only")):
        assert words in page(finding_of(LOAD, artifacts=(Artifact("repro_script", "repro.py", verified),)))
    assert "no repro script" in page(finding_of(LOAD, artifacts=()))
    assert "ended as *interrupted*" in page(finding_of(LOAD, status="interrupted"))
    text = page(rich())
    assert "`w` holds original values: the failure needs them" in text
    assert "inputs were generated" in text
    routed = finding_of(LOAD, tracker="onnx/onnx", tracker_why="the reference stands alone")
    assert "Why there: the reference stands alone." in page(routed)
    assert "Why there" not in page(finding_of(LOAD, tracker="tvm", tracker_why="the reference stands alone"))
    assert "AI-assisted" in page(finding_of(LOAD, tracker="pytorch"))
    assert "AI-assisted" not in page(finding_of(LOAD))
    assert "`core runtime`" in page(finding_of(LOAD))
    assert Filing().render(finding_of(None, failure=None)) == []
