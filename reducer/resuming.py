"""Going on where an earlier run was cut off: log.jsonl is its cache of verdicts (step 8 of the data path).

The first record says which run it was. The search is deterministic, so the same run asks the same questions again,
and every one that was answered is answered from the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reducer.engine.verdict import Judgement, Verdict
from reducer.errors import UsageError
from reducer.workspace import Workspace

RUN = "run"
_WORDS = {
    "source": "the model",
    "inputs": "the inputs",
    "environment": "the versions of the backends",
    "options": "the options",
    "target": "the failure",
}


def remembered(workspace: Workspace, run: Mapping[str, Any]) -> dict[str, Judgement]:
    """Write down which run this is, or check that it is the one of the log; the judgements known so far by key.

    Raises UsageError when the log belongs to another model, check, option or backend version.
    """
    first = next((record[RUN] for record in workspace.records if RUN in record), None)
    if first is None:
        workspace.log({RUN: dict(run)})
        return {}
    for key, now in run.items():
        if first.get(key) != now:
            raise UsageError(
                f"cannot resume: {_WORDS.get(key, key)} changed: {_short(first.get(key))} then, {_short(now)} now",
                "run the same command again, or start anew without --resume",
            )
    return {record["key"]: _judgement(record) for record in workspace.records if "verdict" in record}


def _judgement(record: Mapping[str, Any]) -> Judgement:
    return Judgement(
        Verdict(record["verdict"]),
        str(record.get("signature", "")),
        float(record.get("seconds", 0.0)),
        str(record.get("reason", "")),
        float(record.get("limit", 0.0)),
    )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 120 else text[:117] + "..."
