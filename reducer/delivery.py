"""From a finding to a folder: render, run the repro script in fresh processes, write, put in place.

With cli.py the only part of `reducer` that imports reporters (step 11 of the data path).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO

from reducer.discovery import discover
from reducer.finding import Artifact, Finding
from reducer.worker.kit import plain_environment
from reducer.workspace import Workspace
from reporters.base import Document, Reporter
from reporters.repro import ReproScript

TIMES = 3
START_SECONDS = 60.0
SCRIPT = "repro_script"
FAILS = 1
# What every script then prints, within its last bytes.
WORDS, MOST_SAID = b"the bug is there", 1 << 16


@dataclass(frozen=True)
class Place:
    """Where scripts are run: in empty folders under `scratch`, by the interpreter `python`."""

    scratch: Path
    python: str = sys.executable


def _as_it_is(finding: Finding) -> Finding:
    return finding


def deliver(
    finding: Finding, workspace: Workspace, place: Place, complete: Callable[[Finding], Finding] = _as_it_is
) -> Finding:
    """Write every artifact into the staging folder and commit it; the finding then names what was written.

    `complete` adds what was still being found out while the scripts ran.
    """
    finding = complete(_with_script(finding, workspace, place))
    rendered = [document for document in render_all(finding) if document.kind != SCRIPT]
    named = {artifact.path for artifact in finding.artifacts}
    extra = tuple(Artifact(d.kind, d.path) for d in rendered if d.path not in named)
    finding = replace(finding, artifacts=(*finding.artifacts, *extra))
    # Once more: finding.json names all artifacts, itself included.
    for document in render_all(finding):
        if document.kind != SCRIPT:
            workspace.write(document.path, document.text)
    workspace.commit()
    return finding


def render_all(finding: Finding) -> list[Document]:
    """What every reporter makes of the finding."""
    return [document for reporter in _reporters() for document in reporter.render(finding)]


def _reporters() -> list[Reporter]:
    return [kind() for kind in discover("reporters", Reporter, "onnx_reduce.reporters")]  # type: ignore[type-abstract]


def _with_script(finding: Finding, workspace: Workspace, place: Place) -> Finding:
    """Write the repro script in the first form that reproduces: model inside, else the file beside it."""
    repro = finding.reproduction
    if repro is None:
        return finding
    forms = [repro] if repro.model_text is None else [repro, replace(repro, model_text=None)]
    if repro.form == "tf2onnx" and repro.model_text is not None:
        # Readable calls first, the graph as text where they do not show it.
        forms[1] = replace(repro, model_code=repro.model_text, model_text=None)
    elif repro.model_code is not None:
        # The model as text, as code, and as the file beside the script.
        forms.append(replace(repro, model_text=None, model_code=None))
    best: tuple[int, Finding, Document] | None = None
    for form in forms:
        candidate = replace(finding, reproduction=form)
        document = next((d for d in ReproScript().render(candidate)), None)
        if document is None:
            break  # this form has no script; one before may have
        path = workspace.write(document.path, document.text)
        # Rendering all reports once loads and compiles their templates while the scripts run.
        shown = _showing(path, form.timeout_seconds, place, partial(render_all, candidate))
        if best is None or shown > best[0]:
            best = (shown, candidate, document)
        if shown == TIMES:
            break
    if best is None:
        return finding
    shown, chosen, document = best
    if form.form == "command" and chosen.reduced is not None:
        # The script runs the user's command on the saved model: that is the confirmation.
        status = chosen.status if shown == TIMES or chosen.status != "reduced" else "flaky"
        chosen = replace(chosen, status=status, reduced=replace(chosen.reduced, reproduced=f"{shown}/{TIMES}"))
    workspace.write(document.path, document.text)
    script = Artifact(SCRIPT, document.path, f"{shown}/{TIMES}")
    return replace(chosen, artifacts=(*chosen.artifacts, script))


def _end_of(stream: IO[bytes]) -> bytes:
    """The last of what was written."""
    stream.seek(max(0, stream.seek(0, os.SEEK_END) - MOST_SAID))
    return stream.read()


def _showing(script: Path, seconds: float, place: Place, meanwhile: Callable[[], object]) -> int:
    """In how many fresh interpreters, started in an empty folder, the script says that the bug is there."""

    def once(_: int) -> bool:
        with (
            tempfile.TemporaryFile(dir=place.scratch) as said,
            tempfile.TemporaryDirectory(prefix="repro-", dir=place.scratch) as empty,
        ):
            try:
                ended = subprocess.run(
                    [place.python, str(script.resolve())],
                    cwd=empty,
                    env={**plain_environment(os.environ, place.python), "TMPDIR": empty},
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=subprocess.DEVNULL,
                    timeout=seconds + START_SECONDS,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return False
            # Python itself ends with the same code where a script breaks.
            return ended.returncode == FAILS and WORDS in _end_of(said)

    with ThreadPoolExecutor(TIMES) as pool:
        running = [pool.submit(once, number) for number in range(TIMES)]
        meanwhile()
        return sum(future.result() for future in running)
