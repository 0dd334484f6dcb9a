"""repro.py: a script that fails while the bug is there, with nothing of this project in it.

Exit codes: 1 the bug is there, 0 it is gone, 125 cannot tell (`git bisect run` skips that).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from reducer.finding import Feed, Finding, Probe, Reproduction
from reporters.base import Document, Reporter
from reporters.privacy import scrub
from reporters.rendering import one_line, render, versions

_TEMPLATES = {
    "exception": "repro/exception.py.j2",
    "mismatch": "repro/mismatch.py.j2",
    "nan": "repro/nan.py.j2",
    "death": "repro/process.py.j2",
    "hang": "repro/process.py.j2",
    "command": "repro/command.py.j2",
}
_LEVELS = {
    "none": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "layout": "ORT_ENABLE_LAYOUT",
    "all": "ORT_ENABLE_ALL",
}
_BACKENDS = ("onnxruntime", "reference", "onnx-checker", "onnx-shape-inference")
_PLAIN_DTYPES = ("float", "int", "uint", "bool", "complex")


@dataclass(frozen=True)
class Run:
    """One probe as code. `runs` is False for backends and failures that need no run."""

    backend: str
    level: str
    provider: str
    runs: bool

    @property
    def title(self) -> str:
        """How the script calls it."""
        if self.backend == "onnxruntime":
            return f"onnxruntime {self.level}"
        return {"reference": "onnx reference"}.get(self.backend, self.backend)


class ReproScript(Reporter):
    """One script; none for a failure whose backend this reporter cannot write down."""

    name: ClassVar[str] = "repro.py"

    def render(self, finding: Finding) -> Sequence[Document]:
        repro = finding.reproduction
        template = _TEMPLATES.get(repro.form) if repro is not None else None
        if repro is None or template is None or any(probe.backend not in _BACKENDS for probe in repro.probes):
            return []
        runs = [_run(probe, repro) for probe in repro.probes]
        text = render(
            template,
            repro=repro,
            runs=runs,
            head=_head(finding, repro),
            imports=_imports(repro, runs),
            model=_model(repro),
            feeds=[(feed.name, _expression(feed)) for feed in repro.feeds],
            feeds_file=any(feed.values is None and feed.dtype != "optional(none)" for feed in repro.feeds),
            fragments=list(repro.fragments),
        )
        return [Document("repro_script", "repro.py", text)]


def _run(probe: Probe, repro: Reproduction) -> Run:
    level = _LEVELS[probe.options.get("opt_level", "all")]
    provider = probe.options.get("provider", "CPUExecutionProvider")
    return Run(probe.backend, level, provider, repro.stage in ("run", "compare"))


def _head(finding: Finding, repro: Reproduction) -> list[str]:
    """The lines of the module docstring."""
    failure = finding.failure
    what = scrub(one_line(failure.message if failure else repro.actual_text, 110))
    expected = scrub(one_line(repro.expected_text, 100)) or "no failure"
    actual = scrub(one_line(repro.actual_text, 100)) or what
    lines = [what, "", f"Seen with {versions(finding)}.", f"Expected: {expected}", f"Actual: {actual}"]
    lines.append("Exit code: 1 while the bug is there, 0 when it is gone, 125 when it cannot be told.")
    return [line.replace("\\", "/").replace('"""', "'''") for line in lines]


def _imports(repro: Reproduction, runs: Sequence[Run]) -> list[str]:
    """Import lines of packages that may be missing."""
    backends = {run.backend for run in runs}
    found = []
    if repro.feeds or repro.form in ("mismatch", "nan"):
        found.append("import numpy as np")
    if any(_is_narrow(feed) for feed in repro.feeds):
        found.append("import ml_dtypes")
    if "reference" in backends:
        found.append("from onnx.reference import ReferenceEvaluator")
    if repro.form != "command" and (repro.model_text is not None or backends - {"onnxruntime"}):
        found += ["import onnx", "import onnx.parser"] if repro.model_text is not None else ["import onnx"]
    if "onnxruntime" in backends:
        found.append("import onnxruntime as ort")
    return found


def _model(repro: Reproduction) -> str | None:
    """The model's text when it can stand in a raw string."""
    text = repro.model_text
    return None if text is None or "'''" in text or text.rstrip().endswith("\\") else text.strip()


def _is_narrow(feed: Feed) -> bool:
    known = feed.dtype == "string" or feed.dtype.startswith((*_PLAIN_DTYPES, "sequence", "optional", "map"))
    return not known or feed.dtype.startswith("float8")


def _expression(feed: Feed) -> str:
    """Python code that makes the value of a feed."""
    if feed.dtype == "optional(none)":
        return "None"
    if feed.values is None:
        return _from_file(feed)
    dtype = "object" if feed.dtype == "string" else f'"{feed.dtype}"'
    array = f"np.array({literal(feed.values)}, dtype={dtype})"
    empty = feed.shape is not None and 0 in feed.shape
    return f"{array}.reshape({tuple(feed.shape or ())})" if empty else array


def _from_file(feed: Feed) -> str:
    if feed.dtype.startswith("sequence"):
        return f"[saved[key] for key in saved.files if key.rpartition('.')[0] == {feed.name!r}]"
    if feed.dtype == "map":
        keys, values = f"saved[{feed.name + '.keys'!r}]", f"saved[{feed.name + '.values'!r}]"
        return f"dict(zip({keys}.tolist(), {values}.tolist()))"
    array = f"saved[{feed.name!r}]"
    if feed.dtype == "string":
        return f"{array}.astype(object)"
    return f"{array}.view(ml_dtypes.{feed.dtype})" if _is_narrow(feed) else array


def literal(value: Any) -> str:
    """A Python literal; infinities and NaN as float("...") so that the script needs no names for them."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(literal(item) for item in value) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return repr(value)
