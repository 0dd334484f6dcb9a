"""The finding as strangers may read it: the failure in the words of the reduced model, no name of the source.

What is meant to be shared (issue.md, repro.py) is made from this view; finding.json, the log and the terminal keep
the original names for their owner.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any, TypeVar

from reducer.finding import Failure, Finding

GONE = "<name>"
T = TypeVar("T")
_WORD = re.compile(r"[^\s'\"`(),;=<>\[\]{}|]+")
# Names that are words of every message: masking them would hide nothing and garble a lot.
_PLAIN = frozenset(
    """a an and as at by data dim dims element expected false for from got graph in index indices input inputs is
    kernel length loss model name node not of on op operator or output outputs rank run shape size tensor the this to
    true type types value values weight weights with x y z""".split()  # noqa: SIM905 - words, not a table
)
_LEAST = 3
# What ONNX Runtime calls the nodes of a local function that it has inlined: the names of both are in it.
_INLINED = "_inlfunc_"


def public(finding: Finding) -> Finding:
    """The finding without the names in `finding.names`; as it is when nothing was renamed."""
    if not finding.names:
        return finding
    mask = _Mask(finding.names, finding.reduced.op_types if finding.reduced else {})
    hidden = {"source", "reduced", "reproduction", "environment", "artifacts", "names", "neighbourhood", "contrast"}
    fields = [field.name for field in dataclasses.fields(finding) if field.name not in hidden]
    masked = {name: mask(getattr(finding, name)) for name in fields}
    suspects = tuple(replace(suspect, node=None, line="") for suspect in masked["suspects"])
    opsets = {domain: version for domain, version in finding.source.opsets.items() if _known(domain, finding)}
    source = replace(finding.source, path=f"model{PurePath(finding.source.path).suffix}", producer=None, opsets=opsets)
    shown = replace(finding, **{**masked, "suspects": suspects}, source=source, neighbourhood=())
    return replace(shown, failure=_failure(shown))


def _known(domain: str, finding: Finding) -> bool:
    """Whether a domain is everybody's, or one whose operators the result needs."""
    everybody = domain.split(".")[:2] in (["ai", "onnx"], ["com", "microsoft"])
    return everybody or any(op.startswith(f"{domain}.") for op in (finding.reduced.op_types if finding.reduced else ()))


def _failure(finding: Finding) -> Failure | None:
    """The failure as the reduced model tells it, where it says anything."""
    failure, repro = finding.failure, finding.reproduction
    told = repro is not None and repro.form == "exception" and repro.actual_text
    return (
        replace(failure, message=repro.actual_text) if failure is not None and repro is not None and told else failure
    )


class _Mask:
    """Replaces names in every string of a value, however deep."""

    def __init__(self, names: Mapping[str, str], keep: Mapping[str, Any]) -> None:
        kept = {op.rsplit(".", 1)[-1] for op in keep} | set(keep) | _PLAIN
        self._names = {old: new or GONE for old, new in names.items() if old and old not in kept}
        # Names that are no single words are looked for as they stand, long ones first.
        odd = [old for old in self._names if len(old) >= _LEAST and not _WORD.fullmatch(old)]
        self._odd = sorted(odd, key=len, reverse=True)

    def __call__(self, value: T) -> T:
        """The value with all its strings masked."""
        return self._any(value)  # type: ignore[no-any-return]

    def _any(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, tuple | list):
            return type(value)(self._any(item) for item in value)
        if isinstance(value, Mapping):
            return {self._any(key): self._any(item) for key, item in value.items()}
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            changed = {f.name: self._any(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
            return replace(value, **changed)
        return value

    def _text(self, text: str) -> str:
        for old in self._odd:
            text = text.replace(old, self._names[old])
        return _WORD.sub(self._word, text)

    def _word(self, match: re.Match[str]) -> str:
        word = match.group(0)
        core = word.strip(".:")
        if core in self._names:
            return word.replace(core, self._names[core])
        if core.startswith(_INLINED):
            return word.replace(core, GONE)
        # path:line, node.attribute, /scope/name: the parts that are names of their own.
        for part in re.split(r"[:#]", core):
            if len(part) >= _LEAST and part in self._names:
                word = word.replace(part, self._names[part])
        return word
