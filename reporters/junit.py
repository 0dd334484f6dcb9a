"""ci/junit.xml: the run as one failed test case, as CI systems read it (JUnit's XML, in Jenkins' form)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar
from xml.etree import ElementTree

from reducer.finding import Finding
from reporters.base import Document, Reporter
from reporters.shareable import scrubbed
from reporters.trackers.base import facts_of
from reporters.wording import message_of, title_of

# What XML 1.0 cannot hold (section 2.2 of the recommendation).
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class JUnit(Reporter):
    """One file with one suite and one case."""

    name: ClassVar[str] = "junit.xml"

    def render(self, finding: Finding) -> Sequence[Document]:
        """The suite; nothing without a failure that was reduced."""
        facts = facts_of(scrubbed(finding))
        if facts is None:
            return []
        failure, seconds = facts.failure, f"{finding.search.seconds:.3f}"
        counts = {"tests": "1", "failures": "1", "errors": "0", "time": seconds}
        suites = ElementTree.Element("testsuites", counts)
        suite = ElementTree.SubElement(suites, "testsuite", {"name": "onnx-reduce", **counts, "skipped": "0"})
        names = {"classname": f"onnx-reduce.{failure.stage}", "name": _legal(facts.finding.source.path)}
        case = ElementTree.SubElement(suite, "testcase", {**names, "time": seconds})
        said = {"message": _legal(title_of(facts)), "type": _legal(failure.signature.kind)}
        ElementTree.SubElement(case, "failure", said).text = _legal(
            f"{message_of(facts)}\n\nsignature {failure.signature.id}; reduced to {facts.reduced.nodes} of "
            f"{finding.source.nodes} nodes in {facts.reduced.path}"
        )
        ElementTree.indent(suites)
        text = ElementTree.tostring(suites, encoding="unicode")
        return [Document("other", "ci/junit.xml", f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n')]


def _legal(text: str) -> str:
    return _ILLEGAL.sub("?", text)
