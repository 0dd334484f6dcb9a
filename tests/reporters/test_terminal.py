"""The last screen and the table of rungs, in a terminal and in a file."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from reducer.finding import Finding, Reduced, Rung, Suspect
from reporters.terminal import print_ladder, print_summary
from tests.reporters.builders import HEAD, LOAD, finding_of

RUNGS = (
    Rung("load", "onnxruntime [all] 1.3", "passed", None, 0.5),
    Rung("compare", "all", "passed", "largest absolute difference 3e-07"),
)


def summary(finding: Finding, folder: str = "out", terminal: bool = False) -> str:
    stream = StringIO()
    print_summary(finding, Console(file=stream, width=100, force_terminal=terminal), Path(folder))
    return stream.getvalue()


def ladder(finding: Finding, terminal: bool = False) -> str:
    stream = StringIO()
    print_ladder(finding, Console(file=stream, width=100, force_terminal=terminal))
    return stream.getvalue()


def test_the_summary_names_everything_on_one_screen() -> None:
    text = summary(finding_of(LOAD))
    for piece in ("303 -> 1 node", "115.6 KB -> 120 bytes", "load: exception", "y = Elu(x)", "T=double", "act", "3/3"):
        assert piece in text
    assert "in model.onnx" in text or "/home/planted/model.onnx" in text  # the user's own screen may show his paths
    assert "python out/repro.py" in text
    assert "\x1b" not in text
    assert len(text.splitlines()) <= 24


def test_the_next_command_can_be_copied() -> None:
    deep = "a folder/" + "deep/" * 30
    assert f"python '{deep}repro.py'\n" in summary(finding_of(LOAD), deep)
    assert "next" not in summary(finding_of(LOAD, artifacts=()))


def test_only_the_best_suspects_and_the_first_lines_of_a_graph_are_shown() -> None:
    suspects = tuple(Suspect("op", f"Op{number}", "evidence") for number in range(5))
    reduced = Reduced("reduced.onnx", 50, 1, {"Elu": 50}, False, "2/3", HEAD + "g\n" + "line\n" * 50)
    text = summary(finding_of(LOAD, suspects=suspects, reduced=reduced))
    assert "Op2" in text
    assert "Op3" not in text
    assert text.count("line") < 16
    assert "..." in text


@pytest.mark.parametrize("terminal", [True, False])
def test_markup_and_control_codes_of_the_user_are_text(terminal: bool) -> None:
    suspect = Suspect("op", "[bold]Elu[/bold]", "red \x1b[31mand\x07 bell", "node[0]", None)
    text = summary(finding_of(LOAD, suspects=(suspect,)), terminal=terminal)
    assert "[bold]Elu[/bold]" in text
    assert "red and bell" in text
    assert "\x1b[31m" not in text
    assert "\x07" not in text


@pytest.mark.parametrize("terminal", [True, False])
def test_the_ladder_of_a_healthy_model_shows_the_difference(terminal: bool) -> None:
    text = ladder(finding_of(None, failure=None, reduced=None, ladder=RUNGS, status="not_reproduced"), terminal)
    assert "does not fail" in text
    assert "largest absolute difference 3e-07" in text
    assert "onnxruntime [all] 1.3" in text
    assert terminal or not any(c in text for c in "│┃─\x1b")


def test_the_ladder_of_a_failure_does_not_say_that_nothing_failed() -> None:
    text = ladder(replace(finding_of(LOAD), ladder=RUNGS))
    assert "does not fail" not in text
    assert text.splitlines()[0].startswith("load ")


def test_the_terminal_needs_no_template_engine() -> None:
    code = "import sys, reporters.terminal, reporters.repro, reporters.issue; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
