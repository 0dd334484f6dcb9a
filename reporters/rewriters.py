"""How a repro script calls a rewriter: an import, and an expression that gives the rewritten ModelProto."""

from __future__ import annotations

from collections.abc import Mapping

from reducer.finding import Probe

# {model} is an expression for a ModelProto that the tool may change in place.
_CALLS: Mapping[str, tuple[str, str]] = {
    "onnxslim": ("import onnxslim", "onnxslim.slim({model})"),
    "onnxsim": ("import onnxsim", "onnxsim.simplify({model})[0]"),
    "onnxoptimizer": (
        "import onnxoptimizer",
        "onnxoptimizer.optimize({model}, onnxoptimizer.get_fuse_and_elimination_passes())",
    ),
    "version-converter": ("import onnx.version_converter", "onnx.version_converter.convert_version({model}, {to})"),
    "onnxscript-optimizer": ("import onnxscript.optimizer", "onnxscript.optimizer.optimize({model})"),
}
REWRITERS = tuple(_CALLS)


def rewriting_import(backend: str) -> str | None:
    """The import line of a rewriter; None for any other backend."""
    return _CALLS[backend][0] if backend in _CALLS else None


def rewriting(probe: Probe, model: str) -> str:
    """The expression that rewrites `model`; "" for a backend that is no rewriter."""
    if probe.backend not in _CALLS:
        return ""
    to = probe.options.get("to") or "onnx.defs.onnx_opset_version()"
    return _CALLS[probe.backend][1].format(model=model, to=to)
