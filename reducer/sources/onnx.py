"""An ONNX file: binary, or text."""

from __future__ import annotations

from typing import ClassVar

from reducer.sources.base import SourceKind


class OnnxFile(SourceKind):
    """Every file that no other kind of source claims; what it really holds shows when it is read."""

    kind: ClassVar[str] = "onnx"
    rank: ClassVar[int] = 100
    session: ClassVar[str] = "reducer.sessions.onnx:OnnxSession"

    def claims(self, target: str) -> bool:
        return True
