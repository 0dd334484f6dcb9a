"""PyTorch: a file with get_model(), package.module:factory, or a saved ExportedProgram."""

from __future__ import annotations

import re
from typing import ClassVar

from reducer.errors import UsageError
from reducer.sources.base import SourceKind
from reducer.sources.python import defined_in, module_file

MODEL, OTHERS = "get_model", ("get_function", "get_keras_model")
_FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


class TorchModelSource(SourceKind):
    """Looks at names and at the syntax of the file; runs nothing."""

    kind: ClassVar[str] = "torch"
    rank: ClassVar[int] = 40
    preload: ClassVar[tuple[str, ...]] = (
        "numpy",
        "onnx",
        "onnxruntime",
        "torch",
        "torch.export",
        "torch.onnx",
        "onnxscript",
    )
    session: ClassVar[str] = "reducer.sessions.torch:TorchSession"

    def claims(self, target: str) -> bool:
        if target.endswith(".pt2"):
            return True
        if target.endswith(".py"):
            names = defined_in(target)
            if names is None or MODEL in names:
                return True
            if not names & set(OTHERS):
                raise UsageError(
                    f"{target} defines none of {', '.join((MODEL, *OTHERS))}",
                    "PyTorch: get_model() and get_inputs(); TensorFlow: get_function() or get_keras_model()",
                )
            return False
        if not _FACTORY.fullmatch(target):
            return False
        file = module_file(target.partition(":")[0])
        names = defined_in(file) if file is not None else None
        return names is None or not names & set(OTHERS)
