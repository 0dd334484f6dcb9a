"""The terminal at the end: one screen with the result, or the ladder of a model that does not fail."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reducer.finding import Finding
from reporters.rendering import counted, one_line, size_text

GRAPH_LINES = 14
SUSPECTS = 3
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_COLOURS = {"passed": "green", "failed": "red", "died": "red", "hung": "red", "differs": "red", "skipped": "dim"}


def print_summary(finding: Finding, console: Console, folder: Path) -> None:
    """Before and after, the graph, the suspects, where the files are, and what to type next."""
    failure, reduced = finding.failure, finding.reduced
    assert failure is not None
    assert reduced is not None
    _row(console, "result", _headline(finding), "bold green" if finding.status == "reduced" else "bold yellow")
    _row(console, "size", f"{size_text(finding.source.bytes)} -> {size_text(reduced.bytes)}")
    _row(console, "fails", f"{failure.stage}: {failure.symptom} ({failure.signature.kind}) in {failure.backend}")
    _row(console, "", one_line(failure.message, 200))
    for number, suspect in enumerate(finding.suspects[:SUSPECTS]):
        node = f" [{suspect.node}]" if suspect.node else ""
        _row(console, "suspect" if number == 0 else "", f"{suspect.name}{node}: {one_line(suspect.evidence, 170)}")
        if suspect.line:
            _row(console, "", f"called at {one_line(suspect.line, 160)}")
    if reduced.text:
        _graph(console, reduced.text)
    _proofs(finding, console)
    if finding.source.inputs == "generated" and failure.stage in ("run", "compare"):
        _row(console, "inputs", "generated (seeded): if they are not legal for this model, give yours with --inputs")
    for other in finding.search.also_found:
        _row(
            console, "also found", f"{one_line(str(other.get('detail', '')), 120)} ({other.get('path', '')})", "yellow"
        )
    files = ", ".join(artifact.path for artifact in finding.artifacts if artifact.kind != "trace")
    _row(console, "files", f"{folder}/: {files}")
    script = next((a.path for a in finding.artifacts if a.kind == "repro_script"), None)
    if script is not None:
        needs = " ".join(map(shlex.quote, finding.environment.get("requirements", ())))
        first = f"pip install {needs} && " if needs else ""
        _row(console, "next", f"{first}python {shlex.quote(str(folder / script))}", "bold cyan")


def print_passes(finding: Finding, console: Console) -> None:
    """Calls, successes and seconds in the oracle of every phase and pass."""
    for row in finding.search.passes:
        spent = f"{row.get('seconds', 0.0):8.3f} s"
        _row(console, "pass", f"{row['calls']:>5} calls {row['successes']:>4} kept {spent}  {row['pass']}")


def _headline(finding: Finding) -> str:
    reduced = finding.reduced
    assert reduced is not None
    search = finding.search
    minimal = ", no single node can be dropped" if reduced.one_minimal else ""
    return (
        f"{finding.status}: {finding.source.nodes} -> {counted(reduced.nodes)} in {search.oracle_calls} calls, "
        f"{search.seconds:.2f} s{minimal}"
    )


def _proofs(finding: Finding, console: Console) -> None:
    reduced = finding.reduced
    assert reduced is not None
    script = next((a for a in finding.artifacts if a.kind == "repro_script"), None)
    proof = f"the saved model fails in {reduced.reproduced} fresh processes"
    if script is not None:
        proof += f", repro.py in {script.verified}"
    _row(console, "proof", proof)


def _graph(console: Console, text: str) -> None:
    start = text.find(">\n")
    lines = text[start + 2 :].rstrip().splitlines() if start >= 0 else text.rstrip().splitlines()
    shown = lines[:GRAPH_LINES] + (["   ..."] if len(lines) > GRAPH_LINES else [])
    for number, line in enumerate(shown):
        _row(console, "graph" if number == 0 else "", line if len(line) < 200 else line[:197] + "...", "dim")


def _row(console: Console, label: str, text: str, style: str = "") -> None:
    """A labelled line. Text keeps the user's brackets from being read as markup; into a file it goes unbroken,
    so that a path or a command can be searched for and copied."""
    line = Text.assemble((f"{label:<11}", "bold"), (_plain(text), style))
    console.print(line, soft_wrap=not console.is_terminal)


def _plain(text: str) -> str:
    """Without the control codes that some messages bring along: colours, cursor moves, bells."""
    return "".join(c for c in _ESCAPES.sub("", text) if c.isprintable() or c == "\t")


def _nothing(finding: Finding) -> str:
    """What to say of a run without a failure to reduce; another rung than the one asked for may have failed."""
    failed = [rung for rung in finding.ladder if rung.outcome not in ("passed", "skipped")]
    if not failed:
        return "nothing to reduce: the model does not fail"
    where = ", ".join(dict.fromkeys(rung.stage for rung in failed))
    return f"nothing to reduce at the stage asked for; what fails: {where} (drop --stage, or aim there)"


def print_ladder(finding: Finding, console: Console) -> None:
    """The table of rungs; when nothing failed, that is said first."""
    if finding.flaky is not None:
        seen = f"nothing to reduce: the failure was seen once, then in {finding.flaky} fresh processes"
        console.print(Text(f"{seen}; --repeat N looks for it again", style="bold"))
    elif finding.failure is None:
        console.print(Text(_nothing(finding), style="bold"))
    if not finding.ladder:
        if finding.failure is None:
            console.print(Text("the check command accepts the original model"))
        return
    if not console.is_terminal:
        for rung in finding.ladder:
            told = f"{rung.stage:<16} {rung.outcome:<8} {rung.backend}  {_plain(one_line(rung.message or '', 120))}"
            console.print(Text(told.rstrip()), soft_wrap=True)
        return
    table = Table("stage", "backend", "outcome", "message", "seconds")
    for rung in finding.ladder:
        seconds = f"{rung.seconds:.3f}" if rung.seconds is not None else ""
        outcome = Text(rung.outcome, style=_COLOURS.get(rung.outcome, ""))
        table.add_row(rung.stage, Text(rung.backend), outcome, Text(_plain(one_line(rung.message or "", 120))), seconds)
    console.print(table)
