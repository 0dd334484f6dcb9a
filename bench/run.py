"""Measure onnx-reduce against `polygraphy debug reduce` (bisect, lean Python check) on the same models in one run.

    python bench/run.py WORK_DIR [--only a,b] [--table docs/benchmarks.md]

Needs polygraphy beside the running interpreter (pip install polygraphy). Where ONNX Runtime itself fails,
onnx-reduce runs without a check, as a user would; where the failure is simulated by a check, both use that check.
CPU seconds include all children. "calls" are candidates run by onnx-reduce, checks run by Polygraphy.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import checks
import networks as n
import onnx
import structures as s

BIN = Path(sys.executable).parent
ORT_CHECK = ["check_ort.py", "@"]


@dataclass(frozen=True)
class Case:
    """A failing model, a hand-made smallest one, the check, and the text that tells the right bug."""

    make: Callable[[], onnx.ModelProto]
    ideal: Callable[[], onnx.ModelProto] | None
    check: list[str]
    signature: str = checks.NOIMPL

    @property
    def native(self) -> bool:
        """Whether ONNX Runtime itself fails on the model."""
        return self.check == ORT_CHECK


def op_check(name: str) -> list[str]:
    return ["check_op.py", "@", name]


WRONG = ["check_wrong.py", "@"]
CASES: dict[str, Case] = {
    "a chain 100": Case(lambda: n.chain(100, lambda b, x: b.bad(x), 1), n.bad_ideal, ORT_CHECK),
    "b residual 500": Case(lambda: n.resnet(500, lambda b, x: b.bad(x), 2), n.bad_ideal, ORT_CHECK),
    "c residual 2000": Case(lambda: n.resnet(2000, lambda b, x: b.bad(x), 3), n.bad_ideal, ORT_CHECK),
    "b2 residual 500": Case(lambda: n.resnet(500, n.mark_hswish, 4), n.hswish_ideal, op_check("HardSwish"), "BUG in"),
    "c2 residual 2000": Case(lambda: n.resnet(2000, n.mark_hswish, 5), n.hswish_ideal, op_check("HardSwish"), "BUG in"),
    "d pair": Case(lambda: n.two_nodes(300, 6), n.two_ideal, ["check_pair.py", "@"], "PAIR BUG"),
    "e If": Case(lambda: s.if_model(7), s.if_ideal, ORT_CHECK),
    "e2 Loop": Case(lambda: s.loop_model(8), s.loop_ideal, ORT_CHECK),
    "f wrong output": Case(lambda: n.resnet(120, n.mark_hswish, 9), n.hswish_ideal, WRONG, "MISMATCH"),
    "f2 masked": Case(lambda: n.masked_model(10), n.hswish_ideal, WRONG, "MISMATCH"),
    "g Clip('')": Case(lambda: s.optional_model(11), n.bad_ideal, ORT_CHECK),
    "h shapes": Case(lambda: s.shape_model(12), n.bad_ideal, ORT_CHECK),
    "h2 shapes": Case(lambda: s.shape_model(12, mark=n.mark_hswish), n.hswish_ideal, WRONG, "MISMATCH"),
    "k function": Case(lambda: s.fn_model(15), s.fn_ideal, ORT_CHECK),
    "l sequence": Case(lambda: s.sequence_model(16), n.bad_ideal, ORT_CHECK),
    "m skip": Case(lambda: s.skip_fusion_model(17), s.skip_fusion_ideal, ["check_fusion.py", "@"], "FUSION BUG"),
    "n slip": Case(lambda: s.slip_model(18), s.slip_ideal, ["check_slip.py", "@"], "PATTERN BUG"),
    "o death 2000": Case(lambda: n.resnet(2000, n.mark_death, 19), n.death_ideal, ORT_CHECK, "SIGSEGV"),
    "j weight 36 MB": Case(lambda: s.big_model(14), s.big_ideal, ["check_gemm.py", "@"], "GEMM BUG"),
    "i no bug": Case(lambda: n.resnet(60, lambda b, x: x, 13), None, ORT_CHECK),
}


def all_nodes(model: onnx.ModelProto) -> int:
    """Nodes, those of bodies and functions included."""

    def count(nodes: Any) -> int:
        return sum(1 + sum(count(a.g.node) for a in node.attribute if a.HasField("g")) for node in nodes)

    return count(model.graph.node) + sum(count(f.node) for f in model.functions)


def still_right(path: Path, case: Case, folder: Path) -> bool:
    """Whether the reduced model fails the check with the text of the original bug."""
    argv = [sys.executable, str(folder / case.check[0])] + [str(path) if w == "@" else w for w in case.check[1:]]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    died = signal.Signals(-ended.returncode).name if ended.returncode < 0 else ""
    return bool(ended.returncode and re.search(case.signature, ended.stdout + ended.stderr + died))


def measured(argv: list[str], folder: Path) -> dict[str, Any]:
    """Run a command in `folder`: wall and CPU seconds of it and all its children, exit code, output."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = dict(os.environ, PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    ended = subprocess.run(argv, cwd=folder, capture_output=True, text=True, env=environment, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    wall = time.perf_counter() - start
    return {"wall": wall, "cpu": cpu, "exit": ended.returncode, "text": ended.stdout + ended.stderr}


