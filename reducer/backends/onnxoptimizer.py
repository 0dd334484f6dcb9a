"""onnx-optimizer with its fusing and eliminating passes, which are those of its own default."""

from __future__ import annotations

from typing import Any, ClassVar

from reducer.backends.base import Options
from reducer.backends.rewriting import Rewriter, switched_off


class OnnxOptimizer(Rewriter):
    """Switches: its passes."""

    name: ClassVar[str] = "onnxoptimizer"
    package: ClassVar[str] = "onnxoptimizer"
    requires: ClassVar[tuple[str, ...]] = ("onnxoptimizer",)

    def rewrite(self, model: Any, options: Options) -> Any:
        import onnxoptimizer

        off = switched_off(options)
        return onnxoptimizer.optimize(model, [name for name in self.switches() if name not in off])

    def switches(self) -> list[str]:
        import onnxoptimizer

        return list(onnxoptimizer.get_fuse_and_elimination_passes())
