"""Every tracker: headings and options as its form has them, labels of its vocabulary, and the way to it."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from reducer.errors import UsageError
from reducer.finding import Finding, Source, Suspect
from reducer.routing import TRACKERS
from reporters.draft import BODY_LIMIT, Draft, answers_of, draft_of
from reporters.routing import check_name, tracker_of, trackers
from reporters.trackers.base import Tracker, facts_of
from tests.conftest import ROOT
from tests.reporters.builders import LOAD, finding_of
from tests.reporters.rich_finding import rich

# The questions of the real forms, collected from the repositories (docs/reports.md says when).
FORMS = json.loads((ROOT / "tests" / "reporters" / "issue_forms.json").read_text())
NAMES = [tracker.name for tracker in trackers()]


def draft(finding: Finding, tracker: str) -> Draft:
    made = draft_of(replace(finding, tracker=tracker))
    assert made is not None
    assert made.tracker.name == tracker
    return made


def test_all_trackers_are_there() -> None:
    wanted = "onnxruntime onnx pytorch tensorflow-onnx tensorflow-onnx-operators onnxscript optimizer onnxsim onnxslim"
    assert set(NAMES) >= {*wanted.split(), "openvino", "tvm", "tensorrt", "ncnn", "pnnx"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("finding", [finding_of(LOAD), rich()], ids=["poor", "rich"])
def test_every_question_is_answered(name: str, finding: Finding) -> None:
    made = draft(finding, name)
    for field, answer in zip(made.tracker.fields, made.answers, strict=True):
        assert answer or field.group, field.heading
        assert not field.options or answer in field.options
    assert len(made.body) <= BODY_LIMIT
    assert "303" in made.body
    assert made.body.count("```python") == 1
    for private in ("planted", "secret", "/home"):
        assert private not in made.body
    assert not set(made.tracker.labels(made.facts)) & {"high priority", "merge blocking"}


@pytest.mark.parametrize("tracker", trackers(), ids=lambda tracker: tracker.name)
def test_headings_are_those_of_the_form(tracker: Tracker) -> None:
    form = FORMS.get(tracker.repository, {}).get(tracker.form)
    if not tracker.form:
        assert FORMS[tracker.repository] == {}
        return
    assert form is not None, f"no form {tracker.form} is known of {tracker.repository}"
    ours = [re.sub(r"^[#*\- ]+|[*: ]+$", "", field.heading) for field in tracker.fields]
    theirs = [field["label"].rstrip("*: ") for field in form]
    assert [label.rstrip("*: ") for label in ours] == theirs
    if tracker.is_form:
        assert [field.id or None for field in tracker.fields] == [field["id"] for field in form]
        assert [field.required for field in tracker.fields] == [field["required"] for field in form]
        for field, their in zip(tracker.fields, form, strict=True):
            if "options" in their and field.options:
                assert list(field.options) == their["options"]
            # Check boxes are promises of whoever files: never filled in an address.
            assert field.multiple == their.get("multiple", False) or field.id == "terms"


@pytest.mark.parametrize("name", NAMES)
def test_only_packages_that_matter_are_named(name: str) -> None:
    environment = dict.fromkeys(("tvm", "openvino", "tensorrt", "torch", "onnx", "onnxruntime"), "9.9")
    made = draft(finding_of(LOAD, environment=environment), name)
    ended = made.body.replace(made.title, "")
    for package in ("tvm", "openvino"):
        if package not in made.tracker.packages:
            assert f"{package} 9.9" not in ended


def suspected(project: str | None, producer: str | None = None) -> Finding:
    source = Source("onnx", "net.onnx", 303, 1, None, producer)
    return finding_of(LOAD, source=source, suspects=(Suspect("op", "Elu", "evidence", None, project),))


@pytest.mark.parametrize(
    ("finding", "name"),
    [
        (suspected("onnxslim"), "onnxslim"),
        (suspected("torch"), "pytorch"),
        (suspected("converter", "pytorch 2.9"), "pytorch"),
        (suspected("converter", "tf2onnx 1.17"), "tensorflow-onnx"),
        (suspected("converter", "someone"), "onnxruntime"),
        (suspected("nobody"), "onnxruntime"),
        (replace(suspected("onnx"), tracker="apache/tvm"), "tvm"),
        (replace(suspected("onnx"), tracker="Onnx/TensorFlow-ONNX"), "tensorflow-onnx"),
        (replace(suspected("onnx"), tracker="no/where"), "elsewhere"),
        (replace(suspected("onnx"), tracker="nowhere"), "onnx"),
    ],
)
def test_the_way_to_a_tracker(finding: Finding, name: str) -> None:
    facts = facts_of(finding)
    assert facts is not None
    assert tracker_of(facts).name == name


def test_operators_that_are_not_supported_have_a_form_of_their_own() -> None:
    base = suspected("tf2onnx")
    assert base.failure is not None
    failure = replace(base.failure, stage="convert", message="Tensorflow op [X] is not supported")
    facts = facts_of(replace(base, failure=failure))
    assert facts is not None
    assert tracker_of(facts).name == "tensorflow-onnx-operators"


def test_a_proven_regression_is_said_up_front_and_labelled() -> None:
    made = draft(rich(), "onnxruntime")
    assert "regression" in made.tracker.labels(made.facts)
    assert "It fails since 1.3, last good 1.2." in made.answers[0]
    assert "module: regression" in draft(rich(), "pytorch").tracker.labels(made.facts)


def test_what_localizers_found_is_in_the_draft() -> None:
    body = draft(rich(), "onnxruntime").body
    for piece in ("`none` passes, `all` fails", "Without **EluFusion** the failure is gone", "EluFusion, Other",
                  "1 of 2 elements differ", "wrong logic", "| 1 | 2.0 | 3.0 |", "opt_level: none: does not fail",
                  "x: [2] -> [1]: still fails", "| onnxruntime | 1.3 | fails: y |", "float[3]", "9/10"):  # fmt: skip
        assert piece in body, piece


def test_every_place_of_the_routing_rules_gets_a_draft() -> None:
    for project, repository in TRACKERS.items():
        made = draft_of(finding_of(LOAD, tracker=repository))
        assert made is not None
        assert made.tracker.repository == repository, project
        assert any(made.answers)


def test_an_unknown_tracker_is_refused() -> None:
    check_name("pytorch/pytorch")
    check_name("some/where")
    with pytest.raises(UsageError, match="no tracker is called 'nope'") as error:
        check_name("nope")
    assert "pytorch" in error.value.hint


def test_answers_are_cut_at_headings_outside_of_code_only() -> None:
    fields = trackers()[NAMES.index("tvm")].fields
    body = "### Expected behavior\n\n````\n```\n### Actual behavior\n````\n\n### Actual behavior\nb\n### Environment\n"
    body += "c\n### Steps to reproduce\nd\n### Triage\n* needs-triage\n"
    assert answers_of(body, fields)[1:] == ("b", "c", "d", "* needs-triage")
    with pytest.raises(ValueError, match="### Triage"):
        answers_of(body.replace("### Triage", ""), fields)
