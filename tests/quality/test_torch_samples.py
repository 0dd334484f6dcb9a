"""The PyTorch failures under samples/, from the command to the proven script, against their expect.json.

And what decides between front ends and layers: no failure, a missing piece, a death of the exporter.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from reducer.finding import Finding
from reducer.progress import Progress
from reducer.sessions.torch import TorchSession
from reducer.settings import Settings
from reducer.sources.torch import TorchModelSource
from reducer.worker.host import Host, HostOptions

if importlib.util.find_spec("torch") is None or importlib.util.find_spec("onnxscript") is None:
    pytest.skip("PyTorch or onnxscript is not installed", allow_module_level=True)

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
NAMES = sorted(path.parent.name for path in SAMPLES.glob("torch_*/expect.json"))
HEAD = "import torch\n\n\n"


def run(target: Path, folder: Path, **options: object) -> Finding:
    """The finding, with repro.py written into `folder`."""
    from reducer.delivery import Place, deliver

    quiet = Progress()
    host = Host(HostOptions(preload=TorchModelSource.preload))
    settings = Settings(output=folder, **options)  # type: ignore[arg-type]
    with TorchSession(settings, str(target), quiet, quiet.say, host) as session:
        finding = session.run()
        if finding.status == "not_reproduced":
            return finding
        assert session.workspace is not None
        return deliver(finding, session.workspace, Place(host.folder, host.options.python))


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_ends_at_its_known_minimum(name: str, tmp_path: Path) -> None:
    expect = json.loads((SAMPLES / name / "expect.json").read_text())
    finding = run(SAMPLES / name / "net.py", tmp_path / "out")
    assert finding.status == "reduced"
    assert finding.reduced is not None
    assert finding.failure is not None
    assert (finding.reduced.nodes, dict(finding.reduced.op_types)) == (expect["nodes"], expect["op_types"])
    assert finding.reduced.one_minimal
    assert finding.reduced.reproduced == "3/3"
    assert finding.failure.stage == expect["stage"]
    assert finding.suspects[0].name == expect["suspect"]
    assert "net.py:" in finding.suspects[0].line
    assert [node.op_type for node in finding.reduced.graph] == list(finding.reduced.op_types)
    assert sum(node.kept for node in finding.neighbourhood) == finding.reduced.nodes < len(finding.neighbourhood)
    assert finding.search.curve[0] == (0, finding.source.nodes)
    assert (finding.difference is not None) == (finding.failure.symptom == "wrong_output")
    page = (tmp_path / "out" / "report.html").read_text()
    assert 'id="reduced-graph"' in page
    assert 'id="source-graph"' in page
    assert ('id="histogram"' in page) == (finding.difference is not None)
    assert finding.search.oracle_calls <= expect["calls"]
    script = next(artifact for artifact in finding.artifacts if artifact.kind == "repro_script")
    assert script.verified == "3/3"
    text = (tmp_path / "out" / script.path).read_text()
    assert "reducer" not in text
    assert "pickle" not in text
    assert finding.tracker in (None, "pytorch/pytorch", "microsoft/onnxscript")
    draft = (tmp_path / "out" / "issue.md").read_text()
    assert "Versions" in draft
    assert finding.suspects[0].line not in draft
    assert "called at" not in draft


def test_a_model_that_is_exported_rightly_is_not_reduced(tmp_path: Path) -> None:
    path = tmp_path / "fine.py"
    path.write_text(
        f"{HEAD}def get_model():\n    return torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.ReLU())\n\n\n"
        "def get_inputs():\n    return (torch.ones(2, 3),)\n"
    )
    finding = run(path, tmp_path / "out")
    assert finding.status == "not_reproduced"
    assert [(rung.stage, rung.outcome) for rung in finding.ladder][-1] == ("compare", "passed")


def test_a_branch_on_a_value_is_told_by_module_line_and_script(tmp_path: Path) -> None:
    path = tmp_path / "branch.py"
    path.write_text(
        f"{HEAD}class Gate(torch.nn.Module):\n    def forward(self, x):\n"
        "        if x.sum() > 0:\n            return x * 2\n        return x\n\n\n"
        "def get_model():\n    return torch.nn.Sequential(torch.nn.Linear(3, 3), Gate(), torch.nn.ReLU()).eval()\n\n\n"
        "def get_inputs():\n    return (torch.ones(2, 3),)\n"
    )
    finding = run(path, tmp_path / "out")
    assert finding.failure is not None
    assert finding.failure.stage == "convert"
    assert finding.failure.signature.detail.startswith("capture")
    suspect = finding.suspects[0]
    assert (suspect.name, suspect.node) == ("Gate", "1")
    assert "branch.py:6" in suspect.line
    ended = subprocess.run([sys.executable, str(tmp_path / "out" / "repro.py")], capture_output=True, check=False)
    assert ended.returncode == 1
