"""Which failure of an ONNX model is reduced, and the oracle that knows it again (steps 3 and 4 of the data path)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from reducer.custom_ops import custom_ops_option
from reducer.frontends.subject import Subject, digest
from reducer.observation import FAILED, HUNG, PASSED
from reducer.oracles.command import Check, CommandOracle
from reducer.oracles.crash import CURED, CrashOracle
from reducer.oracles.ladder import REFERENCE, RUNTIME, Aim, Ladder, Plan, choose, climb
from reducer.oracles.limits import COMMAND_SECONDS, Limits
from reducer.oracles.mismatch import Dispute, MismatchOracle
from reducer.oracles.nan import NanOracle
from reducer.oracles.prober import Prober
from reducer.programs.onnx import OnnxProgram
from reducer.settings import Settings
from reducer.signature import of_observation
from reducer.systems import system_under_test

AnyOracle = CrashOracle | MismatchOracle | NanOracle | CommandOracle
Say = Callable[[str], None]


@dataclass(frozen=True)
class Target:
    """The failure under reduction: its oracle, how it was found, and its raw message."""

    oracle: AnyOracle
    aim: Aim
    ladder: Ladder
    plan: Plan
    message: str

    @property
    def dispute(self) -> Dispute | None:
        """The dispute as it is now: the witness may change on the way."""
        return self.oracle.dispute if isinstance(self.oracle, MismatchOracle) else None

    def hand_over(self, program: OnnxProgram) -> bool:
        """Whether another witness stands for --expected from here on."""
        return isinstance(self.oracle, MismatchOracle) and self.oracle.hand_over(program)


def aim(
    settings: Settings, subject: Subject, prober: Prober, limits: Limits, say: Say
) -> tuple[Target | None, Ladder, Plan]:
    """Climb the ladder, or run the user's check; no target when nothing fails."""
    system = system_under_test(settings.backend, prober)
    extra = custom_ops_option(settings.custom_ops, prober.host)
    plan = Plan(settings.opt_level, settings.provider_name(), settings.reference, subject.expected, extra, *system)
    if settings.check:
        say("running the check on the original model")
        return _of_command(settings, subject, prober, limits, plan), Ladder(), plan
    chosen, ladder = None, Ladder()
    for number in range(1, max(1, settings.repeat) + 1):
        say("climbing the stage ladder" + (f", time {number}" if number > 1 else ""))
        ladder = climb(prober, subject.program, plan, limits)
        chosen = choose(ladder, plan, settings.stage, own_inputs=subject.own_inputs)
        if chosen is not None:
            return _of_ladder(subject, prober, limits, chosen, (ladder, plan)), ladder, plan
    return None, ladder, plan


def _of_ladder(subject: Subject, prober: Prober, limits: Limits, chosen: Aim, seen: tuple[Ladder, Plan]) -> Target:
    ladder, plan = seen
    if chosen.dispute is not None:
        dispute = chosen.dispute
        if any(p is not None and p.backend == REFERENCE for p in (*dispute.probes, dispute.second)):
            prober.host.preload(["onnx.reference"])
        oracle: AnyOracle = MismatchOracle(prober, dispute, subject.vocabulary, limits)
        return Target(oracle, chosen, ladder, plan, dispute.signature.detail)
    if chosen.nan is not None:
        oracle = NanOracle(prober, chosen.nan.probe, subject.vocabulary, limits)
        return Target(oracle, chosen, ladder, plan, f"NaN in {', '.join(chosen.nan.nan_outputs)}")
    return _of_crash(subject, prober, limits, chosen, seen)


def _of_crash(subject: Subject, prober: Prober, limits: Limits, chosen: Aim, found: tuple[Ladder, Plan]) -> Target:
    ladder, plan = found
    seen = chosen.observation
    assert seen is not None
    limits.hang = seen.outcome == HUNG
    context = ""
    without = ladder.of(plan.unoptimized)
    if replace(seen.probe, run=True) == plan.primary and without is not None:
        # A load failure is cured when the model loads, whatever running it would do.
        loads = without.stage == "run" and seen.stage == "load" and without.outcome in (PASSED, FAILED)
        context = CURED if without.outcome == PASSED or loads else ""
    if seen.probe.backend == REFERENCE:
        prober.host.preload(["onnx.reference"])
    signature = of_observation(seen, subject.vocabulary, context)
    oracle = CrashOracle(prober, seen.probe, signature, subject.vocabulary, limits)
    if plan.system != RUNTIME:
        oracle.without = plan.unoptimized
    return Target(oracle, chosen, ladder, plan, seen.message or signature.detail)


def _of_command(settings: Settings, subject: Subject, prober: Prober, limits: Limits, plan: Plan) -> Target | None:
    check = Check(settings.check, settings.fail_code, settings.ignore_fail_code, settings.fail_regex or "")
    limits.first = max(limits.first, COMMAND_SECONDS)
    oracle = CommandOracle(check, prober.host.folder / "candidates", subject.vocabulary, limits)
    ending = oracle.aim(subject.program)
    if oracle.target is None:
        return None
    return Target(oracle, Aim(), Ladder(), plan, ending.text.strip()[-2000:])


def identity(settings: Settings, subject: Subject, target: Target, versions: Mapping[str, Any]) -> dict[str, Any]:
    """What --resume must find unchanged."""
    assert target.oracle.target is not None
    given = [settings.inputs, settings.expected]
    options = {
        "check": [settings.check, settings.fail_regex, settings.fail_code, settings.ignore_fail_code],
        "run": [settings.provider_name(), settings.opt_level, settings.reference, settings.stage, settings.backend],
        "custom_ops": [str(library) for library in settings.custom_ops],
        "inputs": [settings.seed, settings.input_shape, settings.dim],
        "tolerance": [settings.rtol, settings.atol],
    }
    return {
        "source": subject.sha256,
        "inputs": [digest(path) for path in given if path is not None],
        "environment": {name: versions.get(name) for name in ("onnx", "onnxruntime", "numpy", "requirements")},
        "options": json.loads(json.dumps(options)),
        "target": target.oracle.target.id,
    }
