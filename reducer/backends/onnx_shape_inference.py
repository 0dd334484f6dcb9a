"""onnx.shape_inference in strict mode, with type checks and data propagation."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from reducer.backends.base import Backend, Options, Runner, no_run


class OnnxShapeInference(Backend):
    """Strict inference: any node whose types or shapes do not fit raises."""

    name: ClassVar[str] = "onnx-shape-inference"
    requires: ClassVar[tuple[str, ...]] = ("onnx",)
    open_stage: ClassVar[str] = "shape_inference"
    runs: ClassVar[bool] = False

    def open(self, program: bytes | Path, options: Options) -> Runner:
        import onnx

        model = program if isinstance(program, bytes) else onnx.load(str(program), load_external_data=False)
        try:
            onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
        except onnx.shape_inference.InferenceError as error:
            raise type(error)(first_error(str(error))) from error
        return no_run


def first_error(message: str) -> str:
    """The first entry of inference's list, which has a line per node. Behind a node that has no type, every node
    complains: what follows is mostly that."""
    return message.partition("\n(op_type:")[0].strip()
