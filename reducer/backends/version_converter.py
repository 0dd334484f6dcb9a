"""onnx.version_converter: the same model at another opset."""

from __future__ import annotations

from typing import Any, ClassVar

from reducer.backends.base import Options
from reducer.backends.rewriting import Rewriter


class VersionConverter(Rewriter):
    """Options: `to` (opset; default: the newest that onnx knows)."""

    name: ClassVar[str] = "version-converter"
    package: ClassVar[str] = "onnx"
    argument: ClassVar[str] = "to"
    requires: ClassVar[tuple[str, ...]] = ("onnx",)

    def rewrite(self, model: Any, options: Options) -> Any:
        import onnx
        import onnx.version_converter

        to = int(options.get("to") or onnx.defs.onnx_opset_version())
        return onnx.version_converter.convert_version(model, to)
