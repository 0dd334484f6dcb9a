"""`onnx-reduce report OUT`: reports from finding.json alone, for any tracker; nothing outside OUT is touched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reducer.cli import USAGE, main
from reporters.finding_json import FindingJson
from tests.reporters.builders import finding_of
from tests.reporters.rich_finding import rich


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (document,) = FindingJson().render(rich())
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "finding.json").write_text(document.text)
    (folder / "repro.py").write_text("# as it was verified\n")
    return folder


def test_everything_is_written_from_the_finding_alone(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (out / "finding.json").read_bytes()
    assert main(["report", str(out)]) == 0
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert names == {"finding.json", "repro.py", "issue.md", "filing.md", "report.html", "test_regression.py",
                     "ci/results.sarif", "ci/junit.xml"}  # fmt: skip
    assert (out / "finding.json").read_bytes() == before
    assert (out / "repro.py").read_text() == "# as it was verified\n"
    assert "### Describe the issue" in (out / "issue.md").read_text()
    assert "report.html" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["pytorch", "pytorch/pytorch"])
def test_another_tracker(name: str, out: Path) -> None:
    assert main(["report", str(out), "--tracker", name]) == 0
    assert "### 🐛 Describe the bug" in (out / "issue.md").read_text()
    assert "pytorch/pytorch" in (out / "filing.md").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["report", "nowhere"], "no such folder: nowhere"),
        (["report", "OUT", "--tracker", "nope"], "no tracker is called 'nope'"),
        (["report", "OUT", "--no-such-option"], "no-such-option"),
        (["report"], "OUT"),
    ],
)
def test_wrong_use_is_one_line(words: list[str], message: str, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(out) if word == "OUT" else word for word in words]) == USAGE
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_a_finding_without_failure_has_no_report(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (document,) = FindingJson().render(replace(finding_of(None, failure=None, reduced=None), status="not_reproduced"))
    (out / "finding.json").write_text(document.text)
    assert main(["report", str(out)]) == USAGE
    assert "holds no failure" in capsys.readouterr().err


def test_a_link_that_leads_out_is_not_followed(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    victim = out.parent / "victim.md"
    victim.write_text("mine")
    (out / "issue.md").symlink_to(victim)
    assert main(["report", str(out)]) == USAGE
    assert victim.read_text() == "mine"
    assert "leads out of" in capsys.readouterr().err


def test_a_tracker_can_be_named_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "no.onnx"), "--tracker", "nope"]) == USAGE
    assert "no tracker is called 'nope'" in capsys.readouterr().err
