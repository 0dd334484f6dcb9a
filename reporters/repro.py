"""repro.py: a script that fails while the bug is there, with nothing of this project in it.

Exit codes: 1 the bug is there, 0 it is gone, 125 cannot tell (`git bisect run` skips that).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from reducer.finding import Finding, Probe, Reproduction
from reporters import repro_tf2onnx, repro_tflite
from reporters.base import Document, Reporter
from reporters.literals import NOTHING, expression, is_narrow, is_saved
from reporters.privacy import scrub_paths
from reporters.public import public
from reporters.rendering import one_line, render, versions
from reporters.rewriters import REWRITERS, rewriting, rewriting_import
from reporters.shareable import cleaner
from reporters.torch_repro import is_torch, torch_script
from reporters.trackers.base import facts_of
from reporters.wording import message_of

_TEMPLATES = {
    "exception": "repro/exception.py.j2",
    "mismatch": "repro/mismatch.py.j2",
    "nan": "repro/nan.py.j2",
    "death": "repro/process.py.j2",
    "hang": "repro/process.py.j2",
    "command": "repro/command.py.j2",
}
_PLAIN = "repro/plain.py.j2"
# What the text of a model says of its outputs when all of them are plain floats.
_FLOAT_OUTPUTS = re.compile(r"=> \((?:(?:float|double|float16)(?:\[[^\]]*\])? [^\s,()]+(?:, )?)+\)")
# A message can be very long; what is said at its end tells more than the function that said it.
MOST_PIECES, PIECE_LENGTH, ENOUGH = 2, 100, 60
LEVELS = {
    "none": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "layout": "ORT_ENABLE_LAYOUT",
    "all": "ORT_ENABLE_ALL",
}
_BACKENDS = (*REWRITERS, "onnxruntime", "reference", "onnx-checker", "onnx-shape-inference", "onnx-inliner")
# The header as onnx.printer breaks it; one line says the same.
_HEADER = re.compile(r"\A<\s+(ir_version: \d+),\s+(opset_import: \[[^\]\n]*\])\s+>\n")
_CODE_NAMES = {
    "np": "import numpy as np",
    "helper": "from onnx import helper",
    "numpy_helper": "from onnx import numpy_helper",
    "TensorProto": "from onnx import TensorProto",
}


@dataclass(frozen=True)
class Run:
    """One probe as code. `runs` is False for backends and failures that need no run; `rewrite` is the expression of
    the rewritten model."""

    backend: str
    level: str
    provider: str
    runs: bool
    rewrite: str = ""
    libraries: tuple[str, ...] = ()

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
        """The script, or nothing without a reproduction that can be written down."""
        finding = public(finding)
        repro = finding.reproduction
        if repro is not None and is_torch(repro):
            return [Document("repro_script", "repro.py", torch_script(finding, repro))]
        if repro is not None and repro.form == "tf2onnx":
            return [Document("repro_script", "repro.py", repro_tf2onnx.script(finding, repro, _head(finding, repro)))]
        if repro is not None and repro.form == "tflite":
            return [Document("repro_script", "repro.py", repro_tflite.script(finding, repro, _head(finding, repro)))]
        if repro is None or not _can_write(repro):
            return []
        values = _values(finding, repro)
        text = render(_PLAIN if values["plain"] else _TEMPLATES[repro.form], **values)
        return [Document("repro_script", "repro.py", text)]


def _can_write(repro: Reproduction) -> bool:
    probes = repro.probes
    known = all(p.backend in _BACKENDS and p.options.get("opt_level", "all") in LEVELS for p in probes)
    return repro.form in _TEMPLATES and known and (bool(probes) or repro.form == "command")


def _values(finding: Finding, repro: Reproduction) -> dict[str, Any]:
    fresh = "onnx.ModelProto.FromString(MODEL.SerializeToString())"
    held = _model(repro) is not None or repro.model_code is not None
    own = fresh if held else "onnx.load(MODEL)"
    runs = [_run(probe, repro, own) for probe in repro.probes] if repro.form != "command" else []
    fed = repro.feeds if any(run.runs for run in runs) else ()
    model, code = _model(repro), None
    own_imports: list[str] = []
    if model is None and repro.model_code is not None:
        code, own_imports = _split_imports(repro.model_code)
    # Which outputs are narrow is known only from the text; raw bits in or out need another way to run.
    narrow = any(map(is_narrow, fed)) or (bool(fed) and model is not None and bool(re.search("bfloat16|float8", model)))
    inline = model is not None or code is not None
    return {
        "repro": repro,
        "runs": runs,
        "head": _head(finding, repro),
        "imports": _merged(own_imports, _imports(repro, runs, model is not None, code, narrow)),
        "model": model,
        "quotes": "'''" if model is not None and '"""' in model else '"""',
        "code": code,
        "inline": inline,
        "expected": one_line(cleaner(finding)(repro.expected_text)) or "no failure",
        "placed": any("{}" in word for word in repro.command),
        "seconds": _seconds(repro),
        "feeds": [(feed.name, expression(feed)) for feed in fed],
        "feeds_file": any(map(is_saved, fed)),
        "libraries": any(run.libraries for run in runs),
        "narrow": narrow,
        "raw": narrow and any(run.backend == "onnxruntime" and run.runs for run in runs),
        # What an inline model does not hold, its script need not know how to compare.
        "sequences": model is None or "seq(" in model,
        "strings": model is None or "string" in model or "seq(" in model,
        "wide": "complex128" if model is None or "complex" in model else "float64",
        # A path in a message is one of this machine: it says nothing on another and must not leave this one.
        "fragments": (fragments := [piece for piece in repro.fragments if scrub_paths(piece) == piece]),
        "pieces": _telling(fragments),
        "plain": _is_plain(repro, model, narrow),
    }


def _is_plain(repro: Reproduction, model: str | None, narrow: bool) -> bool:
    """Whether two runs differ in something that needs no comparison of our own."""
    if repro.form != "mismatch" or len(repro.probes) != 2 or narrow or model is None:
        return False
    if repro.mismatch in ("shape", "dtype"):
        return "seq(" not in model
    return repro.mismatch == "value" and _FLOAT_OUTPUTS.search(model) is not None


def _telling(fragments: Sequence[str]) -> list[str]:
    """The longest piece of the message; with the next one where it is short."""
    longest = sorted(fragments, key=len, reverse=True)[:MOST_PIECES]
    return [_tail(piece) for piece in (longest[:1] if longest and len(longest[0]) >= ENOUGH else longest)]


def _tail(piece: str) -> str:
    """The last words of a piece of a message."""
    return piece if len(piece) <= PIECE_LENGTH else piece[-PIECE_LENGTH:].partition(" ")[2] or piece[-PIECE_LENGTH:]


def _run(probe: Probe, repro: Reproduction, model: str) -> Run:
    level = LEVELS[probe.options.get("opt_level", "all")]
    provider = probe.options.get("provider", "CPUExecutionProvider")
    if not provider.endswith("ExecutionProvider"):
        provider += "ExecutionProvider"
    libraries = tuple(name for name in probe.options.get("custom_ops", "").split(os.pathsep) if name)
    runs = repro.stage in ("run", "compare")
    return Run(probe.backend, level, provider, runs, rewriting(probe, model), libraries)


def _seconds(repro: Reproduction) -> str:
    """The limit of the run as the script writes it; only a hang must not be given longer than it had."""
    seconds = repro.timeout_seconds + (60.0 if repro.form == "death" else 0.0)
    return f"{seconds:g}"


def _head(finding: Finding, repro: Reproduction) -> list[str]:
    """The lines of the module docstring."""
    clean = cleaner(finding)
    facts = facts_of(finding)
    what = one_line(clean(message_of(facts) if facts else repro.actual_text), 110)
    expected = one_line(clean(repro.expected_text), 100) or "no failure"
    actual = one_line(clean(repro.actual_text), 110)
    lines = [what or "A failure.", "", f"Seen with {versions(finding)}.", f"Expected: {expected}"]
    if actual and actual != what:
        lines.append(f"Actual: {actual}")
    requirements = finding.environment.get("requirements")
    if requirements:
        lines.append(f"Install: pip install {' '.join(map(str, requirements))}")
    lines.append("Exit code: 1 while the bug is there, 0 when it is gone, 125 when it cannot be told.")
    # Backslashes and quotes would end or change the string; other unprintables are no Python source at all.
    plain = (line.replace("\\", "/").replace('"""', "'''") for line in lines)
    return ["".join(c if c.isprintable() else " " for c in line) for line in plain]


