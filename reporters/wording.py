"""One title, one summary, one message: every view of a finding says the same words."""

from __future__ import annotations

from reporters.rendering import counted, one_line
from reporters.trackers.base import Facts

TITLE_LIMIT = 200


def title_of(facts: Facts) -> str:
    """One line: the operator, what happens, and where."""
    failure = facts.failure
    suspect = next((s for s in facts.finding.suspects if s.kind != "stage"), None)
    name = suspect.name if suspect else "model"
    where = failure.backend.split(" (")[0]
    if failure.stage == "compare" and failure.symptom != "exception":
        title = f"{name}: wrong output ({failure.signature.kind}) from {failure.witnesses or where}"
    elif failure.symptom == "signal":
        title = f"{name}: {failure.signature.kind} in {where} during {failure.stage}"
    elif failure.symptom == "hang":
        title = f"{name}: {where} hangs during {failure.stage}"
    else:
        reason = suspect.evidence if suspect and suspect.kind == "type" else message_of(facts)
        title = f"{name}: {where} fails during {failure.stage}: {one_line(reason, 90)}"
    return one_line(title, TITLE_LIMIT)


def message_of(facts: Facts) -> str:
    """What the reduced model says when it is known, else what the source said first."""
    repro = facts.finding.reproduction
    raised = facts.failure.symptom == "exception" and repro is not None and repro.form != "command"
    said = repro.actual_text if raised and repro is not None else ""
    return (said or facts.failure.message).strip()


def summary_of(facts: Facts) -> str:
    """One paragraph: what fails, how small it got, how sure that is."""
    finding, failure, reduced = facts.finding, facts.failure, facts.reduced
    ops = ", ".join(f"{count} x {op}" if count > 1 else op for op, count in reduced.op_types.items())
    what = {
        "exception": f"`{failure.backend}` raises `{failure.signature.kind}` at the stage **{failure.stage}**",
        "signal": f"`{failure.backend}` dies with `{failure.signature.kind}` at the stage **{failure.stage}**",
        "hang": f"`{failure.backend}` does not come back at the stage **{failure.stage}**",
        "out_of_memory": f"`{failure.backend}` runs out of memory at the stage **{failure.stage}**",
        "command": f"a check command fails with {failure.signature.kind}",
    }.get(failure.symptom, f"outputs differ: {one_line(failure.message, 400)}")
    sure = f"It fails in the same way in {reduced.reproduced} fresh processes."
    if finding.flaky:
        sure += f" The failure comes and goes: it was seen in {finding.flaky} runs."
    cut = f", cut out of one of {finding.source.nodes}" if finding.source.nodes > reduced.nodes else ""
    return f"A model of {counted(reduced.nodes)} ({ops}){cut}: {what}. {sure}"
