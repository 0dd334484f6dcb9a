"""onnx.inliner: are the model-local functions ones that can be inlined?"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from reducer.backends.base import Backend, Options, Runner, no_run


class OnnxInliner(Backend):
    """All model-local functions inlined; what comes out is not looked at."""

    name: ClassVar[str] = "onnx-inliner"
    requires: ClassVar[tuple[str, ...]] = ("onnx",)
    open_stage: ClassVar[str] = "optimize"
    runs: ClassVar[bool] = False

    def open(self, program: bytes | Path, options: Options) -> Runner:
        import onnx
        import onnx.inliner

        model = (
            onnx.ModelProto.FromString(program)
            if isinstance(program, bytes)
            else onnx.load(program, load_external_data=False)
        )
        onnx.inliner.inline_local_functions(model)
        return no_run
