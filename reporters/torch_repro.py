"""repro.py of a PyTorch model: a plain module, its inputs, and the public torch.onnx.export (form torch-*).

The exit codes are those of every repro script: 1 the bug is there, 0 it is gone, 125 cannot tell.
"""

from __future__ import annotations

import re
from typing import Any

from reducer.finding import Finding, Probe, Reproduction
from reporters.privacy import scrub, scrub_paths
from reporters.rendering import one_line, quoted, render, versions

FORM = "torch-"
LEVELS = {
    "none": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "layout": "ORT_ENABLE_LAYOUT",
}
PROVIDER = "CPUExecutionProvider"
# Up to that many inputs stand on a line each, with their names; columns of a line of several.
FEW_INPUTS, WIDTH = 4, 110
# The default of the script's source when the finding names no other way to make the model.
MODEL = "Reduced().eval()"
FUTURE = "from __future__"
COPIES = "tuple(value.clone() for value in inputs)"


def is_torch(repro: Reproduction) -> bool:
    """Whether the script is one of this file."""
    return repro.form.startswith(FORM) and repro.model_code is not None


def torch_script(finding: Finding, repro: Reproduction) -> str:
    """The text of the script."""
    exporter, runtime = repro.probes[0].options, repro.probes[1].options
    legacy = exporter.get("exporter") == "legacy"
    source = (repro.model_code or "").strip()
    imports, code = split_imports(source)
    child = repro.form in (f"{FORM}death", f"{FORM}hang")
    feeds_file = any("saved[" in text for _, text in repro.inputs_code) or "saved[" in code
    runs = repro.stage != "convert"
    if runs:
        imports.append("import onnxruntime as ort")
    if feeds_file or (repro.stage == "compare" and repro.mismatch not in ("shape", "dtype", "count")):
        imports.append("import numpy as np")
    modules = ["os", "sys", *(["subprocess"] if child else [])]
    modules += [*(["io"] if legacy else []), *(["signal"] if child and repro.signal.startswith("SIG") else [])]
    values: dict[str, Any] = {
        "head": _head(finding, repro),
        "future": future_of(source),
        "modules": sorted(modules),
        "imports": sorted(set(imports), key=lambda line: (line.startswith("from "), line.split()[1])),
        "feeds_file": feeds_file,
        "code": code,
        "child": child,
        "signal": _signal(repro),
        "seconds": f"{repro.timeout_seconds + (60.0 if repro.signal else 0.0):g}",
        "inputs": repro.inputs_code,
        "input_rows": _rows([code for _, code in repro.inputs_code]),
        "stage": repro.stage,
        "made": repro.made or MODEL,
        "single": repro.single,
        "legacy": legacy,
        "call": _call(
            repro.made or MODEL, COPIES if legacy and runs and _writes(code) else "inputs", exporter, runs=runs
        ),
        "model": "buffer.getvalue()" if legacy else "exported.model_proto.SerializeToString()",
        "provider": runtime.get("provider", PROVIDER),
        "options": _options(repro.probes[1]),
        "to_array": _to_array(repro),
        "pieces": _pieces(repro),
        "error_class": repro.error_class,
        "mismatch": repro.mismatch,
        "rtol": repro.rtol,
        "atol": repro.atol,
    }
    if values["options"]:
        values["code"] = f"{code}\n\n\n{_session_options(repro.probes[1])}"
    return render("repro/torch.py.j2", **values)


def split_imports(source: str) -> tuple[list[str], str]:
    """(import lines at the top level, the rest): a missing package must not look like the bug. What is imported from
    __future__ belongs to neither: it may stand at the top alone, see `future_of`."""
    lines = source.splitlines()
    imports = [
        line for line in lines if re.match(r"(import|from) [\w.]+", line) and not line.rstrip().endswith(("(", "\\"))
    ]
    kept = {line for line in imports if not line.startswith(FUTURE)}
    rest = "\n".join(line for line in lines if line not in imports)
    names = [set(re.split(r",\s*", line.removeprefix("import "))) for line in imports]
    again = [line for line, mine in zip(imports, names, strict=True) if any(mine < other for other in names)]
    return [line for line in imports if line in kept and line not in again], rest.strip("\n")


def future_of(source: str) -> list[str]:
    """The lines that must stand before all others."""
    return sorted({line for line in source.splitlines() if line.startswith(FUTURE)})


def _writes(code: str) -> bool:
    """Whether the code may write into its inputs: the legacy exporter runs it, and the inputs are read once more."""
    return re.search(r"\w_(\.\w+)?\(|\] *[-+*/|&]?=[^=]", code) is not None


def _call(made: str, given: str, options: Any, *, runs: bool) -> str:
    opset = f", opset_version={options['opset']}" if options.get("opset") else ""
    if options.get("exporter") == "legacy":
        return f"torch.onnx.export({made}, {given}, {'buffer' if runs else 'io.BytesIO()'}, dynamo=False{opset})"
    shapes = f", dynamic_shapes={options['dynamic_shapes']}" if options.get("dynamic_shapes") else ""
    given = f"{made}, inputs{shapes}"
    if options.get("strict"):
        given = f"torch.export.export({given}, strict=True)"
    return f"{'exported = ' if runs else ''}torch.onnx.export({given}, dynamo=True, verbose=False{opset})"


def _rows(codes: list[str]) -> list[str]:
    """Many short inputs, several on a line; nothing where a few lines of one each read better."""
    if len(codes) <= FEW_INPUTS:
        return []
    rows = [codes[0]]
    for code in codes[1:]:
        longer = f"{rows[-1]}, {code}"
        rows = [*rows[:-1], longer] if len(longer) <= WIDTH else [*rows, code]
    return rows


def _options(probe: Probe) -> str:
    return ", sess_options=options" if probe.options.get("opt_level", "all") in LEVELS else ""


def _session_options(probe: Probe) -> str:
    level = LEVELS[probe.options["opt_level"]]
    return f"options = ort.SessionOptions()\noptions.graph_optimization_level = ort.GraphOptimizationLevel.{level}"


def _to_array(repro: Reproduction) -> str:
    """What makes an array of a tensor `value`; ONNX has complex numbers as pairs."""
    return ".detach().numpy()" if "complex" not in repr(repro.feeds) else ".detach().resolve_conj().numpy()"


def _signal(repro: Reproduction) -> str:
    if not repro.signal:
        return ""
    return f"-signal.{repro.signal}" if repro.signal.startswith("SIG") else repro.signal.removeprefix("exit code ")


def _pieces(repro: Reproduction) -> str:
    pieces = [piece for piece in repro.fragments if scrub_paths(piece) == piece]
    if repro.stage == "convert" and repro.error_class:
        pieces = [repro.error_class, *pieces]
    return "[" + ", ".join(map(quoted, pieces)) + "]"


def _head(finding: Finding, repro: Reproduction) -> list[str]:
    """The lines of the module docstring."""
    failure = finding.failure
    what = one_line(scrub(failure.message if failure else repro.actual_text), 110)
    lines = [what or "A failure.", f"Seen with {versions(finding)}."]
    lines.append("Exit code: 1 while the bug is there, 0 when it is gone, 125 when it cannot be told.")
    plain = (line.replace("\\", "/").replace('"""', "'''") for line in lines)
    return ["".join(c if c.isprintable() else " " for c in line) for line in plain]
