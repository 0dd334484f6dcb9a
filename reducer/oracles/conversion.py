"""The oracle for conversions by tf2onnx: does the candidate still fail at the same rung in the same way?

What makes the identity of a failure (facts: design notes on TensorFlow, section 5):
- a node without a handler that ONNX Runtime then names: its op type;
- a handler that raised: exception class, innermost file:function of tf2onnx, normalised message, whether the entry
  point raises it or only logs it and ONNX Runtime refuses the model later;
- else ONNX Runtime's class and normalised message, or the kind of the wrong output.
A logged error alone is no failure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reducer.engine.verdict import Judgement, Verdict
from reducer.errors import EditConflict, ToolFault
from reducer.oracles.limits import Limits
from reducer.programs.base import Program
from reducer.signature import NEVER_A_MATCH, FailureSignature, Vocabulary, normalise
from reducer.testcase import NARROW_TOLERANCE, Tolerance
from reducer.worker import protocol
from reducer.worker.host import Host
from reducer.worker.protocol import Answer, Call

JUDGE = "reducer.worker.tf_candidates:judge"
JUDGE_LAYERS = "reducer.worker.tf_layer_tasks:judge"
CURED = "passes without optimizations"
UNSUPPORTED = "unsupported operator"
# tf2onnx makes names of the node it works on and a counter.
_MADE_NAME = re.compile(r"\b[\w/.]*__\d+(?::\d+)?")
_COUNTED = re.compile(r"\b([A-Za-z_]\w*?)_\d+\b")
# A gross error must not be followed down to one at the edge of the tolerance.
GROSS, STILL_GROSS = 30.0, 3.0
# Handlers work on the node after its type was changed to ONNX's: messages hold names of both.
Report = Mapping[str, Any]


def plain_message(text: str, vocabulary: Vocabulary) -> str:
    """The message with everything masked that tf2onnx, TensorFlow or Keras number or name."""
    return _COUNTED.sub(r"\1_N", normalise(_MADE_NAME.sub("'<name>/0'", text), vocabulary))


def signature_of(
    report: Report, vocabulary: Vocabulary, wanted: FailureSignature | None = None
) -> FailureSignature | None:
    """The identity of what the ladder saw; None when it passed. With several candidates for the cause, the one of
    `wanted` is taken if it is among them."""
    failure = report["failure"]
    if failure is None:
        return _of_difference(report["difference"]) if report["difference"] else None
    stage, log = failure["stage"], report["log"]
    if stage in ("load", "run"):
        missing = _missing(failure["message"], log["unsupported"], wanted)
        if missing:
            return FailureSignature(stage, "tf2onnx", UNSUPPORTED, f"tf2onnx has no handler for {missing}")
    raised = log["raised"]
    if raised:
        found = [_of_exception(stage, error, vocabulary) for error in raised]
        return next((s for s in found if wanted is not None and _same(s, wanted)), found[0])
    if stage == "convert":
        return _of_exception(stage, failure, vocabulary)
    detail = plain_message(failure["message"], vocabulary)
    return FailureSignature(stage, failure["backend"], failure["error"], detail)


def cause_of(report: Mapping[str, Any]) -> Mapping[str, str]:
    """{error, message}: the handler's exception where one was raised, else what the failing rung says."""
    raised = report.get("log", {}).get("raised") or []
    return raised[0] if raised else (report.get("failure") or {"error": "", "message": ""})


def _same(a: FailureSignature, b: FailureSignature) -> bool:
    return replace(a, context="") == replace(b, context="")


def _missing(message: str, unsupported: list[Mapping[str, str]], wanted: FailureSignature | None) -> str:
    """The op type without a handler that the runtime names; the wanted one first: any of several is enough."""
    named = [u["op"] for u in unsupported if re.search(rf"(?<![\w.]){re.escape(u['op'])}(?!\w)", message)]
    if wanted is not None and named and wanted.kind == UNSUPPORTED:
        ours = [u["op"] for u in unsupported if wanted.detail.endswith(f" {u['op']}")]
        named = ours or named
    return named[0] if named else ""


