"""Rewriters as systems under test: model in, model out. Import-light like base.py; a tool is imported in the worker.

A rewriter that raises or dies fails at the stage "optimize". What it returns is run by ONNX Runtime without
optimizations, so that nobody else's rewriting is blamed: a result that is refused, or that computes something else
than the original, is the rewriter's failure too.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from reducer.backends.base import Backend, Options, Runner
from reducer.values import Tensors

# The option that names what is switched off, and the value of `opt_level` that leaves the model as it is.
OFF, UNTOUCHED = "off", "none"


class Rewriter(Backend):
    """Options: `off` (names of `switches` joined by ";"), `opt_level` ("none": do not rewrite), and the tool's own."""

    open_stage: ClassVar[str] = "optimize"

    @abstractmethod
    def rewrite(self, model: Any, options: Options) -> Any:
        """Another ModelProto that should compute the same. Raises whatever the tool raises."""

    def switches(self) -> list[str]:
        """What can be switched off by the option `off`."""
        return []

    def open(self, program: bytes | Path, options: Options) -> Runner:
        import onnx

        model = onnx.ModelProto.FromString(program) if isinstance(program, bytes) else onnx.load(program)
        if options.get("opt_level") != UNTOUCHED:
            model = self.rewrite(model, options)
        raw = model.SerializeToString()

        def run(feeds: Tensors) -> Tensors:
            from reducer.backends.onnxruntime import OnnxRuntime

            own = {key: value for key, value in options.items() if key == "custom_ops"}
            return OnnxRuntime().open(raw, {"opt_level": "none", **own})(feeds)

        return run


def switched_off(options: Options) -> list[str]:
    """The names in the option `off`."""
    return [name for name in options.get(OFF, "").split(";") if name]
