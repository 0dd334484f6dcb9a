"""test_regression.py fails while the bug is there and passes when it is gone; the backend folder is one of ONNX's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from reducer.backend_folder import write_backend_folder
from reducer.finding import Feed, Finding, Reproduction, Suspect
from reducer.workspace import Workspace
from reporters.regression import RegressionTest
from tests.reporters.builders import FINE, HEAD, LOAD, ORT, PLAIN, REFERENCE, finding_of, vector

FLOAT = HEAD + "g (float[2] x) => (float[2] y) { y = Neg(x) }"
RUN = replace(LOAD, stage="run", feeds=(vector([1.0, 2.0], "float64"),))
VALUE = Reproduction("mismatch", "compare", (ORT, PLAIN), mismatch="value", model_text=FLOAT,
                     feeds=(vector([1.0, 2.0]),), expected=(Feed("y", "float32", (2,), [-1.0, -3.0]),))  # fmt: skip


def written(finding: Finding) -> str | None:
    documents = RegressionTest().render(finding)
    for document in documents:
        assert (document.kind, document.path) == ("regression_test", "test_regression.py")
        compile(document.text, "test_regression.py", "exec")
        return document.text
    return None


def outcome(text: str | None, folder: Path) -> int:
    """0 passed, 1 failed, other: the process died."""
    assert text is not None
    (folder / "test_regression.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_regression.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=120).returncode


def fixed(repro: Reproduction, **changes: Any) -> Reproduction:
    return replace(repro, **changes)


@pytest.mark.parametrize("tracker", ["onnxruntime", "onnx"])
@pytest.mark.parametrize(
    ("there", "gone"),
    [
        (LOAD, fixed(LOAD, model_text=FINE)),
        (RUN, fixed(RUN, model_text=FINE, feeds=(vector([1.0, 2.0]),))),
        (VALUE, fixed(VALUE, expected=(Feed("y", "float32", (2,), [-1.0, -2.0]),))),
        (
            fixed(LOAD, probes=(replace(ORT, backend="onnx-checker"),), stage="check",
                  model_text=HEAD + "g (float[2] x) => (float[2] y) { y = Abs(x) y = Neg(x) }"),
            fixed(LOAD, probes=(replace(ORT, backend="onnx-checker"),), stage="check", model_text=FINE),
        ),
    ],
    ids=["load", "run", "value", "check"],
)  # fmt: skip
def test_it_fails_with_the_bug_and_passes_without(
    tracker: str, there: Reproduction, gone: Reproduction, tmp_path: Path
) -> None:
    for repro, code in ((there, 1), (gone, 0)):
        assert outcome(written(finding_of(repro, tracker=tracker)), tmp_path) == code


def test_they_are_formatted(tmp_path: Path) -> None:
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or shutil.which("ruff")
    if ruff is None:
        pytest.skip("needs ruff")
    hang = replace(RUN, form="hang", probes=(PLAIN,))
    for number, repro in enumerate((LOAD, RUN, VALUE, hang, replace(VALUE, probes=(REFERENCE, ORT), expected=()))):
        for tracker in ("onnx", "onnxruntime"):
            text = written(finding_of(repro, tracker=tracker))
            assert text is not None
            (tmp_path / f"test_{tracker}_{number}.py").write_text(text)
    for arguments in (["format", "--diff"], ["check", "--select", "E9,F"]):
        command = [ruff, *arguments, "--isolated", "--line-length", "120", str(tmp_path)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_death_fails_and_a_refusal_is_fine(tmp_path: Path) -> None:
    deadly = HEAD + "g (float[2] x) => (float[2] y) { y = Max(x, ) }"
    text = written(finding_of(replace(RUN, form="death", model_text=deadly, feeds=(vector([1.0, 2.0]),))))
    assert text is not None
    assert "ends the process" in text
    kill = text.replace(
        "model = onnx.parser", "import os\n\n        os.kill(os.getpid(), 11)\n        model = onnx.parser"
    )
    assert outcome(kill, tmp_path) not in (0, 1)
    assert outcome(written(finding_of(replace(RUN, form="death"))), tmp_path) == 0


def test_without_known_values_the_second_witness_decides(tmp_path: Path) -> None:
    repro = replace(VALUE, probes=(REFERENCE, ORT), expected=())
    text = written(finding_of(repro))
    assert text is not None
    assert "ReferenceEvaluator" in text
    assert outcome(text, tmp_path) == 0


@pytest.mark.parametrize(
    "finding",
    [
        finding_of(None),
        finding_of(replace(LOAD, form="command", command=("false",))),
        finding_of(replace(LOAD, model_text=None)),
        finding_of(replace(RUN, feeds=(Feed("x", "float64", (2,)),))),
        finding_of(LOAD, suspects=(Suspect("type", "Elu", "illegal", None, "converter"),)),
        finding_of(LOAD, tracker="openvino"),
        finding_of(replace(VALUE, expected=(), probes=(ORT,))),
    ],
)
def test_nothing_is_claimed_that_cannot_be_said(finding: Finding) -> None:
    assert written(finding) is None


def test_the_backend_folder_runs_as_onnx_runs_it(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "out", force=False)
    model = onnx.parser.parse_model(FLOAT).SerializeToString()
    x = np.array([1.0, 2.0], np.float32)
    (artifact,) = write_backend_folder(workspace, model, {"x": x}, {"y": -x}, ("x", "y"))
    out = workspace.commit()
    assert (out / artifact.path).read_bytes() == model
    files = sorted(path.name for path in (out / "backend_test" / "test_data_set_0").iterdir())
    assert files == ["input_0.pb", "output_0.pb"]
    tensors = [onnx.load_tensor(str(out / "backend_test" / "test_data_set_0" / name)) for name in files]
    assert [tensor.name for tensor in tensors] == ["x", "y"]
    np.testing.assert_array_equal(numpy_helper.to_array(tensors[1]), -numpy_helper.to_array(tensors[0]))


def test_no_backend_folder_for_what_is_no_tensor_or_too_large(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "out", force=False)
    assert write_backend_folder(workspace, b"m", {"x": None}, {}, ("x",)) == ()
    assert write_backend_folder(workspace, b"m", {"x": np.zeros(2 << 20)}, {}, ("x",)) == ()
    half = write_backend_folder(workspace, b"m", {"x": np.zeros(1)}, {"y": np.zeros(1)}, ("x", "y", "z"))
    assert half
    assert not (workspace.folder / "backend_test" / "test_data_set_0" / "output_0.pb").exists()
    workspace.discard()
