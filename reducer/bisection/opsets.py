"""The opset sweep: the reduced model converted to every opset, and run under the releases that are here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from reducer.bisection.judging import ModelJudge, Told, options_for
from reducer.bisection.run import Found
from reducer.bisection.search import Verdict
from reducer.environments.interpreter import Interpreter, made_for, parse
from reducer.errors import UsageError
from reducer.finding import VersionFact
from reducer.frontends.onnx import load_source, parse_model
from reducer.frontends.subject import Subject
from reducer.programs.onnx import OnnxProgram
from reducer.saving import FEW_BYTES, outside_bytes
from reducer.worker.host import Host
from reducer.worker.protocol import RETURNED, Call

CONVERT = "reducer.worker.converting:convert_opset"
NEWEST = "reducer.worker.converting:newest_opset"
# The converter knows adapters from here on.
OLDEST_OPSET = 7
CONVERT_SECONDS = 30.0
AXIS = "opset"


def sweep_opsets(
    folder: Path, finding: Mapping[str, Any], say: Callable[[str], None], timeout: float | None = None
) -> Found:
    """Facts of the package "opset", one per opset, and the sentence of it."""
    requirements = (finding.get("environment") or {}).get("requirements") or ()
    interpreter = made_for([*map(parse, requirements)], say) if requirements else Interpreter()
    say("converting the model to every opset")
    with ModelJudge(folder, finding, timeout) as judge, Host(options_for(interpreter)) as host:
        own = judge.subject.opsets.get("")
        if own is None:
            raise UsageError("the model uses no operator of ai.onnx: there is no opset to sweep")
        newest = int(host.call(Call(NEWEST)).value["opset"])
        facts = []
        for opset in range(OLDEST_OPSET, newest + 1):
            start = time.perf_counter()
            told = _at(judge, host, opset, own)
            outcome = "passes" if told.verdict is Verdict.REJECTS else told.verdict.value
            facts.append(
                VersionFact(AXIS, str(opset), outcome, told.detail[:300], round(time.perf_counter() - start, 3))
            )
    return Found(tuple(facts), describe(facts), any(fact.outcome == "fails" for fact in facts))


def _at(judge: ModelJudge, host: Host, opset: int, own: int) -> Told:
    if opset == own:
        return judge.judge_model(host, judge.subject)
    if outside_bytes(judge.subject.program) > FEW_BYTES:
        return Told(Verdict.UNKNOWN, "cannot be converted: its weights are too large for the version converter")
    raw = judge.subject.program.model_bytes(inline=True)
    answer = host.call(Call(CONVERT, {"opset": opset}, (raw,), CONVERT_SECONDS))
    if answer.outcome != RETURNED or not answer.blobs:
        why = str(answer.value.get("error", "")) or f"{answer.outcome} {answer.signal}".strip()
        return Told(Verdict.UNKNOWN, f"cannot be converted: {why}")
    return judge.judge_model(host, _converted(judge.subject, answer.blobs[0], host))


def _converted(subject: Subject, raw: bytes, host: Host) -> Subject:
    model = parse_model(raw, "the converted model")
    spill = host.folder / "weights"
    spill.mkdir(exist_ok=True)
    return replace(subject, program=OnnxProgram.of(load_source(model, None, spill), subject.program.policy))


def describe(facts: Sequence[VersionFact]) -> str:
    """ "fails at opset 13 to 18, passes at 19 to 23, unknown at 7 to 12"."""
    ranges: dict[str, list[str]] = {}
    start = 0
    for index in range(1, len(facts) + 1):
        if index == len(facts) or facts[index].outcome != facts[start].outcome:
            first, last = facts[start].version, facts[index - 1].version
            ranges.setdefault(facts[start].outcome, []).append(first if first == last else f"{first} to {last}")
            start = index
    order = [name for name in ("fails", "passes", "differs", "unknown") if name in ranges]
    told = (f"{name} at {f'{AXIS} ' if name == order[0] else ''}{' and '.join(ranges[name])}" for name in order)
    return ", ".join(told)
