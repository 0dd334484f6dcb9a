"""onnx-reduce against torch's own fx minifier on PyTorch exports that fail: calls, seconds, nodes that are left.

    python bench/torch_minifier.py NET.py... [--table docs/benchmarks.md]

Both start from the decomposed graph of the same model with the same recorded inputs and look for the same signature.
The minifier (torch/_functorch/fx_minifier.py) gets the check that one would write for it: torch.onnx.export, and for
a model that is exported, ONNX Runtime against eager. onnx-reduce runs as it ships, its search timed from the ladder's
end to the fixpoint; both searches leave out loading, capturing and the proof at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OMP_NUM_THREADS", "1")

from reducer.oracles.export import signature_of
from reducer.progress import Progress
from reducer.sessions.torch import TorchSession
from reducer.settings import Settings

START, END = "<!-- torch: start -->", "<!-- torch: end -->"
HEAD = """| case | nodes | fx minifier: nodes, calls, s | onnx-reduce: nodes, calls, search s |
|---|--:|---|---|
"""


def ours(path: str) -> tuple[int, int, float]:
    """(nodes, calls, seconds of the search)."""
    quiet = Progress()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(output=Path(folder) / "out")
        with TorchSession(settings, path, quiet, quiet.say) as session:
            finding = session.run()
            assert session.workspace is not None
            session.workspace.discard()
    assert finding.reduced is not None
    return finding.reduced.nodes, finding.search.oracle_calls, finding.search.seconds


def theirs(path: str) -> tuple[int, int, int, float]:
    """(nodes at the start, nodes, calls, seconds)."""
    from torch._functorch.fx_minifier import minifier

    from reducer.frontends.torch import subject_of
    from reducer.worker.pytorch import cutting, judging
    from reducer.worker.pytorch.opening import DECOMPOSED, climb, opened

    state = opened(subject_of(path, Settings()))
    failure = climb(state, 120.0)["failure"]
    level = state.level(DECOMPOSED)
    target = signature_of(failure, "dynamo")
    calls = 0

    def fails(module: Any, inputs: Any) -> bool:
        nonlocal calls
        calls += 1
        report = check(module, list(inputs), state.options, judging)
        return bool(report.get("step")) and signature_of(report, "dynamo") == target

    start = cutting.cut(level, frozenset(level.ids.values()))
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        small, _ = minifier(start.module, start.values, fails, dump_state=lambda *_: None)
    seconds = time.perf_counter() - began
    left = [node for node in small.graph.nodes if node.op == "call_function" and "getitem" not in str(node.target)]
    return len(level.units), len(left), calls, seconds


def check(module: Any, inputs: list[Any], options: dict[str, Any], judging: Any) -> dict[str, Any]:
    """What torch.onnx.export and ONNX Runtime make of a module, through public calls alone."""
    import torch

    from reducer.worker.pytorch import adapter, failures
    from reducer.worker.pytorch.graph import copied

    try:
        with torch.no_grad():
            expected = adapter.tensors_of(module(*copied(inputs)))
        if not expected:
            return {"step": ""}
        model = adapter.export(module, tuple(copied(inputs)), {}, options)
    except adapter.StepFailed as failed:
        return failures.describe(failed.error, failed.step)
    except Exception:  # noqa: BLE001 - a module that does not run is no failure of the exporter
        return {"step": ""}
    report: dict[str, Any] = judging.run_onnx(model, inputs, expected, options)
    return report


def main() -> int:
    """Run and print, or replace the table between the marks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="+")
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    rows = []
    for case in arguments.cases:
        nodes, left, calls, seconds = theirs(case)
        own, own_calls, own_seconds = ours(case)
        name = Path(case).stem if Path(case).stem != "net" else Path(case).parent.name
        rows.append(f"| {name} | {nodes} | {left}, {calls}, {seconds:.1f} | {own}, {own_calls}, {own_seconds:.1f} |")
        print(rows[-1], flush=True)
    if arguments.table:
        text = arguments.table.read_text()
        before, rest = text.split(START)[0], text.split(END)[1]
        arguments.table.write_text(before + START + "\n" + HEAD + "\n".join(rows) + "\n" + END + rest)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
