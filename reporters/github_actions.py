"""What a run on GitHub Actions shows without a click: an annotation, and a page in the job summary.

Workflow commands and GITHUB_STEP_SUMMARY are described in GitHub's documentation of workflow commands; a summary may
hold 1 MiB, and messages must have their line ends and per cents escaped.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from reducer.finding import Finding
from reporters.rendering import one_line, render
from reporters.repro import ReproScript
from reporters.shareable import scrubbed, shareable
from reporters.trackers.base import facts_of
from reporters.wording import message_of, summary_of, title_of

SUMMARY_LIMIT = 1 << 20


def on_github(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this runs as a step of GitHub Actions."""
    return environment.get("GITHUB_ACTIONS") == "true"


def announce(finding: Finding, stream: TextIO, environment: Mapping[str, str] = os.environ) -> None:
    """Write the annotation to `stream` and append to the job summary. A summary that cannot be written is no error:
    the run has its result."""
    facts = facts_of(scrubbed(finding))
    if facts is None:
        return
    model = escaped(facts.finding.source.path, ":,")
    stream.write(f"::error file={model},title={escaped(title_of(facts), ':,')}::{escaped(summary_of(facts))}\n")
    place = environment.get("GITHUB_STEP_SUMMARY")
    if not place:
        return
    try:
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(job_summary(finding))
    except OSError as error:
        stream.write(f"::warning::onnx-reduce could not write the job summary: {error.strerror}\n")


def job_summary(finding: Finding) -> str:
    """One page of Markdown; nothing in it is a path or a name of the source model, because logs are often public."""
    facts = facts_of(shareable(finding))
    assert facts is not None
    scripts = ReproScript().render(facts.finding)
    text = render(
        "issue/_summary.md.j2",
        facts=facts,
        title=one_line(title_of(facts)),
        summary=summary_of(facts),
        message=message_of(facts),
        script=scripts[0].text if scripts else None,
    )
    return text[: SUMMARY_LIMIT // 4]


def escaped(text: str, also: str = "") -> str:
    """Text inside a workflow command."""
    for mark, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"), (":", "%3A"), (",", "%2C")):
        if mark not in ":," or mark in also:
            text = text.replace(mark, code)
    return text
