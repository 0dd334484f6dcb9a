"""What a kind of source is (step 1 of the data path). Light on purpose: the zygote starts before a session loads."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from typing import Any, ClassVar


class SourceKind(ABC):
    """Claims what the user typed and names the session that works on it. A new kind is one file in this package.

    `kind` is the source.kind of finding.json. `rank` orders claims: the lowest that claims wins. `preload` are
    modules that the zygote imports meanwhile. `session` is "package.module:Class" of a sessions.base.Session.
    """

    kind: ClassVar[str]
    rank: ClassVar[int] = 50
    preload: ClassVar[tuple[str, ...]] = ("numpy", "onnx", "onnxruntime")
    session: ClassVar[str]

    @abstractmethod
    def claims(self, target: str) -> bool:
        """Whether this is a source of this kind. Looks at names and first bytes only; runs nothing."""

    def load(self) -> Any:
        """The session class."""
        module, _, name = self.session.partition(":")
        return getattr(importlib.import_module(module), name)
