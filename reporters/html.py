"""report.html: the whole finding on one page that needs no network. It is the user's own: it names nodes of the source.

Layout and charts come from fast-sugiyama and leather, which are imported only here and only when a page is written.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar

from reducer.finding import Finding
from reporters.base import Document, Reporter
from reporters.charts import curve_chart, difference_chart
from reporters.draft import draft_of
from reporters.filing import checks, original
from reporters.picture import picture
from reporters.rendering import environment, one_line, render, size_text, versions
from reporters.repro import ReproScript
from reporters.shareable import scrubbed
from reporters.trackers.base import Facts, facts_of
from reporters.wording import message_of, summary_of, title_of

_SCRIPT = "html/page.js"
STRIP_WIDTH = 600.0


class HtmlReport(Reporter):
    """One self-contained file."""

    name: ClassVar[str] = "report.html"

    def render(self, finding: Finding) -> Sequence[Document]:
        """The page; nothing without a failure that was reduced."""
        facts = facts_of(scrubbed(finding))
        if facts is None:
            return []
        text = render("html/report.html.j2", **_values(finding, facts))
        return [Document("html_report", "report.html", text)]


def _values(finding: Finding, facts: Facts) -> dict[str, Any]:
    from markupsafe import Markup

    shown = facts.finding
    draft = draft_of(finding)
    assert draft is not None
    scripts = ReproScript().render(shown)
    verified = next((a.verified for a in shown.artifacts if a.kind == "repro_script"), None)
    code = source_of(_SCRIPT)
    charts = {
        "curve": curve_chart(shown.search.curve, shown.search.oracle_calls),
        "histogram": difference_chart(shown.difference.histogram) if shown.difference else None,
    }
    return {
        "finding": shown,
        "failure": facts.failure,
        "reduced": facts.reduced,
        "title": title_of(facts),
        "summary": summary_of(facts).replace("**", "").replace("`", ""),
        "message": message_of(facts),
        "sizes": (size_text(shown.source.bytes), size_text(facts.reduced.bytes)),
        "versions": versions(shown),
        "script": scripts[0].text if scripts else None,
        "verified": verified,
        "graph": picture(facts.reduced.graph, inputs=True),
        "around": picture(shown.neighbourhood),
        "strip": strip(shown),
        "charts": {name: Markup(svg) if svg else None for name, svg in charts.items()},
        "draft": draft,
        "labels": draft.tracker.labels(draft.facts),
        "checks": checks(finding, draft),
        "original": original(finding),
        "also": [(one_line(str(o.get("detail", "")), 200), str(o.get("path", ""))) for o in shown.search.also_found],
        "css": Markup(source_of("html/page.css")),
        "js": Markup(code),
        # Only this very script may run in the page, whatever a name in the model says.
        "js_hash": "sha256-" + base64.b64encode(hashlib.sha256(code.encode()).digest()).decode(),
    }


def strip(finding: Finding) -> list[float]:
    """Where the kept nodes sit in the source, as pixels of a bar that is 600 wide; empty when that is not known."""
    places = [node.index for node in finding.neighbourhood if node.kept and node.index >= 0]
    total = max([finding.source.nodes, *(place + 1 for place in places)])
    return [round(place / max(1, total - 1) * STRIP_WIDTH, 1) for place in places]


def source_of(name: str) -> str:
    """The text of a file under templates/ that is no template."""
    loader = environment().loader
    assert loader is not None
    return loader.get_source(environment(), name)[0].strip("\n")