def polygraphy(case: Case, folder: Path) -> dict[str, Any]:
    """`polygraphy debug reduce` in its default mode."""
    work = folder / "polygraphy"
    work.mkdir()
    words = [sys.executable, str(folder / case.check[0])]
    words += ["polygraphy_debug.onnx" if word == "@" else word for word in case.check[1:]]
    out = work / "reduced.onnx"
    argv = [str(BIN / "polygraphy"), "debug", "reduce", "../model.onnx", "-o", str(out), "--check", *words]
    row = measured(argv, work)
    row["calls"] = len(re.findall(r"RUNNING \| Iteration", row.pop("text")))
    return row | outcome(out, case, folder)


def ours(case: Case, folder: Path) -> dict[str, Any]:
    """`onnx-reduce`, with the check only where the failure is the check's."""
    argv = [str(BIN / "onnx-reduce"), "model.onnx", "--quiet"]
    if not case.native:
        argv += ["--check", sys.executable, str(folder / case.check[0])]
        argv += ["{}" if word == "@" else word for word in case.check[1:]]
    row = measured(argv, folder)
    row.pop("text")
    path = folder / "model.reduced" / "finding.json"
    if path.exists():
        finding = json.loads(path.read_text())
        search = finding["search"]
        row |= {"calls": search["oracle_calls"], "search": search["seconds"], "oracle": search["seconds_in_oracle"]}
    return row | outcome(folder / "model.reduced" / "reduced.onnx", case, folder)


def outcome(path: Path, case: Case, folder: Path) -> dict[str, Any]:
    """Size of what came out, and whether it still shows the original bug."""
    if not path.exists():
        return {"nodes": None, "bytes": None, "right": False}
    model = onnx.load(str(path))
    return {"nodes": all_nodes(model), "bytes": path.stat().st_size, "right": still_right(path, case, folder)}


def run_case(name: str, case: Case, root: Path) -> dict[str, Any]:
    """Build one model and run both tools on it."""
    folder = root / name.split()[0]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file, text in checks.CHECKS.items():
        (folder / file).write_text(text)
    model = case.make()
    onnx.save(model, str(folder / "model.onnx"))
    best = all_nodes(case.ideal()) if case.ideal else None
    return {
        "case": name,
        "before": all_nodes(model),
        "best": best,
        "native": case.native,
        "polygraphy": polygraphy(case, folder),
        "ours": ours(case, folder),
    }


def verdict(row: dict[str, Any]) -> str:
    """One word for a table."""
    if row["nodes"] is None:
        return f"no file, exit {row['exit']}"
    return "right" if row["right"] else "**WRONG BUG**"


def table(rows: list[dict[str, Any]]) -> str:
    """The Markdown table."""
    lines = [
        "| case | nodes (reachable) | Polygraphy: nodes, checks, CPU s, wall s, result "
        "| onnx-reduce: nodes, bytes, calls, search s (outside the oracle), CPU s, wall s, result "
        "| search vs Polygraphy wall | whole vs whole |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        p, o = row["polygraphy"], row["ours"]
        left = f"{p['nodes'] or '-'}, {p['calls']}, {p['cpu']:.1f}, {p['wall']:.1f}, {verdict(p)}"
        search, outside = o.get("search", 0.0), 0.0
        if search:
            outside = 100 * max(0.0, 1 - o["oracle"] / search)
        right = f"{o['nodes'] or '-'}, {o['bytes'] or '-'}, {o.get('calls', '-')}, {search:.2f} ({outside:.0f}%)"
        right += f", {o['cpu']:.1f}, {o['wall']:.1f}"
        faster = f"{p['wall'] / o['search']:.0f}x" if o.get("search") else "-"
        mode = "" if row["native"] else " (check)"
        lines.append(
            f"| {row['case']}{mode} | {row['before']} ({row['best'] or '-'}) | {left} | {right}, {verdict(o)} "
            f"| {faster} | {p['wall'] / o['wall']:.1f}x |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run and print; with --table replace the text between the markers of that file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work")
    parser.add_argument("--only", default="")
    parser.add_argument("--table")
    options = parser.parse_args()
    root = Path(options.work).resolve()
    chosen = [word for word in options.only.split(",") if word]
    rows = []
    for name, case in CASES.items():
        if chosen and name.split()[0] not in chosen:
            continue
        rows.append(run_case(name, case, root))
        print(table(rows[-1:]).splitlines()[-1], flush=True)
    (root / "results.json").write_text(json.dumps(rows, indent=1))
    if options.table:
        page = Path(options.table)
        text = page.read_text()
        start, end = "<!-- polygraphy: start -->", "<!-- polygraphy: end -->"
        page.write_text(re.sub(f"{start}.*{end}", lambda _: f"{start}\n{table(rows)}{end}", text, flags=re.S))


if __name__ == "__main__":
    main()
