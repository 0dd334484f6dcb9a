"""repro.py for a conversion by tf2onnx: a plain tf.function or Keras model, the public call, what comes of it."""

from __future__ import annotations

import re
from typing import Any

from reducer.finding import Finding, Reproduction
from reporters.literals import expression, is_saved
from reporters.privacy import scrub, scrub_paths
from reporters.rendering import one_line, render

LEVELS = {
    "none": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "layout": "ORT_ENABLE_LAYOUT",
    "all": "ORT_ENABLE_ALL",
}
# A process of its own imports TensorFlow first.
IMPORT_SECONDS = 60.0
TEMPLATE = "repro/tf2onnx.py.j2"


def script(finding: Finding, repro: Reproduction, head: list[str]) -> str:
    """The whole script; `head` are the lines of its docstring."""
    return render(TEMPLATE, **_values(repro, head))


def _values(repro: Reproduction, head: list[str]) -> dict[str, Any]:
    options = repro.probes[0].options
    code = repro.model_code or repro.model_text or ""
    runs = repro.stage in ("run", "compare")
    feeds = repro.feeds if runs else ()
    saved = any(map(is_saved, feeds)) or "saved[" in code
    imports = ["import onnxruntime as ort", "import tensorflow as tf", "import tf2onnx.convert"]
    if "keras." in code:
        imports.append("import keras")
    if (runs and (feeds or repro.stage == "compare")) or saved or re.search(r"\bnp\.", code):
        imports.append("import numpy as np")
    if options.get("entry") == "saved_model":
        imports.append("import onnx")
    if "text_format." in code:
        imports.append("from google.protobuf import text_format")
    nchw = [name for name in options.get("nchw", "").split(",") if name]
    signal = f"-signal.{repro.signal}" if repro.signal.startswith("SIG") else repro.signal.removeprefix("exit code ")
    return {
        "repro": repro,
        # What kills its process or never ends is tried in a process of its own.
        "child": bool(signal) or repro.error_class == "hang",
        "signal": signal,
        "seconds": f"{repro.timeout_seconds + IMPORT_SECONDS:g}",
        "head": head,
        "imports": sorted(imports, key=lambda line: (line.startswith("from "), line.split()[1])),
        "code": code,
        "uses_saved": saved,
        "feeds": [(feed.name, expression(feed)) for feed in feeds],
        "level": LEVELS[options.get("opt_level", "all")],
        "nchw": nchw,
        "nchw_argument": f", inputs_as_nchw={[f'{name}:0' for name in nchw]}" if nchw else "",
        "provider": options.get("provider", "CPUExecutionProvider"),
        "ordered": "*given" in code or "keras." in code,
        "expected": one_line(scrub(repro.expected_text)) or "no failure",
        "fragments": [piece for piece in repro.fragments if scrub_paths(piece) == piece],
    }
