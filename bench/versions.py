"""Bisects known failures over released wheels and prints the table of docs/versions.md. Needs the package index.

    python bench/versions.py [CASE ...]

Environments go into the cache (ONNX_REDUCE_CACHE); with an empty cache the seconds include every installation.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent / "releases"
# Case -> package, and what was known before: releases that were run by hand (fails; passes).
CASES = {
    "ort28491": ("onnxruntime", "1.16.3 to 1.25.1; 1.32.0"),
    "ort22512": ("onnxruntime", "1.18.1 to 1.20.1; 1.16.3, 1.23.2"),
    "ort28413": ("onnxruntime", "1.25.1; 1.23.2, 1.32.0"),
    "ort24441": ("onnxruntime", "all to 1.32.0"),
    "ort32609": ("onnxruntime", "1.16.3 to 1.25.1; 1.32.0"),
    "ort28348": ("onnxruntime", "1.23.2 to 1.25.1; 1.20.1, 1.32.0"),
    "ort_padmax": ("onnxruntime", "1.20.1 to 1.25.1; 1.18.1, 1.32.0"),
    "ort17392": ("onnxruntime", "1.16.3; 1.18.1"),
    "onnx6180": ("onnx", "1.16.1; 1.17"),
    "onnx7298": ("onnx", "1.16.1 to 1.19.0; 1.20.1"),
    "onnx6554": ("onnx", "1.20.1; 1.22"),
    # Older releases of it use names that onnx 1.20 has removed.
    "onnxslim_reshape0": ("onnxslim --with onnx==1.18.0", "0.1.40 to 0.1.80; 0.1.98"),
    "onnxoptimizer_reshape0": ("onnxoptimizer", "0.4.2; 0.3.13"),
    "onnxsim_reshape0": ("onnxsim", "0.4.36; 0.8.1"),
}


def main(names: list[str]) -> int:
    """One row per case."""
    print(
        "| case | known (fails; passes) | found | releases asked | seconds | per release |\n|---|---|---|---|---|---|"
    )
    for name in names or list(CASES):
        package, known = CASES[name]
        start = time.perf_counter()
        tool = Path(sys.executable).with_name("onnx-reduce")
        words = ["bisect", "--script", str(HERE / f"{name}.py"), "--package", *package.split(), "--json"]
        ended = subprocess.run(
            [tool, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False
        )
        seconds = time.perf_counter() - start
        told = json.loads(ended.stdout) if ended.stdout else {"window": f"exit code {ended.returncode}", "versions": []}
        asked = len(told["versions"])
        row = (name, known, told["window"], asked, f"{seconds:.0f}", f"{seconds / max(asked, 1):.1f}")
        print("| " + " | ".join(map(str, row)) + " |", flush=True)
        for fact in told["versions"]:
            print(f"  {fact['version']} {fact['outcome']} {fact['detail'][:140]}", file=sys.stderr, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
