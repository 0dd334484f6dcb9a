"""OnnxSlim: constant folding, elimination and fusion patterns."""

from __future__ import annotations

from typing import Any, ClassVar

from reducer.backends.base import Options
from reducer.backends.rewriting import Rewriter, switched_off


class OnnxSlim(Rewriter):
    """Switches: its optimizations, and the single fusion patterns."""

    name: ClassVar[str] = "onnxslim"
    package: ClassVar[str] = "onnxslim"
    requires: ClassVar[tuple[str, ...]] = ("onnxslim",)

    def rewrite(self, model: Any, options: Options) -> Any:
        import onnxslim

        off = switched_off(options)
        wide = [name for name in off if name in _optimizations()]
        patterns = [name for name in off if name not in wide]
        made = onnxslim.slim(model, skip_optimizations=wide or None, skip_fusion_patterns=patterns or None)
        if made is None:
            raise RuntimeError("onnxslim gave no model back")
        return made

    def switches(self) -> list[str]:
        from onnxslim.core.pattern.registry import DEFAULT_FUSION_PATTERNS

        return [*DEFAULT_FUSION_PATTERNS, *_optimizations()]


def _optimizations() -> list[str]:
    from onnxslim.core.optimization import OptimizationSettings

    return list(OptimizationSettings.keys())