def _of_exception(stage: str, error: Mapping[str, str], vocabulary: Vocabulary) -> FailureSignature:
    text = plain_message(error["message"], vocabulary)
    detail = f"{error['frame'] or 'outside tf2onnx'}: {text}"
    return FailureSignature(stage, "tf2onnx", error["error"], detail)


def _of_difference(difference: Mapping[str, Any]) -> FailureSignature:
    kind = difference["kind"]
    return FailureSignature("compare", "tf2onnx", kind, f"{kind} differs: the converted model against TensorFlow")


@dataclass(frozen=True)
class How:
    """How candidates are converted and run; the wire form is that of worker.tf_convert.How. `level`, `disabled` (names
    of optimizer passes) and `provider` are ONNX Runtime's."""

    opset: int | None = None
    nchw_in: tuple[str, ...] = ()
    nchw_out: tuple[str, ...] = ()
    optimizers: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    raises: bool = False
    level: str = "all"
    disabled: tuple[str, ...] = ()
    provider: str = "CPUExecutionProvider"

    def to_wire(self) -> dict[str, Any]:
        """For a request."""
        return {
            "opset": self.opset,
            "nchw_in": list(self.nchw_in),
            "nchw_out": list(self.nchw_out),
            "optimizers": None if self.optimizers is None else list(self.optimizers),
            "without": list(self.without),
            "raises": self.raises,
        }


def runtime_options(how: How) -> dict[str, str]:
    """The options of the onnxruntime backend."""
    options = {"opt_level": how.level, "provider": how.provider}
    return {**options, "disabled_optimizers": ";".join(how.disabled)} if how.disabled else options


def ladder_settings(how: How, tolerance: Tolerance, *, check: bool = False, run: bool = True) -> dict[str, Any]:
    """The settings of worker.tf_ladder.climb."""
    narrow = {name: tolerance.of(name) for name in NARROW_TOLERANCE}
    return {
        "runtime": runtime_options(how),
        "compare": {"tolerances": narrow, "default": tolerance.of("float32"), "skip": []},
        "check": check,
        "run": run,
        "nchw_in": list(how.nchw_in),
        "nchw_out": list(how.nchw_out),
    }


@dataclass
class Seen:
    """One judged candidate: the worker's reply and the serialized program."""

    reply: Mapping[str, Any]
    blobs: tuple[bytes, ...] = ()
    died: Answer | None = None


