"""Make docs/examples/ from real runs on the samples: python docs/examples.py (needs torch and tensorflow)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SAMPLES, EXAMPLES = ROOT / "samples", ROOT / "docs" / "examples"
TOOL = [sys.executable, "-c", "import sys; from reducer.cli import main; sys.exit(main(sys.argv[1:]))"]
# Sample, further arguments, {file of the result: its name as an example}.
RUNS: tuple[tuple[str, tuple[str, ...], dict[str, str]], ...] = (
    (
        "resize_cubic_wrong/model.onnx",
        ("--expected", "resize_cubic_wrong/expected.npz", "--inputs", "resize_cubic_wrong/inputs.npz"),
        {
            "issue.md": "issue-onnxruntime.md",
            "filing.md": "filing.md",
            "repro.py": "repro-onnx.py.txt",
            "test_regression.py": "regression-onnxruntime.py.txt",
            "test_regression.cc": "regression-onnxruntime.cc.txt",
            "ci/results.sarif": "results.sarif",
            "ci/junit.xml": "junit.xml",
            "job-summary.md": "job-summary.md",
        },
    ),
    ("alexnet_defined_twice/model.onnx", ("--tracker", "onnx"), {"issue.md": "issue-onnx.md"}),
    (
        "torch_sum_pool_wrong/net.py",
        (),
        {
            "issue.md": "issue-pytorch.md",
            "repro.py": "repro-torch.py.txt",
            "test_regression.py": "regression-pytorch.py.txt",
        },
    ),
    (
        "tf_onehot_padding/case.py",
        (),
        {
            "issue.md": "issue-tensorflow-onnx.md",
            "repro.py": "repro-tf2onnx.py.txt",
            "test_regression.py": "regression-tensorflow-onnx.py.txt",
        },
    ),
)


def main() -> int:
    """Run all; every example is replaced."""
    shutil.rmtree(EXAMPLES, ignore_errors=True)
    EXAMPLES.mkdir()
    for source, more, files in RUNS:
        with tempfile.TemporaryDirectory() as scratch:
            out = Path(scratch) / "out"
            summary = out.with_name("summary.md")
            given = [str(SAMPLES / word) if "/" in word else word for word in more]
            told = {**os.environ, "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
            command = [*TOOL, str(SAMPLES / source), "--output", str(out), "--quiet", *given]
            subprocess.run(command, check=True, env=told, stdout=subprocess.DEVNULL)
            shutil.copyfile(summary, out / "job-summary.md")
            for name, example in files.items():
                if (out / name).exists():
                    shutil.copyfile(out / name, EXAMPLES / example)
    return 0


if __name__ == "__main__":
    sys.exit(main())
