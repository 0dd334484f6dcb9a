"""The real failures under samples/: final size, suspect, stage and number of oracle calls against expect.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reducer.progress import Progress
from reducer.sessions.onnx import OnnxSession
from reducer.settings import Settings

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
NAMES = sorted(p.parent.name for p in SAMPLES.glob("*/expect.json") if (p.parent / "model.onnx").exists())


def test_there_are_samples() -> None:
    assert len(NAMES) >= 6


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_a_sample_ends_at_its_known_minimum(name: str, jobs: int, tmp_path: Path) -> None:
    folder = SAMPLES / name
    expect = json.loads((folder / "expect.json").read_text())
    wanted = folder / "expected.npz"
    settings = Settings(
        inputs=(folder / "inputs.npz") if (folder / "inputs.npz").exists() else None,
        expected=wanted if wanted.exists() else None,
        output=tmp_path / "out",
        jobs=jobs,
    )
    quiet = Progress()
    with OnnxSession(settings, str(folder / "model.onnx"), quiet, quiet.say) as session:
        finding = session.run()
    assert finding.status == "reduced"
    assert finding.reduced is not None
    assert finding.failure is not None
    assert finding.reduced.nodes == expect["nodes"]
    assert dict(finding.reduced.op_types) == expect["op_types"]
    assert finding.reduced.one_minimal
    assert finding.reduced.bytes <= expect["bytes"]
    # Equal bugs end as equal bytes, whatever the number of workers.
    assert finding.reduced.canonical_sha256 == expect["canonical_sha256"]
    assert finding.reduced.reproduced == "3/3"
    assert finding.failure.stage == expect["stage"]
    assert finding.suspects[0].name == expect["suspect"]
    if finding.difference is not None and finding.difference.worst:
        # The failure is told in the numbers of the reduced model.
        _, right, wrong = finding.difference.worst[0]
        assert finding.failure.max_abs_diff == pytest.approx(abs(float(right) - float(wrong)), rel=1e-3)
    if jobs == 1:  # speculation with more workers may run candidates that are never asked for
        assert finding.search.oracle_calls <= expect["calls"]
