"""Real PyTorch failures with known culprits: stage, size, suspect and a script that proves it (minutes: slow)."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

if importlib.util.find_spec("torch") is None or importlib.util.find_spec("onnxscript") is None:
    pytest.skip("PyTorch or onnxscript is not installed", allow_module_level=True)

from tests.quality.test_torch_samples import run

CASES = sorted(Path(__file__).with_name("torch_cases").glob("*.py"))
STAGES = {
    "convert_exception": {"convert"}, "ort_load": {"load", "check", "optimize"}, "ort_run": {"run"},
    "wrong_output": {"compare"},
}  # fmt: skip
# One operator, or one module of torch that a constructor call makes.
LINES = 45


def constants(case: Path) -> dict[str, Any]:
    """The literal constants of a case; nothing of it is run here."""
    found = {}
    for node in ast.parse(case.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper():
            found[node.targets[0].id] = ast.literal_eval(node.value)
    return found


def plain(name: str) -> str:
    """Letters and digits alone: aten::amax, aten.amax.default and nn.LSTM are written in many ways."""
    return re.sub(r"[^a-z0-9]", "", name.lower().split("::")[-1])


def test_there_are_cases() -> None:
    assert len(CASES) == 9


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_a_real_failure_ends_at_its_culprit(case: Path, tmp_path: Path) -> None:
    told = constants(case)
    finding = run(case, tmp_path / "out", exporter=told.get("EXPORTER", "dynamo"))
    assert finding.failure is not None
    assert finding.reduced is not None
    assert finding.failure.stage in STAGES[told["SYMPTOM"]]
    assert finding.reduced.nodes == 1
    suspect = finding.suspects[0].name
    assert any(plain(op) in plain(suspect) or plain(suspect) in plain(op) for op in told["EXPECTED_OPS"]), suspect
    if finding.failure.stage in ("load", "run"):
        # What is left of the exported model is told by the operator that it was made of.
        below = finding.suspects[-1]
        assert "the exported ONNX model fails by itself, reduced to 1 " in below.evidence
        assert f"made of {suspect} (node {finding.suspects[0].node})" in below.evidence
        assert (tmp_path / "out" / "onnx" / "reduced.onnx").exists()
    script = next(artifact for artifact in finding.artifacts if artifact.kind == "repro_script")
    assert script.verified == "3/3"
    assert len((tmp_path / "out" / script.path).read_text().splitlines()) <= LINES
