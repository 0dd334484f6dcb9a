"""issue.md: the headings of the form, options to the letter, nothing private, never too long."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from reducer.finding import Failure, Finding, Neighbour, Probe, Reduced, Reproduction, Rung, SignatureFacts, Suspect
from reporters.draft import BODY_LIMIT, changes
from reporters.issue import IssueDraft
from reporters.routing import tracker_of
from reporters.trackers.base import Facts
from tests.reporters.builders import LOAD, NO_KERNEL, ORT, finding_of, script_of

FORM = ["Describe the issue", "To reproduce", "Urgency", "Platform", "OS Version", "ONNX Runtime Installation",
        "ONNX Runtime Version or Commit ID", "ONNX Runtime API", "Architecture", "Execution Provider",
        "Execution Provider Library Version"]  # fmt: skip
BUG = ["Is the issue related to model conversion?", "Describe the bug", "System information",
       "Reproduction instructions", "Expected behavior", "Notes"]  # fmt: skip
BLOCK = re.compile(r"(`{3,}).*?\n\1", re.S)


def draft(finding: Finding) -> str:
    (document,) = IssueDraft().render(finding)
    assert (document.kind, document.path) == ("issue", "issue.md")
    return document.text


def answers(text: str) -> dict[str, str]:
    """Heading -> what stands below it, code left out."""
    parts = re.split(r"^### (.*)$", BLOCK.sub("", text), flags=re.M)
    return {heading: body.strip() for heading, body in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.mark.parametrize(("project", "headings"), [("onnxruntime", FORM), ("onnx", BUG)])
def test_a_draft_has_the_headings_of_the_form(project: str, headings: list[str]) -> None:
    suspect = Suspect("op", "Elu", "evidence", "act", project)
    text = draft(finding_of(LOAD, suspects=(suspect,)))
    assert list(answers(text)) == headings
    assert all(answers(text).values())
    assert text.startswith("<!-- title: Elu: onnxruntime fails during load: no implementation for Elu")
    assert len(BLOCK.findall(text)) == 2
    assert script_of(LOAD) in text
    for piece in ("303 to 1 node", "3/3", "0123456789abcdef", "onnx 1.2", "python 3.11", "Linux x86_64", "evidence"):
        assert piece in text
    for private in ("/home", "planted"):
        assert private not in text


@pytest.mark.parametrize(
    ("environment", "provider", "expected"),
    [
        ({"os": "Linux", "arch": "x86_64"}, "CPUExecutionProvider", ("Linux", "X64", "Default CPU")),
        ({"os": "Darwin", "arch": "arm64"}, "CoreML", ("Mac", "ARM64", "CoreML")),
        ({"os": "Windows", "arch": "AMD64"}, "DmlExecutionProvider", ("Windows", "X64", "DirectML")),
        ({"os": "Haiku", "arch": "mips"}, "NewExecutionProvider", ("Other / Unknown",) * 3),
        ({}, "CPU", ("Other / Unknown", "Other / Unknown", "Default CPU")),
    ],
)
def test_options_are_those_of_the_form(environment: dict[str, str], provider: str, expected: tuple[str, ...]) -> None:
    repro = replace(LOAD, probes=(Probe("onnxruntime", {"provider": provider}),))
    found = answers(draft(finding_of(repro, environment=environment)))
    assert (found["Platform"], found["Architecture"], found["Execution Provider"]) == expected
    assert (found["ONNX Runtime API"], found["ONNX Runtime Installation"]) == ("Python", "Released Package")


@pytest.mark.parametrize(
    ("backend", "projects", "tracker"),
    [
        ("onnxruntime (all)", (), "onnxruntime"),
        ("reference", (), "onnx"),
        ("onnx-checker", ("converter",), "onnx"),
        ("onnx-shape-inference", (), "onnx"),
        ("command", (None,), "onnxruntime"),
        ("onnxruntime (all)", ("converter", "onnx", "onnxruntime"), "onnx"),
    ],
)
def test_suspects_then_the_backend_decide_the_tracker(backend: str, projects: tuple[Any, ...], tracker: str) -> None:
    suspects = tuple(Suspect("op", "Elu", "evidence", None, project) for project in projects)
    finding = finding_of(LOAD, suspects=suspects)
    assert finding.failure is not None
    assert finding.reduced is not None
    failure = replace(finding.failure, backend=backend)
    assert tracker_of(Facts(replace(finding, failure=failure), failure, finding.reduced)).name == tracker


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({"ladder": tuple(Rung("load", "onnxruntime", "failed", "m" * 120) for _ in range(600))}, "every rung"),
        ({"reduced": Reduced("reduced.onnx", 1, 1, {"Elu": 1}, True, "3/3", "g () => () {}\n" * 6000)}, "The graph:"),
        ({"reproduction": replace(LOAD, model_text=NO_KERNEL + "# " + "x" * 70_000)}, "```python"),
    ],
)
def test_what_matters_least_goes_first(changes: dict[str, Any], lost: str) -> None:
    text = draft(finding_of(LOAD, **({} if "reproduction" in changes else changes)))
    if "reproduction" in changes:
        text = draft(finding_of(changes["reproduction"]))
        assert "it is the file repro.py" in text
    assert len(text) <= BODY_LIMIT
    assert lost not in text
    assert list(answers(text)) == FORM
    assert "no CPU kernel for Elu(6)" in text


def test_a_long_graph_is_folded_and_one_in_the_script_not_repeated() -> None:
    assert "The graph:" not in draft(finding_of(LOAD))
    reduced = Reduced("reduced.onnx", 50, 1, {"Elu": 50}, True, "3/3", "g\n" * 50)
    text = draft(finding_of(LOAD, reduced=reduced))
    assert "<details><summary>the graph</summary>" in text
    assert "<details>" not in draft(finding_of(LOAD, reduced=replace(reduced, text="g\n" * 5)))


def test_changes_with_one_outcome_are_one_line() -> None:
    told = [
        ("opset", "opset: 15 -> 13", "fails"),
        ("opset", "opset: 15 -> 18", "fails"),
        ("type", "T: a -> b", "passes"),
    ]
    neighbours = [Neighbour(*one) for one in [*told, ("opset", "opset: 15 -> 17", "unknown")]]
    assert changes(neighbours) == [("opset: 15 -> 13, 18", "fails"), ("type: T: a -> b", "passes")]


def test_the_users_command_is_shown_without_its_paths() -> None:
    words = ("/home/planted/my venv/bin/python", "/home/planted/check.py", "--log=/tmp/planted/a.log", "{}")
    text = draft(finding_of(Reproduction("command", "command", (), command=words)))
    assert "planted" not in text
    for piece in ('"python"', '"check.py"', '"--log=a.log"'):
        assert piece in text
    assert "/home/planted/check.py" in script_of(Reproduction("command", "command", (), command=words))


def test_paths_that_are_cut_off_are_scrubbed_before() -> None:
    message = "x" * 80 + " /home/planted/" + "deep/" * 800 + "net.onnx"
    failure = Failure("load", "exception", SignatureFacts("0", "Fail", "d"), message, "onnxruntime (all)")
    repro = replace(LOAD, actual_text=message, expected_text=message)
    rung = Rung("load", "onnxruntime 1.3", "failed", message)
    text = draft(finding_of(repro, failure=failure, ladder=(rung,), suspects=(Suspect("op", "Elu", message),)))
    assert "planted" not in text
    assert "deep/" not in text


def test_a_mismatch_names_tolerance_and_generated_inputs() -> None:
    facts = SignatureFacts("1", "value", "value differs")
    failure = Failure(
        "compare", "wrong_output", facts, "y differs", "reference", witnesses="reference", tolerance="1e-3"
    )
    repro = Reproduction("mismatch", "compare", (Probe("reference"), ORT), mismatch="value", model_text=NO_KERNEL)
    text = draft(finding_of(repro, failure=failure))
    assert text.startswith("<!-- title: Elu: wrong output (value) from reference -->")
    assert "Tolerance: 1e-3" in text
    assert "generated from a seed" in text


def test_nothing_without_a_reduced_failure() -> None:
    assert IssueDraft().render(finding_of(None, failure=None)) == []
    assert IssueDraft().render(finding_of(None, reduced=None)) == []
    assert "### To reproduce" in draft(finding_of(None))
