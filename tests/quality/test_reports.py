"""The samples from model to report: everything that a run hands to others passes the lint."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from reducer.delivery import Place, deliver
from reducer.progress import Progress
from reducer.reading import read_finding
from reducer.sessions.onnx import OnnxSession
from reducer.settings import Settings
from tests.quality.report_lint import lint
from tests.quality.test_samples import NAMES, SAMPLES


@pytest.mark.parametrize("name", NAMES)
def test_the_reports_of_a_sample_are_clean(name: str, tmp_path: Path) -> None:
    folder, out = SAMPLES / name, tmp_path / "out"
    inputs, wanted = folder / "inputs.npz", folder / "expected.npz"
    settings = Settings(
        inputs=inputs if inputs.exists() else None, expected=wanted if wanted.exists() else None, output=out
    )
    quiet = Progress()
    with OnnxSession(settings, str(folder / "model.onnx"), quiet, quiet.say) as session:
        finding = session.run()
        assert session.workspace is not None
        finding = deliver(finding, session.workspace, Place(session.host.folder), session.completed)
    assert lint(out).complaints == ()
    assert read_finding(out).search.curve == finding.search.curve
    # The curve starts at the source and ends at the result; the picture shows what was kept.
    assert finding.reduced is not None
    assert finding.search.curve[0] == (0, finding.source.nodes)
    assert finding.search.curve[-1][1] == finding.reduced.nodes
    assert [node.op_type for node in finding.reduced.graph] == list(finding.reduced.op_types)
    kept = [node.op_type for node in finding.neighbourhood if node.kept]
    assert kept == list(finding.reduced.op_types)
    assert 1 <= len(finding.neighbourhood) <= 24
    before = {p.name: p.read_bytes() for p in out.glob("*.*") if p.is_file()}
    code = "import sys; from reducer.cli import main; sys.exit(main(['report', sys.argv[1]]))"
    assert subprocess.run([sys.executable, "-c", code, str(out)], check=False, capture_output=True).returncode == 0
    assert {p.name: p.read_bytes() for p in out.glob("*.*") if p.is_file()} == before


def test_the_lint_finds_what_it_is_for(tmp_path: Path) -> None:
    from reporters.draft import draft_of
    from reporters.finding_json import FindingJson
    from tests.reporters.builders import LOAD, finding_of

    finding = finding_of(LOAD)
    draft = draft_of(finding)
    assert draft is not None
    (document,) = FindingJson().render(finding)
    (tmp_path / "finding.json").write_text(document.text)
    bad = draft.body.replace("### Urgency", "### Hurry").replace("Elu", "Elu in /home/someone/x, `open")
    (tmp_path / "issue.md").write_text(bad + "\n```\nnever closed, on wasm")
    (tmp_path / "report.html").write_text('<img src="http://elsewhere/x.png">')
    said = "\n".join(lint(tmp_path).complaints)
    for piece in ("repro.py is named and not there", "the heading is missing or out of order: ### Urgency", "a path",
                  "a block of code never ends", "code is not closed", "loads src", "no repro script",
                  "must hold one address"):  # fmt: skip
        assert piece in said, piece
    assert json.loads(document.text)["status"] == "reduced"
