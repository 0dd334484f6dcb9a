"""`onnx-reduce bisect OUT`: since which release does it fail. Also for a plain script: `--script repro.py`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from reducer.errors import UsageError

if TYPE_CHECKING:
    from reducer.bisection.run import Found, Task

FOUND, NOTHING = 0, 1


@Parameter(name="*")
@dataclass(frozen=True)
class BisectOptions:
    """Options of `onnx-reduce bisect`."""

    script: Annotated[Path | None, Parameter(help="A script in place of a finding: exit code 0 passes, 125 cannot tell, others fail.")] = None  # fmt: skip
    package: Annotated[str | None, Parameter(help="Whose releases. Default: the package of the failing backend.")] = None  # fmt: skip
    good: Annotated[str | None, Parameter(help="A release that does not fail: look no farther on that side.")] = None
    bad: Annotated[str | None, Parameter(help="A release that fails. Default: the one of the finding.")] = None
    among: Annotated[str, Parameter(show_default=False, help="1.22.0,1.23.2,...: only these. Default: every release with a wheel for this Python.")] = ""  # fmt: skip
    with_packages: Annotated[tuple[str, ...], Parameter(name="--with", negative=(), show_default=False, help="Also install this. Repeatable.")] = ()  # fmt: skip
    python: Annotated[Path | None, Parameter(help="Make the environments from this interpreter.")] = None
    most: Annotated[int, Parameter(help="Ask at most that many releases.")] = 32
    opsets: Annotated[bool, Parameter(negative=(), show_default=False, help="Convert the model to every opset and run that, instead of releases.")] = False  # fmt: skip
    timeout: Annotated[float | None, Parameter(help="Seconds for one run.")] = None
    as_json: Annotated[bool, Parameter(name="--json", negative=(), show_default=False, help="The result on stdout as one JSON object.")] = False  # fmt: skip


def bisect(
    output: Annotated[Path | None, Parameter(help="The output folder of a run.")] = None,
    /,
    *,
    options: BisectOptions = BisectOptions(),
) -> int:
    """Find the releases between which a failure comes or goes; what is found goes into finding.json.

    onnx-reduce bisect bad.reduced

    onnx-reduce bisect bad.reduced --package onnx --good 1.16.1

    onnx-reduce bisect --script repro.py --package onnxslim --with sympy

    Exit codes: 0 it fails in some release, 1 in none, 2 wrong usage.
    """
    found = _by_script(options) if options.script is not None else _by_finding(output, options)
    _show(found, as_json=options.as_json)
    return FOUND if found.fails_somewhere else NOTHING


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _task(options: BisectOptions, package: str) -> Task:
    from reducer.bisection.run import Task
    from reducer.environments.interpreter import place_of

    if options.most < 1:
        raise UsageError(f"--most takes 1 or more, not {options.most}")
    among = tuple(options.among.split(",")) if options.among else ()
    base = place_of(options.python)
    return Task(package, base, options.with_packages, among, options.good, options.bad, most=options.most)


def _by_script(options: BisectOptions) -> Found:
    from reducer.bisection.judging import SCRIPT_SECONDS, ScriptJudge
    from reducer.bisection.run import bisect as bisect_releases

    assert options.script is not None
    if options.package is None or options.opsets:
        raise UsageError("--script needs --package, and takes no --opsets", "for example --package onnxruntime")
    if not options.script.is_file():
        raise UsageError(f"no such file: {options.script}")
    judge = ScriptJudge(options.script, options.timeout or SCRIPT_SECONDS)
    return bisect_releases(_task(options, options.package), judge, _say)


def _by_finding(output: Path | None, options: BisectOptions) -> Found:
    from reducer.bisection.opsets import sweep_opsets
    from reducer.bisection.run import bisect_finding, package_of, read_finding, write_back

    if output is None:
        raise UsageError(
            "bisect takes an output folder, or --script FILE", "for example: onnx-reduce bisect bad.reduced"
        )
    finding = read_finding(output)
    if options.opsets:
        found = sweep_opsets(output, finding, _say, options.timeout)
    else:
        task = _task(options, options.package or package_of(finding))
        found = bisect_finding(output, finding, task, _say, options.timeout)
    write_back(output, found)
    return found


def _show(found: Found, *, as_json: bool) -> None:
    if as_json:
        facts: Sequence[object] = [asdict(fact) for fact in found.facts]
        sys.stdout.write(json.dumps({"window": found.window, "versions": facts}) + "\n")
        return
    for fact in found.facts:
        line = f"{fact.package} {fact.version:10} {fact.outcome:8} {fact.seconds:6.1f} s  {fact.detail}"
        sys.stdout.write(line[:160].rstrip() + "\n")
    sys.stdout.write(found.window + "\n")
