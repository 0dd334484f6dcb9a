"""What a reporter is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from reducer.finding import Finding


@dataclass(frozen=True)
class Document:
    """A text file to write. `kind` is an artifact kind of finding.schema.json, `path` is relative to it."""

    kind: str
    path: str
    text: str


class Reporter(ABC):
    """Renders one kind of artifact. Found by scanning this package; a new one is one file."""

    name: ClassVar[str]

    @abstractmethod
    def render(self, finding: Finding) -> Sequence[Document]:
        """The documents; none where the finding does not carry what they need. Pure."""
