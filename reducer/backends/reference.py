"""onnx.reference.ReferenceEvaluator: the specification in numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from reducer.backends.base import Backend, Options, Runner
from reducer.values import Tensors


class Reference(Backend):
    """A witness, and a system under test like any other: it is wrong sometimes."""

    name: ClassVar[str] = "reference"
    requires: ClassVar[tuple[str, ...]] = ("onnx",)

    def open(self, program: bytes | Path, options: Options) -> Runner:
        import numpy as np
        import onnx
        from onnx.reference import ReferenceEvaluator

        model: Any = onnx.ModelProto.FromString(program) if isinstance(program, bytes) else onnx.load(str(program))
        evaluator = ReferenceEvaluator(model)

        def run(feeds: Tensors) -> Tensors:
            with np.errstate(all="ignore"):
                outputs = evaluator.run(None, {k: _writable(v) for k, v in feeds.items()})
            return dict(zip(evaluator.output_names, outputs))

        return run


def _writable(value: Any) -> Any:
    """Decoded feeds are read-only views; some reference ops write into their inputs."""
    if isinstance(value, list):
        return [_writable(item) for item in value]
    return value.copy() if hasattr(value, "copy") else value