class ConversionOracle:
    """INTERESTING when the same failure shows. `task` judges a program's `order()` in the worker."""

    def __init__(
        self, host: Host, aim: tuple[FailureSignature, Vocabulary], how: How, limits: Limits, tolerance: Tolerance
    ) -> None:
        self.host, self.how, self.limits, self.tolerance = host, how, limits, tolerance
        self.target, self.vocabulary = aim
        # Judgements on the question that is asked now; kept, so that none is mistaken for another.
        self._current: dict[int, Judgement] = {}
        self.least = 1.0
        self.task, self.public = JUDGE, False
        self._written: dict[str, bytes] = {}

    def judge(self, program: Any) -> Judgement:
        """The verdict on a candidate, in a warm worker."""
        # TensorFlow keeps functions by name for the life of a process: another candidate's of that name would clash.
        calls = self.public and any(ref.path for ref in program.nodes())
        judgement = self._judge(program, self.how, self.limits.candidate, fresh=calls, public=self.public)
        self._current[id(judgement)] = judgement
        return judgement

    def ask(self, how: How, *, public: bool) -> None:
        """From now on judge in this way; what was judged in another is outdated."""
        self.how, self.public, self._current = how, public, {}

    def outdated(self, judgement: Judgement) -> bool:
        """Whether it answered another question, or a time-out under a smaller limit."""
        return id(judgement) not in self._current or 0 < judgement.limit < self.limits.candidate / 2

    def confirm(self, program: Any) -> Judgement:
        """The verdict through the public entry point with its defaults, in a process that never converted anything."""
        return self._judge(program, replace(self.how, optimizers=None), self.limits.full, fresh=True, public=True)

    def written(self, program: Program) -> bytes:
        """The serialized program that was judged last under this key."""
        return self._written.get(program.key(), b"")

    def see(self, program: Any, how: How, seconds: float, *, fresh: bool = False, **more: Any) -> Seen:
        """Convert and run one program in any way; `leave` is a folder for the converted model, its feeds and right
        outputs. Raises EditConflict, ToolFault."""
        left = {"leave": more.pop("leave")} if "leave" in more else {}
        arguments = {"order": program.order(), "how": how.to_wire(), **more}
        needs_run = self.target.stage in ("run", "compare") or bool(more.get("keep"))
        arguments["settings"] = {**ladder_settings(how, self.tolerance, run=needs_run), **left}
        answer = self.host.call(Call(self.task, arguments, (), seconds), fresh=fresh)
        if answer.outcome == protocol.FAULT:
            raise ToolFault(f"a fault of onnx-reduce in the worker:\n{answer.stderr}")
        if answer.outcome != protocol.RETURNED:
            return Seen({}, (), answer)
        if "invalid" in answer.value:
            raise EditConflict(answer.value["invalid"])
        if not fresh:  # a fresh process imports parts of TensorFlow first
            self.limits.saw(answer.seconds)
        return Seen(answer.value, answer.blobs)

    def signature(self, seen: Seen) -> FailureSignature | None:
        """The identity of what was seen."""
        if seen.died is not None:
            return died_signature(seen.died)
        return signature_of(seen.reply["report"], self.vocabulary, self.target)

    def _judge(self, program: Any, how: How, seconds: float, *, fresh: bool = False, public: bool = False) -> Judgement:
        try:
            seen = self.see(program, how, seconds, fresh=fresh, public=public)
        except EditConflict as conflict:
            return Judgement(Verdict.INVALID, reason=str(conflict))
        except ToolFault as fault:
            return Judgement(Verdict.UNRESOLVED, reason=str(fault))
        if seen.blobs:
            self._written = {**dict(list(self._written.items())[-8:]), program.key(): seen.blobs[0]}
        return self._verdict(program, seen, (how, seconds, fresh, public))

    def _verdict(self, program: Any, seen: Seen, way: tuple[How, float, bool, bool]) -> Judgement:
        signature = self.signature(seen)
        if signature is None:
            return Judgement(Verdict.PASSED)
        if signature.kind in NEVER_A_MATCH or (signature.kind == "hang" and self.target.kind != "hang"):
            return Judgement(Verdict.UNRESOLVED, reason=signature.detail)
        if not _same(signature, self.target):
            return Judgement(Verdict.SLIPPED, signature.id, reason=signature.detail)
        difference = None if seen.died else seen.reply["report"]["difference"]
        if difference is not None and difference["excess"] < self.least:
            return Judgement(Verdict.UNRESOLVED, signature.id, reason="the difference is near the tolerance")
        if self.target.context == CURED and not self._cured(program, way):
            other = replace(signature, context="")
            return Judgement(Verdict.SLIPPED, other.id, reason=f"fails without optimizations, too: {signature.detail}")
        return Judgement(Verdict.INTERESTING, self.target.id)

    def _cured(self, program: Any, way: tuple[How, float, bool, bool]) -> bool:
        how, seconds, fresh, public = way
        try:
            seen = self.see(program, replace(how, level="none"), seconds, fresh=fresh, public=public)
        except (EditConflict, ToolFault):
            return False
        return self.signature(seen) is None


def died_signature(answer: Answer) -> FailureSignature:
    """A worker that did not come back: by a signal, too late, or out of memory."""
    stage = answer.stage or "convert"
    backend = "onnxruntime" if stage in ("load", "run") else "tf2onnx"
    kind = {protocol.TIMED_OUT: "hang", protocol.OUT_OF_MEMORY: "out_of_memory"}.get(
        answer.outcome, answer.signal or "exit"
    )
    return FailureSignature(stage, backend, kind, f"{kind} in {backend} during {stage}")


@dataclass(frozen=True)
class Observed:
    """What the source did at first: the worker's reply, or how it died."""

    reply: Mapping[str, Any] = field(default_factory=dict)
    died: Answer | None = None
