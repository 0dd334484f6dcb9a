"""ci/results.sarif: the failure as one SARIF 2.1.0 result, for code scanning and other readers of that format.

Fields are those of the OASIS standard (sections 3.13, 3.14, 3.19, 3.27) with those that GitHub's code scanning asks for
besides: a full description and a help text of the rule, and a line. `partialFingerprints` hold the signature, so that
the same failure in two runs counts as one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from reducer.finding import Finding
from reporters.base import Document, Reporter
from reporters.shareable import scrubbed
from reporters.trackers.base import Facts, facts_of
from reporters.wording import message_of, title_of

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


class Sarif(Reporter):
    """One file with one run and one result."""

    name: ClassVar[str] = "results.sarif"

    def render(self, finding: Finding) -> Sequence[Document]:
        """The log; nothing without a failure that was reduced."""
        facts = facts_of(scrubbed(finding))
        if facts is None:
            return []
        return [Document("other", "ci/results.sarif", json.dumps(_log(facts), indent=2) + "\n")]


def _log(facts: Facts) -> dict[str, Any]:
    failure, finding = facts.failure, facts.finding
    rule = f"{failure.stage}/{failure.symptom}"
    described = f"{failure.symptom.replace('_', ' ')} at the stage {failure.stage}"
    driver = {
        "name": "onnx-reduce",
        "version": finding.tool_version,
        "rules": [
            {
                "id": rule,
                "shortDescription": {"text": described},
                "fullDescription": {"text": f"{described} of the ladder convert, check, load, run, compare"},
                "help": {"text": "The files beside this one hold the reduced model, a script and a draft of an issue."},
                "defaultConfiguration": {"level": "error"},
            }
        ],
    }
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": [_result(facts, rule)]}],
    }


def _result(facts: Facts, rule: str) -> dict[str, Any]:
    finding, failure = facts.finding, facts.failure
    nodes = [suspect.node for suspect in finding.suspects if suspect.node]
    # A model has no lines; code scanning shows nothing without one.
    place = {"artifactLocation": {"uri": _uri(finding.source.path)}, "region": {"startLine": 1}}
    location: dict[str, Any] = {"physicalLocation": place}
    if nodes:
        names = list(dict.fromkeys(nodes))
        location["logicalLocations"] = [{"name": name, "kind": "member"} for name in names]
    return {
        "ruleId": rule,
        "ruleIndex": 0,
        "level": "error",
        "message": {"text": f"{title_of(facts)}\n\n{message_of(facts)}"},
        "locations": [location],
        "partialFingerprints": {"onnxReduceSignature/v1": failure.signature.id},
        "properties": {
            "kind": failure.signature.kind,
            "nodes": finding.source.nodes,
            "reducedNodes": facts.reduced.nodes,
            "reproduced": facts.reduced.reproduced,
            "suspects": [suspect.name for suspect in finding.suspects],
        },
    }


def _uri(name: str) -> str:
    from urllib.parse import quote

    return quote(name)
