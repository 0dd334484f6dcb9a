"""filing.md: what a human needs to file the draft, and what to look at before. It stays on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from reducer.finding import Finding
from reporters.base import Document, Reporter
from reporters.draft import BODY_LIMIT, Draft, drafts_of
from reporters.links import command_line, prefilled, searches
from reporters.rendering import fenced, render
from reporters.trackers.base import CONVERTERS

AI_NOTE = "Parts of this report were written by a program (onnx-reduce); I have run the script and read the report."


class Filing(Reporter):
    """One Markdown file beside the draft."""

    name: ClassVar[str] = "filing.md"

    def render(self, finding: Finding) -> Sequence[Document]:
        """The page; nothing where there is no draft."""
        drafts = list(drafts_of(finding))
        if not drafts:
            return []
        draft = next((d for d in drafts if len(d.body) <= BODY_LIMIT), drafts[-1])
        address = prefilled(drafts)
        text = render(
            "issue/_filing.md.j2",
            finding=finding,
            tracker=draft.tracker,
            title=draft.title,
            labels=draft.tracker.labels(draft.facts),
            url=address.url,
            missing=address.missing,
            command=fenced(command_line(draft), "sh"),
            searches=searches(draft),
            checks=checks(finding, draft),
            why=finding.tracker_why if draft.tracker.repository == finding.tracker else None,
            original=original(finding),
            ai_note=AI_NOTE,
        )
        return [Document("other", "filing.md", text)]


def checks(finding: Finding, draft: Draft) -> tuple[str, ...]:
    """What to do before filing, in order: what this finding asks for, then what the tracker asks for."""
    found = ["Search for the same failure with the links below."]
    script = next((a for a in finding.artifacts if a.kind == "repro_script"), None)
    if script is None:
        found.append("There is no repro script: say in your own words how to reproduce it.")
    elif not script.verified or script.verified.split("/")[0] == "0":
        found.append("The script did NOT show the failure in fresh processes. Do not file before you know why.")
    elif script.verified.split("/")[0] != script.verified.split("/")[-1]:
        found.append(f"The script showed the failure in {script.verified} runs only: say so, or find out why.")
    else:
        found.append("Run `repro.py` yourself, with the newest release of what fails.")
    if finding.status != "reduced":
        found.append(f"The run ended as *{finding.status}*: a smaller model may exist.")
    if finding.source.inputs == "generated" and finding.failure and finding.failure.stage in ("run", "compare"):
        found.append("The inputs were generated. Make sure that they are legal for this model.")
    if finding.failure and finding.failure.symptom in ("wrong_output", "nan_or_inf"):
        found.append("Make sure that the values are ordinary ones: differences at extreme magnitudes are often closed.")
    if finding.source.kind == "onnx" and any(s.project in CONVERTERS for s in finding.suspects[:1]):
        found.append("The model itself is not legal: it may be the converter that has to be told.")
    found.append("Read issue.md from the first line to the last one; you sign it.")
    return (*found, *draft.tracker.checks(draft.facts))


def original(finding: Finding) -> tuple[str, ...]:
    """What of the source is still in the files that would leave this machine."""
    reduced, repro = finding.reduced, finding.reproduction
    assert reduced is not None
    found = [f"`{name}` holds original values: {why}" for name, why in reduced.original_values.items()]
    if not found:
        found.append(f"Weights and constants that are left in `{reduced.path}` may hold numbers of the source model.")
    if finding.source.inputs == "given" and repro is not None and repro.feeds:
        found.append("`inputs.npz` (and the script, where it prints them) holds values computed from your inputs.")
    found.append("`finding.json`, `log.jsonl`, `report.html` and `also_found/` hold paths and names: keep them here.")
    return tuple(found)
