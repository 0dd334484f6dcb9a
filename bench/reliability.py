"""Count what is lost when everything dies: workers at random, and the tool itself.

    python bench/reliability.py [--candidates 2000] [--kills 20] [--table docs/reliability.md]

First part: candidates of which a third kill, hang or starve their worker, judged on two threads. Second part: runs
of the command line that are killed (SIGKILL) at random moments and resumed until they end; a result is lost when the
end differs from that of an undisturbed run, or when a verdict that was logged is asked for again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import onnx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))

from reducer.worker.host import Host, HostOptions  # noqa: E402
from reducer.worker.protocol import DIED, OUT_OF_MEMORY, RETURNED, TIMED_OUT, Call  # noqa: E402
from tests.fakes.backends import ALL  # noqa: E402
from tests.models import chain_text, model_of  # noqa: E402

CLIMB = "reducer.worker.tasks:climb"
# What a fake does, what must be seen of it, and how often it is drawn.
MIX: dict[str, tuple[str, int]] = {
    "honest": (RETURNED, 40), "raises": (RETURNED, 20), "segfaults": (DIED, 8), "aborts": (DIED, 6),
    "divides": (DIED, 6), "bus_error": (DIED, 5), "illegal": (DIED, 5), "exits": (DIED, 5), "hangs": (TIMED_OUT, 3),
    "eats_memory": (OUT_OF_MEMORY, 2),
}  # fmt: skip
HANG_SECONDS = 0.3


@dataclass
class Count:
    """What was tried and what was lost."""

    outcomes: Counter[str] = field(default_factory=Counter)
    candidates: int = 0
    parents_lost: int = 0
    results_lost: int = 0
    orphans: int = 0
    files_left: int = 0


def soak(candidates: int, seed: int = 0) -> Count:
    """Judge that many candidates with random deaths; every answer must be the one that its fake stands for."""
    count, rng, before = Count(), random.Random(seed), set(children(os.getpid()))
    model = model_of(chain_text(3, {1: "Elu"})).SerializeToString()
    names = rng.choices(list(MIX), [weight for _, weight in MIX.values()], k=candidates)
    with tempfile.TemporaryDirectory() as place:
        tempfile.tempdir = place
        try:
            with Host(HostOptions(preload=("numpy", "onnx"), memory=1 << 30)) as host:

                def judge(name: str) -> bool:
                    probe = {"backend": ALL[name], "options": {"at": "run"}, "run": True}
                    limit = HANG_SECONDS if name == "hangs" else 30.0
                    answer = host.call(Call(CLIMB, {"probes": [{**probe, "seconds": limit}]}, (model,), 30.0))
                    count.outcomes[f"{name}: {answer.outcome} {answer.signal}".strip()] += 1
                    return answer.outcome == MIX[name][0]

                with ThreadPoolExecutor(2) as pool:
                    right = sum(pool.map(judge, names))
        finally:
            tempfile.tempdir = None
        count.files_left = len(list(Path(place).iterdir()))
    count.candidates, count.results_lost = candidates, candidates - right
    count.orphans = len(set(children(os.getpid())) - before)
    return count


def children(parent: int) -> list[int]:
    """Living processes whose parent is `parent`."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


CHECK = """
import sys, time, onnx
time.sleep(0.05)
ops = {node.op_type for node in onnx.load(sys.argv[1]).graph.node}
sys.exit(3 if {"Elu", "Tanh"} <= ops else 0)
"""


def kills(number: int, seed: int = 0) -> Count:
    """Kill and resume runs of the command line until `number` kills were made."""
    count, rng = Count(), random.Random(seed)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "tmp").mkdir()
        (folder / "check.py").write_text(CHECK)
        onnx.save(model_of(chain_text(60, {11: "Elu", 47: "Tanh"})), str(folder / "bad.onnx"))
        assert run(folder, "whole").wait() == 0
        wanted = keys(folder / "whole" / "log.jsonl")
        made = 0
        while made < number:
            ended, resumed = False, False
            while not ended:
                process = run(folder, "cut", *(["--resume"] if resumed else []))
                try:
                    code = process.wait(rng.uniform(0.3, 4.0))
                    ended = True
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    made += 1
                    resumed = (folder / "cut.partial" / "log.jsonl").exists()
                    # Killed after everything was in place: that run did end.
                    ended, code = (folder / "cut").exists(), 0
            count.candidates += len(wanted)
            same = (folder / "cut" / "reduced.onnx").read_bytes() == (folder / "whole" / "reduced.onnx").read_bytes()
            count.results_lost += not (same and keys(folder / "cut" / "log.jsonl") == wanted)
            count.parents_lost += code != 0
            subprocess.run(["rm", "-rf", str(folder / "cut")], check=True)
        time.sleep(0.5)
        count.orphans = len(strays(folder))
        count.files_left = len([*(folder / "tmp").iterdir(), *folder.glob("cut*")])
    count.outcomes[f"SIGKILL of the tool: {made}"] = made
    return count


def strays(folder: Path) -> list[int]:
    """Processes that still use the folder as their temporary one."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"TMPDIR={folder / 'tmp'}".encode() in environment.read_bytes():
                found.append(int(environment.parent.name))
        except OSError:
            continue
    return found


def run(folder: Path, output: str, *words: str) -> subprocess.Popen[bytes]:
    """The command line with a check that takes its time."""
    return subprocess.Popen(
        [sys.executable, "-c", "from reducer.cli import entry; entry()", "bad.onnx", "--quiet", "--output", output,
         *words, "--check", sys.executable, "check.py"],
        cwd=folder, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(folder / "tmp")},
    )  # fmt: skip


def keys(log: Path) -> list[str]:
    """The candidates of a log in the order in which they were judged."""
    records = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
    return [record["key"] for record in records if "verdict" in record]


def table(first: Count, second: Count) -> str:
    """Markdown."""
    lines = [
        "| what was done | candidates | parents lost | results lost | orphans | files left |",
        "|---|---|---|---|---|---|",
    ]
    for name, count in (("workers that die, hang and starve", first), ("the tool killed and resumed", second)):
        lost = f"{count.parents_lost} | {count.results_lost} | {count.orphans} | {count.files_left}"
        lines.append(f"| {name} | {count.candidates} | {lost} |")
    lines += ["", "| what happened | how often |", "|---|---|"]
    both = sorted((first.outcomes + second.outcomes).items())
    lines += [f"| {name.rsplit(':', 1)[0] if name.startswith('SIGKILL') else name} | {n} |" for name, n in both]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run both parts and print; with --table replace the text between the markers of that file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--table")
    options = parser.parse_args()
    made = table(soak(options.candidates), kills(options.kills))
    print(made)
    if options.table:
        page = Path(options.table)
        start, end = "<!-- counts: start -->", "<!-- counts: end -->"
        text = re.sub(f"{start}.*{end}", lambda _: f"{start}\n{made}{end}", page.read_text(), flags=re.S)
        page.write_text(text)


if __name__ == "__main__":
    main()
