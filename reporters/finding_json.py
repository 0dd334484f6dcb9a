"""finding.json: the finding for other programs, as docs/finding.schema.json describes it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, ClassVar

from reducer.finding import Finding
from reporters.base import Document, Reporter


class FindingJson(Reporter):
    """ASCII JSON; numbers that JSON cannot hold become null."""

    name: ClassVar[str] = "finding.json"

    def render(self, finding: Finding) -> Sequence[Document]:
        """The one file; always."""
        plain = _plain(finding.to_json())
        for key in ("sha256", "producer"):
            if plain["source"].get(key) is None:
                plain["source"].pop(key, None)  # strings that may be missing, says the schema, not null
        _keep_infinities(plain, finding)
        text = json.dumps(plain, indent=2, allow_nan=False)
        return [Document("other", "finding.json", text + "\n")]


def _keep_infinities(plain: Any, finding: Finding) -> None:
    """Infinite values of feeds as texts, so that a script can be written again from the file alone."""
    if finding.reproduction is None:
        return
    repro = finding.reproduction
    for key, feeds in (("feeds", repro.feeds), ("expected", repro.expected)):
        for written, feed in zip(plain["reproduction"][key], feeds, strict=True):
            written["values"] = _spelt(feed.values)


def _spelt(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_spelt(item) for item in value]
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if hasattr(value, "tolist"):  # a numpy scalar or array
        return _plain(value.tolist())
    return str(value) if isinstance(value, PurePath) else value
