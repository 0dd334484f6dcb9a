"""test_regression.py: a test in the style of the tracker's own tests. It fails while the bug is there.

It is written only where the model is text and what must hold can be said honestly: the model loads, runs, is accepted,
or gives the values that a witness knows to be right. Nothing is written for a model that is not legal ONNX: that it
is refused is right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

from reducer.finding import Finding, Reproduction
from reporters.base import Document, Reporter
from reporters.literals import NOTHING, expression, is_narrow, is_saved
from reporters.regression_styles import STYLES
from reporters.rendering import environment, one_line, quoted, render
from reporters.repro import LEVELS, compact
from reporters.routing import CONVERTER, tracker_of
from reporters.shareable import shareable
from reporters.trackers.base import Facts, facts_of
from reporters.wording import title_of

FORMS = ("exception", "death", "hang", "mismatch", "nan")
BACKENDS = ("onnxruntime", "reference", "onnx-checker", "onnx-shape-inference")


class RegressionTest(Reporter):
    """One Python file; none where nothing honest can be said."""

    name: ClassVar[str] = "test_regression.py"

    def render(self, finding: Finding) -> Sequence[Document]:
        """The test in the style of the tracker that the draft is for, else nothing."""
        whole, facts = facts_of(finding), facts_of(shareable(finding))
        if whole is None or facts is None:
            return []
        style = tracker_of(whole).regression
        template = f"regression/{style}.py.j2"
        if not style or template not in environment().list_templates():
            return []
        values = STYLES[style](facts) if style in STYLES else _values(facts) if can_write(facts) else None
        if values is None:
            return []
        text = render(template, **(_named(facts) | values))
        return [Document("regression_test", "test_regression.py", text)]


def _named(facts: Facts) -> dict[str, Any]:
    """What every style says: a line on the failure, and the name of the test."""
    repro = facts.finding.reproduction
    assert repro is not None
    what = one_line(title_of(facts), 100).replace('"""', "'''").replace("\\", "/")
    return {"what": what, "name": test_name(facts, repro)}


def can_write(facts: Facts) -> bool:
    """Whether the failure can be told as a test: text for a model, literals for values, and what must hold known."""
    repro = facts.finding.reproduction
    if repro is None or repro.form not in FORMS or repro.model_text is None or not repro.probes:
        return False
    text, feeds = repro.model_text, [*repro.feeds, *repro.expected]
    illegal = any(s.project == CONVERTER for s in facts.finding.suspects[:1])
    if illegal and repro.form == "exception":
        return False
    known = all(p.backend in BACKENDS and p.options.get("opt_level", "all") in LEVELS for p in repro.probes)
    plain = not any(is_saved(feed) or is_narrow(feed) or feed.dtype in (NOTHING, "map") for feed in feeds)
    told = repro.form != "mismatch" or bool(repro.expected) or len(repro.probes) == 2
    return known and plain and told and '"""' not in text and "\\" not in text


def _values(facts: Facts) -> dict[str, Any]:
    repro = facts.finding.reproduction
    assert repro is not None
    assert repro.model_text is not None
    probe = repro.probes[0]
    runs = repro.stage in ("run", "compare")
    return {
        "model": compact(repro.model_text),
        "repro": repro,
        "backend": probe.backend,
        "level": LEVELS[probe.options.get("opt_level", "all")],
        "provider": f"{facts.provider}ExecutionProvider",
        "runs": runs,
        "feeds": [(quoted(feed.name), expression(feed)) for feed in repro.feeds] if runs else [],
        # Nothing is compared but what the witness gave, in its order.
        "expected": [(quoted(feed.name), expression(feed)) for feed in repro.expected],
        "other": repro.probes[1] if len(repro.probes) > 1 and not repro.expected else None,
        "other_level": LEVELS[repro.probes[1].options.get("opt_level", "all")] if len(repro.probes) > 1 else "",
        "numpy": bool(runs and repro.feeds) or repro.form in ("mismatch", "nan"),
    }


def test_name(facts: Facts, repro: Reproduction) -> str:
    """Operators and what goes wrong, as a name in lower case."""
    ops = "_".join(list(facts.reduced.op_types)[:3])
    return re.sub(r"\W+", "_", f"{ops}_{repro.mismatch or repro.stage}").lower().strip("_")
