"""A test of onnxscript's optimizer: what it rewrites must still load, run and give the same values."""

from __future__ import annotations

from typing import Any

from reporters.literals import NOTHING, expression, is_narrow, is_saved
from reporters.rendering import quoted
from reporters.repro import compact
from reporters.trackers.base import Facts

OPTIMIZER = "onnxscript-optimizer"
FORMS = ("exception", "mismatch")


def values(facts: Facts) -> dict[str, Any] | None:
    """None for another backend than the optimizer, and where model or inputs cannot stand in the file."""
    repro = facts.finding.reproduction
    if repro is None or repro.form not in FORMS or repro.model_text is None or not repro.probes:
        return None
    text, feeds = repro.model_text, [*repro.feeds, *repro.expected]
    if repro.probes[0].backend != OPTIMIZER or '"""' in text or "\\" in text:
        return None
    if any(is_saved(feed) or is_narrow(feed) or feed.dtype in (NOTHING, "map") for feed in feeds):
        return None
    others = [probe.backend for probe in repro.probes[1:2]]
    if repro.form == "mismatch" and not repro.expected and others not in (["onnxruntime"], ["reference"]):
        return None
    runs = repro.stage in ("run", "compare")
    return {
        "model": compact(text),
        "feeds": [(quoted(feed.name), expression(feed)) for feed in repro.feeds] if runs else [],
        "expected": [(quoted(feed.name), expression(feed)) for feed in repro.expected],
        "other": others[0] if others and not repro.expected else "",
        "loads": runs or repro.stage == "load",
        "runs": runs,
        "repro": repro,
    }
