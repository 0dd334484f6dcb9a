"""repro.py for a conversion by tf2onnx: a plain tf.function or Keras model, the public call, what comes of it."""

from __future__ import annotations

import re
from typing import Any

from reducer.finding import Finding, Reproduction
from reporters.literals import expression, is_saved
from reporters.privacy import scrub_paths
from reporters.rendering import quoted, render

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
WIDTH = 120
# The decorator as worker/tf_code.py writes it: one input a line.
_SIGNATURE = re.compile(
    r"^(@tf\.function\(input_signature=\[)\n((?:    tf\.TensorSpec\(.*\),\n)+)\]\)(\ndef model\((.*)\):)$", re.M
)
_CONSTANT = re.compile(r"    \w+ = tf\.constant\([^=]*\)$")


def script(finding: Finding, repro: Reproduction, head: list[str]) -> str:
    """The whole script; `head` are the lines of its docstring."""
    return render(TEMPLATE, **_values(repro, head))


def _values(repro: Reproduction, head: list[str]) -> dict[str, Any]:
    options = repro.probes[0].options
    code = _packed(repro.model_code or repro.model_text or "")
    runs = repro.stage in ("run", "compare")
    feeds = repro.feeds if runs else ()
    saved = any(map(is_saved, feeds)) or "saved[" in code
    imports = ["import onnxruntime as ort", "import tensorflow as tf", "import tf2onnx.convert"]
    if repro.stage == "convert":
        del imports[0]
    if "keras." in code:
        imports.append("import keras")
    if (runs and (feeds or repro.stage == "compare")) or saved or re.search(r"\bnp\.", code):
        imports.append("import numpy as np")
    if "text_format." in code:
        imports.append("from google.protobuf import text_format")
    nchw = [name for name in options.get("nchw", "").split(",") if name]
    turned = [int(place) for place in options.get("nchw_out", "").split(",") if place]
    arguments = {"inputs_as_nchw": [f"{name}:0" for name in nchw]}
    arguments["outputs_as_nchw"] = [f"Identity_{place}:0" if place else "Identity:0" for place in turned]
    shown = [(feed.name, expression(feed)) for feed in feeds]
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
        "feeds": shown,
        "feeds_row": row_of(shown),
        "level": LEVELS[options.get("opt_level", "all")],
        "nchw": nchw,
        "nchw_out": turned,
        "nchw_argument": "".join(f", {name}={value}" for name, value in arguments.items() if value),
        "provider": options.get("provider", "CPUExecutionProvider"),
        "ordered": "*given" in code or "keras." in code,
        "as_text": "*given" in code,
        # What is captured is an input of the model, but none of the function.
        "captures": options.get("captures") == "yes",
        "verdict": verdict([piece for piece in repro.fragments if scrub_paths(piece) == piece]),
        "compared": compared(repro),
    }


def _packed(code: str) -> str:
    """With the decorator on one line, and constants where they are used, as far as they fit there."""

    def one_line_of(found: re.Match[str]) -> str:
        parameters = found[4].split(", ")
        specs = [line.strip().rstrip(",") for line in found[2].splitlines()]
        if len(specs) == len(parameters):  # a spec without a name has that of its parameter
            specs = [spec.replace(f', name="{name}")', ")") for spec, name in zip(specs, parameters, strict=True)]
        one = f"{found[1]}{', '.join(specs)}])"
        return f"{one}{found[3]}" if len(one) <= WIDTH else found[0]

    lines = _SIGNATURE.sub(one_line_of, code).splitlines()
    for line in [line for line in lines if _CONSTANT.match(line)]:
        name, _, value = line.strip().partition(" = ")
        users = [i for i, other in enumerate(lines) if other is not line and re.search(rf"\b{name}\b(?!=)", other)]
        if len(users) == 1 and len(re.findall(rf"={name}\b", lines[users[0]])) == 1:
            inlined = re.sub(rf"={name}\b", lambda _, v=value: f"={v}", lines[users[0]])  # type: ignore[misc]
            if len(inlined) <= WIDTH:
                lines[users[0]] = inlined
                lines.remove(line)
    return "\n".join(lines)


def verdict(pieces: list[str]) -> str:
    """Whether what was said is the reported failure."""
    told = [f"{quoted(p)} in said" for p in dict.fromkeys(pieces) if not any(p in q for q in pieces if p != q)]
    if not told:
        return 'print("the bug is there")\nsys.exit(1)'
    known = f"known = {' and '.join(told)}"
    if len(known) > WIDTH - 4:
        known = "\n".join(f"known = {'known and ' if i else ''}{piece}" for i, piece in enumerate(told))
    return f"""{known}
print("the bug is there" if known else "cannot tell: this is another failure")
sys.exit(1 if known else 125)"""


def compared(repro: Reproduction) -> str:
    """What is the reported difference (`bug`), and what is none (`same`)."""
    kind = repro.mismatch
    close = (
        f"np.allclose(b, a, {repro.rtol}, {repro.atol}, equal_nan=True)"
        if repro.rtol or repro.atol
        else "np.array_equal(a, b)"
    )
    lines = ["pairs = list(zip(expected, actual))"]
    if kind == "strings" or any(feed.dtype == "string" for feed in repro.feeds):
        text = "np.vectorize(lambda x: x.decode() if isinstance(x, bytes) else x, [object])"
        lines = [f"text = {text}", "pairs = [(text(a), text(b)) for a, b in zip(expected, actual)]"]
        close = "np.array_equal(a, b)"
    alike = "a.shape == b.shape and a.dtype == b.dtype"
    if kind == "shape":
        lines.append("bug = any(a.shape != b.shape for a, b in pairs)")
    elif kind == "dtype":
        lines.append("bug = any(a.dtype != b.dtype and a.shape == b.shape for a, b in pairs)")
    elif kind in ("nan", "inf"):
        first = "(np.isnan(a) == np.isnan(b)).all() and " if kind == "inf" else ""
        lines.append(f"bug = any({alike} and {first}(np.is{kind}(a) != np.is{kind}(b)).any() for a, b in pairs)")
    elif kind == "strings":
        lines.append("bug = any(a.shape == b.shape and not np.array_equal(a, b) for a, b in pairs)")
    else:
        finite = " and (np.isfinite(a) == np.isfinite(b)).all()" if "allclose" in close else ""
        lines.append(f"alike = all({alike}{finite} for a, b in pairs)")
        lines.append(f"same = alike and all({close} for a, b in pairs)")
        return "\n".join([*lines, *_told("same", "the bug is gone", 0, "alike", "the bug is there", 1)])
    lines.append(f"same = all({alike} and {close} for a, b in pairs)")
    return "\n".join([*lines, *_told("bug", "the bug is there", 1, "same", "the bug is gone", 0)])


def _told(first: str, text: str, code: int, second: str, other: str, other_code: int) -> list[str]:
    """What holds first decides; when neither does, nothing can be told."""
    return [
        f'print("{text}" if {first} else "{other}" if {second} else "cannot tell: it differs in another way")',
        f"sys.exit({code} if {first} else {other_code} if {second} else 125)",
    ]


def row_of(feeds: list[tuple[str, str]]) -> str:
    """All feeds on one line; empty when they do not fit there."""
    row = f"feeds = {{{', '.join(f'{quoted(name)}: {code}' for name, code in feeds)}}}"
    return row if feeds and len(row) <= WIDTH and "\n" not in row else ""
