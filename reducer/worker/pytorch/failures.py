"""Exceptions of the exporter as data: the step, the innermost cause, its frame, and the node that it speaks of.

Facts of torch 2.13: the outer error says "step N/3"; the chain of causes holds "Error when translating node %n ...
call_function[target=torch.ops.x.y]" (translate) or "While executing %n = call_function[target=...]" (decompose).
"""

from __future__ import annotations

import re
import traceback
from typing import Any

CAPTURE, DECOMPOSE, TRANSLATE, OPTIMIZE, LEGACY = "capture", "decompose", "translate", "optimize", "legacy export"
CONVERT_STEPS = (CAPTURE, DECOMPOSE, TRANSLATE, OPTIMIZE, LEGACY)
EXPORTER_PACKAGES = ("torch/onnx/", "onnxscript/", "onnx_ir/")
MESSAGE_LIMIT = 1500
_STEP = re.compile(r"step (\d)/3")
_STEPS = {"1": CAPTURE, "2": DECOMPOSE, "3": TRANSLATE}
_NODE = re.compile(r"%(\w+) : \[[^\]]*\] = call_function\[target=(?:torch\.ops\.)?([\w.:]+)\]")
_EXECUTING = re.compile(r"While executing %(\w+) : \[[^\]]*\] = call_function\[target=(?:torch\.ops\.)?([\w.:]+)\]")
# Legacy: the messages of torch/onnx/errors.py, which quote the operator.
_LEGACY = re.compile(r"(?:operator '|namespace )([\w]+::[\w.]+)")
_KIND = re.compile(r"The containing node has kind '([\w]+::[\w.]+)'")


def chain_of(error: BaseException) -> list[BaseException]:
    """The error and its causes, outermost first."""
    chain = [error]
    while chain[-1].__cause__ is not None and chain[-1].__cause__ not in chain:
        chain.append(chain[-1].__cause__)
    return chain


def describe(error: BaseException, step: str) -> dict[str, Any]:
    """{step, error, message, frame, target, node, line, chain, module} of an exception at that step (or the one that
    it names). `module` is the class of the innermost nn.Module that was running, `function` the function of torch that
    its forward called last.

    `frame` is "file:function" of the innermost frame inside the exporter (inside torch, for a capture); `line` is
    the innermost line of the user's code.
    """
    chain = chain_of(error)
    named = _STEP.search(str(error))
    if named and type(error).__name__ in ("TorchExportError", "ConversionError"):
        step = _STEPS[named.group(1)]
        chain = chain[1:] or chain
    inner = chain[-1]
    text = "\n".join(str(item) for item in chain)
    node = _EXECUTING.search(text) or _NODE.search(text)
    operator = _LEGACY.search(text) or _KIND.search(text) if step == LEGACY else None
    frames = [frame for item in chain for frame in traceback.extract_tb(item.__traceback__)]
    return {
        "step": step,
        "error": type(inner).__name__,
        "message": (str(inner).strip() or repr(inner))[:MESSAGE_LIMIT],
        "frame": _frame(traceback.extract_tb(inner.__traceback__), step),
        "target": node.group(2) if node else (operator.group(1) if operator else ""),
        "node": node.group(1) if node else "",
        "line": _users(frames),
        "chain": [type(item).__name__ for item in chain],
        "module": _module(chain),
        "function": _function(chain),
    }


def node_in(text: str) -> dict[str, str]:
    """{node, target} of the first call node that a text shows as FX prints it."""
    found = _NODE.search(text)
    return {"node": found.group(1) if found else "", "target": found.group(2) if found else ""}


def first_step(options: Any) -> str:
    """What a death before ONNX is blamed on."""
    if options.get("exporter") == "legacy":
        return LEGACY
    return str(options["upto"]) if options.get("upto") in CONVERT_STEPS else TRANSLATE


def _short(filename: str) -> str:
    """The path below site-packages; empty for a file outside."""
    _, found, inside = filename.replace("\\", "/").rpartition("/site-packages/")
    return inside if found else ""


def _frame(frames: traceback.StackSummary, step: str) -> str:
    packages = ("torch/",) if step == CAPTURE else EXPORTER_PACKAGES
    for frame in reversed(frames):
        if _short(frame.filename).startswith(packages):
            return f"{_short(frame.filename)}:{frame.name}"
    return ""


def _module(chain: list[BaseException]) -> str:
    found = ""
    for item in chain:
        trace = item.__traceback__
        while trace is not None:
            frame = trace.tb_frame
            holder = frame.f_locals.get("self")
            if frame.f_code.co_name == "forward" and hasattr(holder, "named_modules"):
                found = f"{type(holder).__module__}.{type(holder).__qualname__}"
            trace = trace.tb_next
    return found


def _function(chain: list[BaseException]) -> str:
    """The public function of torch, written in Python, that the innermost forward of a module called."""
    from reducer.worker.pytorch.naming import function_of, named

    found, inside = "", False
    for item in chain:
        trace = item.__traceback__
        while trace is not None:
            frame = trace.tb_frame
            function = function_of(frame)
            if frame.f_code.co_name == "forward" and hasattr(frame.f_locals.get("self"), "named_modules"):
                found, inside = "", True
            elif inside and not found and function is not None:
                known = named(function)
                found = known.code if known and known.code.startswith("torch.nn.") else ""
            trace = trace.tb_next
    return found


def _users(frames: list[traceback.FrameSummary]) -> str:
    """ "file.py:12 forward: code" of the last frame that is neither ours nor an installed package's."""
    for frame in reversed(frames):
        name = frame.filename.replace("\\", "/")
        ours = "/reducer/worker/" in name or name.startswith("<")
        standard = re.search(r"/lib/python3\.\d+/(?!site-packages)", name) is not None
        if not _short(name) and not ours and not standard:
            return f"{name.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}: {frame.line or ''}".strip()
    return ""
