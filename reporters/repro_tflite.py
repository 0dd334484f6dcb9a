"""repro.py for a TFLite model that tf2onnx converts wrongly: the flatbuffer in base64, the public call, what comes."""

from __future__ import annotations

import textwrap
from typing import Any

from reducer.finding import Finding, Reproduction
from reporters.literals import expression, is_saved
from reporters.privacy import scrub_paths
from reporters.rendering import render
from reporters.repro_tf2onnx import IMPORT_SECONDS, LEVELS, WIDTH, compared, row_of, verdict

TEMPLATE = "repro/tflite.py.j2"
# More lines than that do not tell at a glance what the model is.
MOST_TOLD = 6


def script(finding: Finding, repro: Reproduction, head: list[str]) -> str:
    """The whole script; `head` are the lines of its docstring."""
    return render(TEMPLATE, **_values(finding, repro, head))


def _values(finding: Finding, repro: Reproduction, head: list[str]) -> dict[str, Any]:
    options = repro.probes[0].options
    runs = repro.stage in ("run", "compare")
    feeds = repro.feeds if runs else ()
    saved = any(map(is_saved, feeds))
    shown = [(feed.name, expression(feed)) for feed in feeds]
    told = (finding.reduced.text or "").splitlines() if finding.reduced else []
    imports = [] if repro.stage == "convert" else ["import onnxruntime as ort"]
    imports += ["import numpy as np"] if feeds or repro.stage == "compare" else []
    imports += ["import tensorflow as tf"] if repro.stage == "compare" else []
    signal = f"-signal.{repro.signal}" if repro.signal.startswith("SIG") else repro.signal.removeprefix("exit code ")
    return {
        "repro": repro,
        "head": head,
        "child": bool(signal) or repro.error_class == "hang",
        "signal": signal,
        "seconds": f"{repro.timeout_seconds + IMPORT_SECONDS:g}",
        "told": [line for text in told for line in textwrap.wrap(text, WIDTH - 2)] if len(told) <= MOST_TOLD else [],
        "model": textwrap.wrap(repro.model_code or "", WIDTH),
        "here": saved or not repro.model_code,
        "imports": sorted([*imports, "import tf2onnx.convert"]),
        "uses_saved": saved,
        "feeds": shown,
        "feeds_row": row_of(shown),
        "level": LEVELS[options.get("opt_level", "all")],
        "opset": options.get("opset"),
        "nchw": [name for name in options.get("nchw", "").split(",") if name],
        "provider": options.get("provider", "CPUExecutionProvider"),
        "verdict": verdict([piece for piece in repro.fragments if scrub_paths(piece) == piece]),
        "compared": compared(repro).replace("zip(expected, ", "zip(expected.values(), "),
    }
