"""ONNX Runtime's graph transformers and rewrite rules, as its own log names them.

Source of the facts: the lines of core/optimizer/graph_transformer_mgr.cc and graph_transformer.cc at log level
verbose. Rules run inside a transformer whose name holds "RuleBased" and are not logged; their names are string
constants of the library. ONNX Runtime ignores unknown names without a word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from reducer.oracles.trial import Trials, TrialsSpent
from reducer.switchboards.base import Board, Case, Switchboard
from reducer.worker.protocol import RETURNED, Call

WATCH = "reducer.worker.optimizing:watch"
RULES = "reducer.worker.optimizing:rule_names"
LEVELS = ("none", "basic", "extended", "layout", "all")
SECONDS = 10.0
MOST_TEXT = 4000
_APPLYING = re.compile(r"Applying graph transformer (\S+) on step")
_MODIFIED = re.compile(r"GraphTransformer (\S+) modified: ([01])")
_CONTAINER = "RuleBased"


@dataclass(frozen=True)
class Seen:
    """One watched session: transformers that ran, those that changed the graph, the one that never came back; `open`
    when the log does not say which one was at work last (that of 1.25.1 has only those that came back)."""

    applied: tuple[str, ...]
    modified: tuple[str, ...]
    unfinished: str
    text: str
    open: bool = False


class OnnxRuntimeBoard(Switchboard):
    """Switched by `disabled_optimizers`."""

    backend: ClassVar[str] = "onnxruntime"
    tool: ClassVar[str] = "onnxruntime"
    project: ClassVar[str] = "onnxruntime"

    def levels(self, options: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        return {} if options.get("opt_level", "all") == "none" else {name: {"opt_level": name} for name in LEVELS}

    def survey(self, case: Case) -> Board:
        seen = watched(case, {})
        active = (*seen.modified, seen.unfinished) if seen.unfinished else seen.modified
        plain = tuple(name for name in dict.fromkeys(active) if _CONTAINER not in name)
        others = tuple(name for name in dict.fromkeys(seen.applied) if _CONTAINER not in name and name not in plain)
        rules: tuple[str, ...] = ()
        if seen.open or any(_CONTAINER in name for name in active):
            # What may be a rule as well as an idle transformer is tried as a rule.
            rules = tuple(name for name in _rule_names(case.trials) if name not in plain and name not in others)
        return Board((*plain, *rules), (*plain, *rules, *others), seen.modified)

    def options(self, off: Sequence[str]) -> dict[str, str]:
        return {"disabled_optimizers": ";".join(off)}

    def how(self, off: Sequence[str]) -> str:
        return f"InferenceSession(model, disabled_optimizers={list(off)!r})"

    def graphs(self, case: Case, only: Sequence[str], board: Board) -> tuple[str, str, tuple[str, ...]]:
        before = watched(case, self.options(board.all), graph=True)
        after = watched(case, self.options([name for name in board.all if name not in only]), graph=True)
        return before.text, after.text, tuple(sorted(set(before.applied) & set(board.all)))


def watched(case: Case, options: Mapping[str, str], *, graph: bool = False) -> Seen:
    """Open the model once with the log on; what a crash leaves behind is read as well."""
    probe = case.trials.probe
    assert probe is not None
    log, dump = case.folder / "optimizer.log", case.folder / "optimized.onnx"
    log.write_text("")
    arguments: dict[str, Any] = {"options": {**probe.options, **options}, "log": str(log)}
    if graph:
        arguments["graph"] = str(dump)
    answer = case.trials.prober.call_with_model(case.program, Call(WATCH, arguments, (), SECONDS))
    text = str(answer.value.get("text", "")) if answer.outcome == RETURNED else ""
    return read_log(log, text if len(text) <= MOST_TEXT else "")


def read_log(log: Path, text: str = "") -> Seen:
    """What the log of one session tells."""
    lines = log.read_text(errors="replace")
    applied = [match.group(1) for match in _APPLYING.finditer(lines)]
    done = [(match.group(1), match.group(2)) for match in _MODIFIED.finditer(lines)]
    # Transformers may log the line of a subgraph inside their own, so count lines rather than pair them.
    unfinished = applied[-1] if applied and applied.count(applied[-1]) > sum(n == applied[-1] for n, _ in done) else ""
    modified = tuple(dict.fromkeys(name for name, flag in done if flag == "1"))
    ran = tuple(dict.fromkeys([*applied, *(name for name, _ in done)]))
    return Seen(ran, modified, unfinished, text, open=not applied)


def _rule_names(trials: Trials) -> tuple[str, ...]:
    answer = trials.prober.host.call(Call(RULES, {}, (), SECONDS))
    if answer.outcome != RETURNED:
        raise TrialsSpent
    return tuple(answer.value["names"])
