"""A TensorFlow source that is not cut itself: a graph that does not show the failure, or a fault of the entry point
without Keras layers. The model that it was converted to is reduced in its place, when that is what fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reducer.finding import Finding
from reducer.second_level import STAGES, Place, SecondSession, Written, guarded, second_run
from reducer.settings import Settings
from reducer.workspace import LOG, OWNER


def in_its_place(finding: Finding, written: Written | None, place: Place, settings: Settings) -> Finding:
    """The finding on the converted model, told of the source; the given one when that model does not fail by itself."""
    if written is None or finding.failure is None or finding.failure.stage not in STAGES:
        return finding
    stage = finding.failure.stage

    def made() -> Finding:
        with second_run(written, stage, place, settings) as (session, below):
            return _of_source(finding, below, session, place)

    return guarded(finding, "the converted model in its place", place, made)


def _of_source(finding: Finding, below: Finding, session: SecondSession, place: Place) -> Finding:
    if below.reduced is None or session.workspace is None or session.model_is_wrong:
        return finding
    _copy(session.workspace.folder, place)
    return replace(
        below,
        source=replace(finding.source, nodes=finding.source.nodes or below.source.nodes),
        environment={**below.environment, **finding.environment},
        ladder=finding.ladder,
        suspects=(*below.suspects, *finding.suspects),
        # tf2onnx calls a graph by its own name: that is nobody's secret.
        names={old: new for old, new in below.names.items() if old != finding.source.producer},
    )


def _copy(made: Path, place: Place) -> None:
    """All files but the log: this run has its own."""
    for path in sorted(made.rglob("*")):
        name = path.relative_to(made).as_posix()
        if path.is_file() and name not in (LOG, OWNER):
            place.workspace.write(name, path.read_bytes())
