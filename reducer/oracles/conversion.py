"""The oracle for conversions by tf2onnx: does the candidate still fail at the same rung in the same way?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reducer.engine.verdict import Judgement, Verdict
from reducer.errors import EditConflict, ToolFault
from reducer.oracles.beginning import BEGINS, Beginning, beginnings, leading_to, widened
from reducer.oracles.conversion_signature import died_signature, difference_of, same, signature_of, wrong_output
from reducer.oracles.limits import Limits
from reducer.programs.base import Program
from reducer.programs.graphdef import GraphProgram
from reducer.signature import NEVER_A_MATCH, FailureSignature, Vocabulary
from reducer.testcase import NARROW_TOLERANCE, Tolerance
from reducer.worker import protocol
from reducer.worker.host import Host
from reducer.worker.protocol import Answer, Call

JUDGE = "reducer.worker.tf_candidates:judge"
JUDGE_LAYERS = "reducer.worker.tf_layer_tasks:judge"
CURED = "passes without optimizations"
# A gross error must not be followed down to one at the edge of the tolerance.
GROSS, STILL_GROSS = 30.0, 3.0


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
        judgement = self._judge(program, self.how, self.limits.candidate, public=self.public)
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
        """The serialized program; built anew where no process came back with it."""
        known = self._written.get(program.key())
        if known is None and isinstance(program, GraphProgram):
            answer = self.host.call(Call(f"{program.tasks}:build", {"order": program.order()}, (), self.limits.full))
            known = answer.blobs[0] if answer.blobs else b""
            self._written[program.key()] = known
        return known or b""

    @property
    def ended(self) -> str | None:
        """How a process ends that meets the failure: a signal or an exit code; None when it does not."""
        died = self.target.kind.startswith("SIG") or self.target.kind.startswith("exit")
        return self.target.kind if died else None

    def see(self, program: Any, how: How, seconds: float, *, fresh: bool = False, **more: Any) -> Seen:
        """Convert and run one program in any way; `leave` is a folder for the converted model, its feeds and right
        outputs, `measure` asks for a wrong output in numbers. Raises EditConflict, ToolFault."""
        asked = {name: more.pop(name) for name in ("leave", "measure") if name in more}
        arguments = {"order": program.order(), "how": how.to_wire(), **more}
        # TensorFlow keeps functions by name for the life of a process: another candidate's of that name would clash.
        fresh = fresh or (bool(more.get("public")) and any(ref.path for ref in program.nodes()))
        needs_run = self.target.stage in ("run", "compare") or bool(more.get("keep"))
        arguments["settings"] = {**ladder_settings(how, self.tolerance, run=needs_run), **asked}
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

    def beginnings(self, program: GraphProgram, how: How | None = None) -> list[Beginning]:
        """Nodes with which a wrong output begins, as far as it can be told. Raises ToolFault."""
        how = how or self.how
        settings = ladder_settings(how, self.tolerance)
        # What is near the tolerance may be noise that is made larger further on.
        settings["compare"] = widened(settings["compare"], self.least)
        arguments = {"how": how.to_wire(), "settings": settings}
        return beginnings(self.host, program, arguments, self.limits.full)

    def aim_at_beginning(self, program: GraphProgram, output: str | None = None) -> list[Beginning]:
        """Hold on to the operator with which the wrong output begins, where that can be told: the first one on the
        way to the tensor `output`; and to the kind of the difference there, since a NaN may follow from an infinity.
        Gives all the nodes with which something begins."""
        if self.target.stage != "compare" or self.target.context == CURED:
            return []
        found = self.beginnings(program)
        way = leading_to(program, output) if output else frozenset()
        first = next((b for b in found if b.record.ref.id in way), found[0] if found else None)
        wrong = wrong_output(first.kind if first and first.kind else self.target.kind)
        self.target = replace(wrong, context=f"{BEGINS}{first.op_type}" if first else "")
        return found

    def signature(self, seen: Seen) -> FailureSignature | None:
        """The identity of what was seen."""
        if seen.died is not None:
            return died_signature(seen.died)
        known, new = self.vocabulary, seen.reply.get("names")
        if new:
            known = Vocabulary(known.names | frozenset(new.values()), known.op_types)
        return signature_of(seen.reply["report"], known, self.target)

    def alike(self, signature: FailureSignature) -> bool:
        """Whether it may be the target. Where a difference begins is asked apart, and its kind at an output may be
        another than there."""
        if self.target.context.startswith(BEGINS):
            return signature.stage == self.target.stage
        return same(signature, self.target)

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
        if not self.alike(signature):
            return Judgement(Verdict.SLIPPED, signature.id, reason=signature.detail)
        difference = None if seen.died else difference_of(seen.reply["report"], self.target)
        if difference is not None and difference["excess"] < self.least:
            return Judgement(Verdict.UNRESOLVED, signature.id, reason="the difference is near the tolerance")
        if self.target.context == CURED and not self._cured(program, way):
            other = replace(signature, context="")
            return Judgement(Verdict.SLIPPED, other.id, reason=f"fails without optimizations, too: {signature.detail}")
        if self.target.context.startswith(BEGINS):
            return self._same_beginning(program, way[0], signature)
        return Judgement(Verdict.INTERESTING, self.target.id)

    def _same_beginning(self, program: Any, how: How, signature: FailureSignature) -> Judgement:
        """Interesting when what is wrong begins at the same operator in the same kind; in doubt it is not."""
        try:
            begun = self.beginnings(program, how)
        except ToolFault as fault:
            return Judgement(Verdict.UNRESOLVED, reason=str(fault))
        found = [replace(wrong_output(b.kind or signature.kind), context=f"{BEGINS}{b.op_type}") for b in begun]
        if self.target in found:
            return Judgement(Verdict.INTERESTING, self.target.id)
        if not found:
            return Judgement(Verdict.UNRESOLVED, signature.id, reason="it cannot be told where the difference begins")
        other = replace(signature, context=found[0].context)
        return Judgement(Verdict.SLIPPED, other.id, reason=f"{signature.detail}; {found[0].context}")

    def _cured(self, program: Any, way: tuple[How, float, bool, bool]) -> bool:
        how, seconds, fresh, public = way
        try:
            seen = self.see(program, replace(how, level="none"), seconds, fresh=fresh, public=public)
        except (EditConflict, ToolFault):
            return False
        return self.signature(seen) is None


@dataclass(frozen=True)
class Observed:
    """What the source did at first: the worker's reply, or how it died."""

    reply: Mapping[str, Any] = field(default_factory=dict)
    died: Answer | None = None
