"""What the templates print, word for word. After a change on purpose: UPDATE_GOLDEN=1 python -m pytest tests/golden"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reducer.finding import Finding
from reporters.base import Reporter
from reporters.filing import Filing
from reporters.github_actions import job_summary
from reporters.html import HtmlReport
from reporters.issue import IssueDraft
from reporters.junit import JUnit
from reporters.regression import RegressionTest
from reporters.regression_cpp import CppRegressionTest
from reporters.routing import trackers
from reporters.sarif import Sarif
from tests.reporters.builders import LOAD, finding_of, script_of
from tests.reporters.rich_finding import WRONG, rich
from tests.reporters.test_regression_cpp import operator, transformer
from tests.reporters.test_regression_styles import STYLES
from tests.reporters.test_repro_text import forms

FILES = Path(__file__).with_name("files")


def text(reporter: Reporter, finding: Finding) -> str:
    (document,) = reporter.render(finding)
    return document.text


def printed() -> Iterator[tuple[str, str]]:
    for tracker in trackers():
        yield f"issue_{tracker.name}.md", text(IssueDraft(), rich(tracker=tracker.name))
    yield "filing.md", text(Filing(), rich())
    yield "report.html", text(HtmlReport(), rich())
    yield "summary.md", job_summary(rich())
    yield "junit.xml", text(JUnit(), rich())
    yield "results.sarif", text(Sarif(), rich())
    for style in ("onnx", "onnxruntime"):
        for form, repro in (("load", LOAD), ("value", replace(WRONG, feeds=forms()["value"].feeds))):
            finding = finding_of(repro, tracker=style)
            yield f"regression_{style}_{form}.py.txt", text(RegressionTest(), finding)
    for kind, finding in (("operator", operator()), ("transformer", transformer())):
        yield f"regression_onnxruntime_{kind}.cc.txt", text(CppRegressionTest(), finding)
    for tracker, repro in STYLES.items():
        yield f"regression_{tracker}.py.txt", text(RegressionTest(), finding_of(repro, tracker=tracker))
    for form, repro in forms().items():
        yield f"repro_{form}.py.txt", script_of(repro)


PRINTED = dict(printed())


@pytest.mark.parametrize("name", PRINTED)
def test_templates_print_what_they_printed(name: str) -> None:
    path = FILES / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(PRINTED[name], encoding="utf-8")
    assert path.read_text(encoding="utf-8") == PRINTED[name]


def test_no_golden_file_is_left_over() -> None:
    assert {path.name for path in FILES.iterdir()} == set(PRINTED)
