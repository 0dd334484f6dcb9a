"""onnx-simplifier: constant folding, shape inference and the passes of onnx-optimizer."""

from __future__ import annotations

from typing import Any, ClassVar

from reducer.backends.base import Options
from reducer.backends.rewriting import Rewriter, switched_off

FOLDING, INFERENCE = "constant_folding", "shape_inference"


class OnnxSimplifier(Rewriter):
    """Switches: the optimizer passes it runs, constant folding, shape inference."""

    name: ClassVar[str] = "onnxsim"
    package: ClassVar[str] = "onnxsim"
    requires: ClassVar[tuple[str, ...]] = ("onnxsim",)

    def rewrite(self, model: Any, options: Options) -> Any:
        import onnxsim

        off = switched_off(options)
        passes = [name for name in off if name not in (FOLDING, INFERENCE)]
        made, _ = onnxsim.simplify(
            model,
            skipped_optimizers=passes or None,
            skip_constant_folding=FOLDING in off,
            skip_shape_inference=INFERENCE in off,
        )
        return made

    def switches(self) -> list[str]:
        import onnxsim.onnxsim_cpp2py_export as native

        listed = native._list_optimizers() if hasattr(native, "_list_optimizers") else []
        return [*(str(name) for name in listed), FOLDING, INFERENCE]
