"""What a repro script needs to know, and the data files that lie beside the reduced model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from reducer import finding
from reducer.backend_folder import write_backend_folder
from reducer.custom_ops import OPTION, libraries_in
from reducer.errors import EditConflict
from reducer.finding import Artifact, Feed, Reproduction
from reducer.model_code import model_code
from reducer.observation import DIED, FAILED, HUNG, OUT_OF_MEMORY, Difference, Observation, Probe
from reducer.oracles.command import CommandOracle
from reducer.oracles.crash import CrashOracle
from reducer.oracles.mismatch import MismatchOracle
from reducer.oracles.nan import NanOracle
from reducer.oracles.prober import Order, Prober
from reducer.programs.fed import formula_of
from reducer.programs.onnx import OnnxProgram
from reducer.saving import FEW_BYTES, outside_bytes
from reducer.signature import literal_fragments
from reducer.values import Value, ValueRef, is_narrow
from reducer.worker.protocol import RETURNED, Call
from reducer.workspace import EXPECTED, INPUTS, Workspace

MODEL_TEXT = "reducer.worker.knowledge:model_text"
MOST_INLINE_BYTES = 4000
MOST_TEXT = 6000
MOST_LITERALS = 64
TEXT_SECONDS = 20.0
AnyOracle = CrashOracle | MismatchOracle | NanOracle | CommandOracle


@dataclass(frozen=True)
class ReproFacts:
    """What the reduced model does, seen once more: an observation, or a difference with what the right side gives."""

    observation: Observation | None = None
    difference: Difference | None = None
    right: Mapping[str, ValueRef] | None = None
    wrong: Mapping[str, ValueRef] | None = None


def reproduction_facts(oracle: AnyOracle, program: OnnxProgram, prober: Prober) -> ReproFacts:
    """Run the reduced model once more and keep what a report shows of it."""
    if isinstance(oracle, CrashOracle):
        # A hang says nothing new and would be waited for once more.
        return ReproFacts(observation=None if oracle.limits.hang else oracle.observe(program))
    if not isinstance(oracle, MismatchOracle):
        return ReproFacts()
    dispute = oracle.dispute
    order = Order(dispute.probes, True, expected=dispute.expected, keep=prober.host.folder / "outputs.bin")
    observations, comparison = prober.climb(program, order, oracle.limits.full)
    outputs = {o.probe.label: o.outputs for o in observations}
    wrong = outputs.get(dispute.odd)
    others = [made for label, made in outputs.items() if label != dispute.odd]
    right = dict(others[0]) if others else {}
    if dispute.b is None:
        # Known right values decide; inputs and weights are then as the user gave them.
        right.update({k: v for k, v in dispute.expected.items() if k in program.interface.outputs})
    return ReproFacts(difference=comparison.between(dispute.a, dispute.b), right=right, wrong=wrong)


def write_data(workspace: Workspace, program: OnnxProgram, prober: Prober, facts: ReproFacts) -> tuple[Artifact, ...]:
    """inputs.npz always; expected.npz where a witness is right."""
    written = [Artifact("inputs", INPUTS)]
    workspace.write_npz(INPUTS, _feeds(program, prober))
    if facts.right:
        workspace.write_npz(EXPECTED, {name: ref.read() for name, ref in facts.right.items()})
        written.append(Artifact("other", EXPECTED))
    right = {name: ref.read() for name, ref in (facts.right or {}).items()}
    order = (*program.interface.inputs, *program.interface.outputs)
    if outside_bytes(program) > FEW_BYTES:
        return tuple(written)  # too large for a regression test anyway
    folder = write_backend_folder(workspace, program.model_bytes(inline=True), _feeds(program, prober), right, order)
    return (*written, *folder)


def copy_libraries(workspace: Workspace, libraries: Sequence[Path]) -> list[Artifact]:
    """Copies of the custom-op libraries that the user named, for the repro script."""
    for library in libraries:
        workspace.write(library.name, library.read_bytes())
    return [Artifact("other", library.name) for library in libraries]


def _feeds(program: OnnxProgram, prober: Prober) -> dict[str, Value]:
    try:
        return {name: ref.read() for name, ref in prober.feeds.feeds_of(program).items()}
    except EditConflict:
        return {}  # an input of a type that nobody can feed: the failure needed no run


def reproduction(
    oracle: AnyOracle, program: OnnxProgram, prober: Prober, facts: ReproFacts
) -> tuple[str | None, Reproduction]:
    """(the model as text for people, all that a script needs)."""
    shown, faithful = _text(program, prober)
    known = faithful is not None or outside_bytes(program) > FEW_BYTES
    code = None if known else model_code(onnx.ModelProto.FromString(program.model_bytes(inline=True)))
    base = Reproduction(
        form="command",
        stage="command",
        probes=(),
        timeout_seconds=oracle.limits.full,
        model_text=faithful,
        model_code=code,
        feeds=_described(_feeds(program, prober)) if _needs_feeds(oracle) else (),
    )
    if isinstance(oracle, CommandOracle):
        check = oracle.check
        return shown, replace(
            base,
            command=check.command,
            fail_codes=check.fail_codes,
            ignore_fail_codes=check.ignore_fail_codes,
            fail_regex=check.fail_regex,
            expected_text="exit code 0",
            actual_text=oracle.target.kind if oracle.target else "",
            error_class=oracle.target.kind if oracle.target else "",
            fragments=_said(oracle),
        )
    if isinstance(oracle, MismatchOracle):
        return shown, _of_mismatch(base, oracle, facts)
    if isinstance(oracle, NanOracle):
        return shown, replace(
            base,
            form="nan",
            stage="run",
            probes=(_probe(oracle.probe),),
            mismatch="nan",
            expected_text="finite numbers",
            actual_text="NaN",
        )
    return shown, _of_crash(base, oracle, facts)


def _said(oracle: CommandOracle) -> tuple[str, ...]:
    """What the command prints whenever it fails in this way."""
    if oracle.target is None or oracle.first is None:
        return ()
    return literal_fragments(oracle.target.detail, oracle.first.text)


def _needs_feeds(oracle: AnyOracle) -> bool:
    return not isinstance(oracle, CrashOracle) or oracle.probe.run


def _of_mismatch(base: Reproduction, oracle: MismatchOracle, facts: ReproFacts) -> Reproduction:
    dispute = oracle.dispute
    probes = dispute.probes
    if len(probes) == 2 and dispute.odd == probes[1].label:
        probes = (probes[1], probes[0])
    rtol, atol = oracle.prober.tolerance.of("float32")
    return replace(
        base,
        form="mismatch",
        stage="compare",
        probes=tuple(_probe(p) for p in probes),
        rtol=rtol,
        atol=atol,
        mismatch=dispute.difference.kind,
        expected=_described({name: ref.read() for name, ref in (facts.right or {}).items()}),
        expected_text=_excerpt(facts.right),
        actual_text=_excerpt(facts.wrong),
    )


def _of_crash(base: Reproduction, oracle: CrashOracle, facts: ReproFacts) -> Reproduction:
    seen = facts.observation
    forms = {FAILED: "exception", DIED: "death", HUNG: "hang", OUT_OF_MEMORY: "exception"}
    outcome = seen.outcome if seen is not None else HUNG
    message = seen.message if seen is not None else ""
    return replace(
        base,
        form=forms.get(outcome, "exception"),
        stage=oracle.target.stage,
        probes=(_probe(oracle.probe),),
        error_class=seen.error if seen is not None else oracle.target.kind,
        fragments=literal_fragments(oracle.target.detail, message),
        signal=oracle.target.kind if outcome == DIED else "",
        expected_text=f"the model passes {oracle.target.stage}",
        actual_text=message.strip()[:1500] or oracle.target.detail,
    )


def _probe(probe: Probe) -> finding.Probe:
    options = dict(probe.options)
    if libraries := libraries_in(options):
        # The script looks for them beside itself.
        options[OPTION] = os.pathsep.join(library.name for library in libraries)
    return finding.Probe(probe.backend, options)


def _text(program: OnnxProgram, prober: Prober) -> tuple[str | None, str | None]:
    """(text for people when short enough, the same when parsing it gives the model back)."""
    raw = program.model_bytes(inline=True) if outside_bytes(program) <= MOST_INLINE_BYTES else b""
    if not 0 < len(raw) <= MOST_INLINE_BYTES:
        return None, None
    answer = prober.host.call(Call(MODEL_TEXT, {}, (raw,), TEXT_SECONDS))
    if answer.outcome != RETURNED or len(answer.value["text"]) > MOST_TEXT:
        return None, None
    text = answer.value["text"]
    return text, text if answer.value["same"] else None


def _described(feeds: Mapping[str, Value]) -> tuple[Feed, ...]:
    described = []
    for name, value in feeds.items():
        if value is None:
            described.append(Feed(name, "optional(none)", None))
        elif isinstance(value, list):
            inner = np.asarray(value[0]).dtype.name if value else "float32"
            described.append(Feed(name, f"sequence({inner})", None))
        elif isinstance(value, dict):
            described.append(Feed(name, "map", None))
        else:
            array = np.asarray(value)
            dtype = "string" if array.dtype.kind in "OUS" else array.dtype.name
            short = array.size <= MOST_LITERALS and not is_narrow(array.dtype) and array.dtype.kind != "c"
            values, formula = (array.tolist(), None) if short else (None, formula_of(array))
            described.append(Feed(name, dtype, array.shape, values, _span(array), formula or ""))
    return tuple(described)


def _span(array: Any) -> str:
    """Whether the numbers are ordinary ones, as maintainers ask: "-3 to 2.5", "holds NaN", "0 to inf"."""
    if array.size == 0 or array.dtype.kind not in "biuf":
        return ""
    numbers = array.astype("float64")
    if np.isnan(numbers).any():
        return "holds NaN"
    low, high = numbers.min(), numbers.max()
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def _excerpt(outputs: Mapping[str, ValueRef] | None) -> str:
    """The first output in a few words."""
    if not outputs:
        return ""
    name, ref = next(iter(outputs.items()))
    value: Any = ref.read()
    kind, shape = ref.summary
    head = np.array2string(np.asarray(value).ravel()[:8], threshold=8) if shape is not None else ""
    return f"{name}: {kind} {list(shape) if shape is not None else ''} {head}".strip()