def _model(repro: Reproduction) -> str | None:
    """The model's text when it can stand in a raw string."""
    text = repro.model_text
    if text is None or ('"""' in text and "'''" in text) or text.rstrip().endswith("\\"):
        return None
    return compact(text)


def compact(text: str) -> str:
    """Model text with its header on one line and no blanks at the ends of lines."""
    stripped = "\n".join(line.rstrip() for line in text.strip().splitlines())
    return _HEADER.sub(r"<\1, \2>\n", stripped)


def _split_imports(code: str) -> tuple[str, list[str]]:
    """(the code without its imports, these): a missing package must not look like the bug."""
    lines = code.strip().splitlines()
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    rest = "\n".join(line for line in lines if not line.startswith(("import ", "from ")))
    return rest.strip("\n"), imports


def _imports(repro: Reproduction, runs: Sequence[Run], text: bool, code: str | None, narrow: bool) -> list[str]:
    """Import lines of packages that may be missing."""
    backends = {run.backend for run in runs}
    found = []
    fed = repro.feeds if any(run.runs for run in runs) else ()
    if any(feed.dtype != NOTHING for feed in fed) or repro.form in ("mismatch", "nan"):
        found.append("import numpy as np")
    if narrow:
        found.append("import ml_dtypes")
    if text:
        found.append("import onnx.parser")
    elif backends - {"onnxruntime"} or narrow or (code is not None and (not backends or "onnx." in code)):
        found.append("import onnx")
    found += [line for run in runs if (line := rewriting_import(run.backend))]
    if any(run.rewrite for run in runs):
        found.append("import onnx")
    if "onnxruntime" in backends or any(run.rewrite and run.runs for run in runs):
        found.append("import onnxruntime as ort")
    if "onnx-inliner" in backends:
        found.append("import onnx.inliner")
    if "reference" in backends:
        found.append("from onnx.reference import ReferenceEvaluator")
    if code is not None:
        found += [line for name, line in _CODE_NAMES.items() if re.search(rf"(?<![\w.]){name}\.", code)]
    return found


def _merged(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """Each line once; plain imports before `from` ones, by name."""
    return sorted({*first, *second}, key=lambda line: (line.startswith("from "), line.split()[1], line))
