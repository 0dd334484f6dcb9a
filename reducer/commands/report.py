"""`onnx-reduce report OUT`: every report once more from finding.json alone, for another tracker if one is named.

Nothing is run and no model is opened: the repro script, the models and their inputs stay as they are.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from reducer.errors import UsageError
from reducer.finding import Finding
from reducer.reading import read_finding

# These are results, not reports: a script that was verified is not written anew.
KEPT = ("finding.json", "repro.py")


def report(
    out: Annotated[Path, Parameter(help="The folder that onnx-reduce wrote.")],
    /,
    *,
    tracker: Annotated[
        str | None, Parameter(help="Write the draft for this tracker (onnx, pytorch, owner/name, ...).")
    ] = None,
) -> int:
    """Write the reports of a finished run again, for another tracker if you name one."""
    from reporters.routing import check_name

    if not out.is_dir():
        raise UsageError(f"no such folder: {out}", "give the folder that onnx-reduce wrote")
    finding = read_finding(out)
    if finding.failure is None or finding.reduced is None:
        raise UsageError(f"{out} holds no failure to report", f"its status is {finding.status!r}")
    if tracker is not None:
        check_name(tracker)
        finding = replace(finding, tracker=tracker)
    written = rewrite(finding, out)
    sys.stdout.write("written: " + ", ".join(str(path) for path in written) + "\n")
    return 0


def rewrite(finding: Finding, out: Path) -> list[Path]:
    """Render every report into the folder; returns what was written."""
    from reducer.delivery import render_all

    written = []
    for document in render_all(finding):
        if document.path in KEPT:
            continue
        path = out / document.path
        _inside(path, out)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(path.name + ".tmp")
            draft.write_text(document.text, encoding="utf-8")
            os.replace(draft, path)
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}", "make the folder writable") from error
        written.append(path)
    return written


def _inside(path: Path, out: Path) -> None:
    """Raise UsageError when a link leads out of the folder."""
    if out.resolve() not in path.resolve().parents or path.is_symlink():
        raise UsageError(f"{path} leads out of {out}", "remove that link")
