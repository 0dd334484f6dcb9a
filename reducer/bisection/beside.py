"""`--versions`: the window of releases and the opset sweep as part of a run. What goes wrong costs that fact alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from reducer.bisection.opsets import sweep_opsets
from reducer.bisection.run import Found, Task, bisect_finding, package_of
from reducer.errors import OnnxReduceError
from reducer.finding import Finding


def with_versions(finding: Finding, folder: Path, say: Callable[[str], None]) -> Finding:
    """The finding with `versions` and `window`; `folder` holds its reduced model and inputs."""
    told = finding.to_json()

    def releases() -> Found:
        return bisect_finding(folder, told, Task(package_of(told), sys.executable), say)

    for attempt in (releases, lambda: sweep_opsets(folder, told, say)):
        try:
            found = attempt()
        except OnnxReduceError as error:
            say(f"versions: {error}")
            continue
        window = "; ".join(filter(None, [finding.window, found.window]))
        finding = replace(finding, versions=(*finding.versions, *found.facts), window=window)
    return finding
