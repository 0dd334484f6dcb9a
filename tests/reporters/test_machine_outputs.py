"""SARIF, JUnit and GitHub Actions: what machines read says what people read."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from jsonschema import Draft4Validator
from xmlschema import XMLSchema

from reducer.finding import Finding
from reporters.github_actions import announce, escaped, on_github
from reporters.junit import JUnit
from reporters.sarif import Sarif
from tests.reporters.builders import LOAD, finding_of
from tests.reporters.rich_finding import rich

SCHEMAS = Path(__file__).parent / "schemas"
FINDINGS = pytest.mark.parametrize("finding", [rich(), finding_of(LOAD)], ids=["rich", "bare"])


def sarif(finding: Finding) -> dict[str, Any]:
    (document,) = Sarif().render(finding)
    assert document.path == "ci/results.sarif"
    read: dict[str, Any] = json.loads(document.text)
    return read


@FINDINGS
def test_sarif_fits_its_schema(finding: Finding) -> None:
    schema = Draft4Validator(json.loads((SCHEMAS / "sarif-2.1.0-rtm.5.json").read_text()))
    log = sarif(finding)
    assert [error.message for error in schema.iter_errors(log)] == []
    log["runs"][0]["tool"].pop("driver")
    assert not schema.is_valid(log)


@FINDINGS
def test_junit_fits_its_schema(finding: Finding) -> None:
    schema = XMLSchema(SCHEMAS / "junit-10.xsd")
    (document,) = JUnit().render(finding)
    assert [error.reason for error in schema.iter_errors(document.text)] == []
    assert not schema.is_valid(document.text.replace("<testsuites ", '<testsuites skipped="0" '))


def test_sarif_has_what_code_scanning_asks_for() -> None:
    (run,) = sarif(rich())["runs"]
    (rule,) = run["tool"]["driver"]["rules"]
    assert all(rule[field]["text"] for field in ("shortDescription", "fullDescription", "help"))
    assert run["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"] == 1


def test_sarif_has_what_the_standard_requires() -> None:
    log = sarif(rich())
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    (result,) = run["results"]
    assert rules[result["ruleIndex"]] == result["ruleId"] == "compare/wrong_output"
    assert result["message"]["text"].startswith("Elu: wrong output (value)")
    assert result["partialFingerprints"] == {"onnxReduceSignature/v1": "fedcba9876543210"}
    (location,) = result["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "net.onnx"
    assert location["logicalLocations"] == [{"name": "secret_act", "kind": "member"}]
    assert "planted" not in json.dumps(sarif(finding_of(LOAD)))


def test_junit_is_one_failed_case() -> None:
    finding = finding_of(replace(LOAD, actual_text="bad \x00 <name> & more"))
    (document,) = JUnit().render(finding)
    suites = ElementTree.fromstring(document.text)
    assert suites.attrib["failures"] == suites.attrib["tests"] == "1"
    case = suites.find("./testsuite/testcase")
    assert case is not None
    assert case.attrib["name"] == "net.onnx"
    failure = case.find("failure")
    assert failure is not None
    assert failure.attrib["type"] == "NotImplemented"
    assert "bad ? <name> & more" in str(failure.text)
    assert "0123456789abcdef" in str(failure.text)


def test_nothing_without_a_failure() -> None:
    healthy = finding_of(None, failure=None, reduced=None)
    assert Sarif().render(healthy) == JUnit().render(healthy) == []
    stream = StringIO()
    announce(healthy, stream, {})
    assert stream.getvalue() == ""


def test_github_gets_one_annotation_and_a_summary(tmp_path: Path) -> None:
    stream, page = StringIO(), tmp_path / "summary.md"
    page.write_text("before\n")
    announce(rich(), stream, {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(page)})
    line = stream.getvalue()
    assert line.count("\n") == 1
    assert line.startswith("::error file=net.onnx,title=Elu%3A wrong output (value) from onnxruntime (all)::A model of")
    text = page.read_text()
    assert text.startswith("before\n## Elu: wrong output")
    assert "fedcba9876543210" in text
    assert "```python" in text
    assert "secret" not in text
    announce(rich(), stream, {"GITHUB_STEP_SUMMARY": str(tmp_path / "no" / "folder.md")})
    assert "::warning::" in stream.getvalue()


def test_escapes_and_detection() -> None:
    assert escaped("50% of\na: b, c") == "50%25 of%0Aa: b, c"
    assert escaped("a: b, c", ":,") == "a%3A b%2C c"
    assert on_github({"GITHUB_ACTIONS": "true"})
    assert not on_github({})
