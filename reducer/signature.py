"""Failure signatures: the normalised, hashable identity of a failure (engine.md section 5).

Strict, for reduction: stage, backend, class and message template must be equal. What varies between two
occurrences of one bug (tensor and node names, shapes, numbers, paths, addresses) is masked; what tells bugs
apart (status code name, error class, op type, kernel or rewrite function) stays.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from reducer.observation import DIED, FAILED, HUNG, OUT_OF_MEMORY, Difference, Observation

MESSAGE_LIMIT = 600
# Not findings about a model: something is missing on this machine.
NEVER_A_MATCH = frozenset({"ImportError", "ModuleNotFoundError"})

# A runtime wraps the message of a node inside a body in that of the node around it: the inner one is the failure.
_WRAPPED = re.compile(
    r"(?:Non-zero status code returned while running \S+ node\. Name:'[^']*' Status Message: )+(?=Non-zero)"
)
# Where ONNX Runtime's messages name a node: whatever stands there is a name, that of a node it made itself included
# ("_if_then_branch_Reshape", "_inlfunc_..." for what it inlined).
_NODE_NAME = re.compile(r"(Name:')[^']*(')|(Node \()[^()]*(\) Op \()")
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_LOG_PREFIX = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.\d]* \[[A-Z]:[^\]]*\] ?")
_LOAD_FROM = re.compile(r"Load model from .{0,1000}? failed: ?")
_SOURCE_FILE = re.compile(r"(?:[A-Za-z]:)?[^\s'\"()]*[/\\]([\w.+-]+\.(?:cc|cpp|cxx|h|hpp|cu|inc|py|rs))\b(?::\d+)?")
_PATH = re.compile(r"(?<![\w.])(?:[A-Za-z]:\\|/)(?:[^\s'\",:;()]+[/\\])+[^\s'\",:;()]*")
_HEX = re.compile(r"\b0x[0-9a-fA-F]+\b")
# A bracket right after a word is a type or an op with its version, as in tensor(float16) or Max(13): kept.
_SHAPE = re.compile(r"(?<!\w)[\[({]\s*(?:[-\w.?<>]+\s*(?:,\s*[-\w.?<>]+\s*)*,?)?\s*[\])}]")
_NUMBER = re.compile(r"(?<![A-Za-z_\d.])(?<!\w\()(?<!\w\(-)[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_QUOTED = re.compile(r"'([^'\n]{0,200})'|\"([^\"\n]{0,200})\"")
_SPLIT = re.compile(r"([\s'\"(),;=<>\[\]{}]+)")
# What ONNX Runtime calls the nodes of a local function that it has inlined.
_INLINED = "_inlfunc_"
_TYPE = re.compile(r"^(?:tensor|seq|optional|map|sparse_tensor)\(.*\)$")
# How many names a list of them holds is the model's affair.
_NAME_LIST = re.compile(r"'<name>'(?:, ?'<name>')+")
_RUNS = re.compile(r"(?:<(?:name|n|shape)>[\s,:;-]*){2,}")


@dataclass(frozen=True)
class Vocabulary:
    """What the source model calls things: `names` are masked, `op_types` are kept."""

    names: frozenset[str] = frozenset()
    op_types: frozenset[str] = frozenset()

    def __hash__(self) -> int:
        return id(self)


@dataclass(frozen=True)
class FailureSignature:
    """`kind` is the exception class, the signal or the kind of mismatch. `context` tells apart what a message
    cannot: for a runtime, whether it fails in the same way with optimizations off; for a mismatch, who differs."""

    stage: str
    backend: str
    kind: str
    detail: str
    context: str = ""

    @property
    def id(self) -> str:
        """A hash that is equal for the same bug across models, machines and runs."""
        text = "\x1f".join((self.stage, self.backend, self.kind, self.detail, self.context))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def normalise(message: str, vocabulary: Vocabulary) -> str:
    """The message with everything masked that may differ between two occurrences of one bug."""
    text = _ANSI.sub("", message)
    text = _LOG_PREFIX.sub("", text)
    text = _LOAD_FROM.sub("", text)
    text = _WRAPPED.sub("", text)
    text = _NODE_NAME.sub(lambda m: f"{m[1] or m[3]}<name>{m[2] or m[4]}", text)
    text = _SOURCE_FILE.sub(r"\1", text)
    text = _mask_names(text, vocabulary)
    text = _QUOTED.sub(lambda m: _mask_quoted(m, vocabulary), text)
    text = _NAME_LIST.sub("'<name>'", text)
    text = _PATH.sub("<path>", text)
    text = _HEX.sub("<n>", text)
    text = _SHAPE.sub(lambda m: _mask_shape(m.group(0)), text)
    text = _NUMBER.sub("<n>", text)
    text = _RUNS.sub(lambda m: re.match(r"<\w+>", m.group(0)).group(0) + " ", text)  # type: ignore[union-attr]
    return re.sub(r"\s+", " ", text).strip()[:MESSAGE_LIMIT]


def _mask_names(text: str, vocabulary: Vocabulary) -> str:
    masked = []
    for part in _SPLIT.split(text):
        core = part.strip(".:")
        known = (core in vocabulary.names and core not in vocabulary.op_types) or core.startswith(_INLINED)
        masked.append(part.replace(core, "<name>") if known else part)
    return "".join(masked)


def _mask_quoted(match: re.Match[str], vocabulary: Vocabulary) -> str:
    inner = match.group(1) if match.group(1) is not None else match.group(2)
    if _TYPE.match(inner) or inner in vocabulary.op_types:
        return match.group(0)
    # A quoted phrase is part of the message; nothing, or a word with digits, slashes or dots, is a name.
    known = not inner or inner == "<name>" or inner in vocabulary.names
    return "'<name>'" if known or re.search(r"[\d/.:]", inner) else match.group(0)


def _mask_shape(text: str) -> str:
    items = [item.strip() for item in text[1:-1].split(",")]
    return "<shape>" if text in ("{}", "[]") or any(re.fullmatch(r"-?\d+|\?", item) for item in items) else text


def of_observation(observation: Observation, vocabulary: Vocabulary, context: str = "") -> FailureSignature:
    """The signature of a failed, died or hung observation. Messages of a death are not trusted to be stable."""
    backend, stage = observation.probe.backend, observation.stage
    if observation.outcome == FAILED:
        detail = _cached(observation.message, vocabulary)
        return FailureSignature(stage, backend, observation.error, detail, context)
    if observation.outcome == DIED:
        kind = observation.signal or "exit"
        return FailureSignature(stage, backend, kind, f"{kind} in {backend} during {stage}", context)
    kind = {HUNG: "hang", OUT_OF_MEMORY: "out_of_memory"}[observation.outcome]
    return FailureSignature(stage, backend, kind, f"{kind} in {backend} during {stage}", context)


def of_difference(difference: Difference, odd: str) -> FailureSignature:
    """The signature of a wrong output; `odd` says which witness stands alone."""
    other = difference.b.label if difference.b else "expected"
    kind = difference.kind
    detail = f"{kind} differs: {difference.a.label} against {other}; odd one out: {odd}"
    return FailureSignature("compare", difference.a.backend, kind, detail)


@lru_cache(maxsize=4096)
def _cached(message: str, vocabulary: Vocabulary) -> str:
    return normalise(message, vocabulary)


def literal_fragments(detail: str, message: str) -> tuple[str, ...]:
    """Up to three pieces of the raw message that every occurrence holds: unmasked stretches of its template."""
    tokens, pieces, start = detail.split(" "), [], 0
    while start < len(tokens):
        end = start
        while end < len(tokens) and " ".join(tokens[start : end + 1]) in message and "<" not in tokens[end]:
            end += 1
        pieces.append(" ".join(tokens[start:end]).strip(" .:,'\"()[]"))
        start = max(end, start + 1)
    kept = [piece for piece in pieces if len(piece) >= 8 and piece in message]
    return tuple(sorted(kept, key=len, reverse=True)[:3])


def words(text: str) -> Iterable[str]:
    """The tokens of a message as names could stand in it."""
    return (part.strip(".:") for part in _SPLIT.split(text) if part.strip(".:"))
