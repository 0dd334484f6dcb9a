"""What a localizer sees and gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from reducer.finding import Suspect
from reducer.oracles.ladder import Aim, Ladder, Plan
from reducer.oracles.prober import Prober
from reducer.programs.base import NodeRef
from reducer.programs.onnx import OnnxProgram


@dataclass(frozen=True)
class Evidence:
    """All there is to reason about: the source, what is left of it, what failed and how."""

    source: OnnxProgram
    reduced: OnnxProgram
    aim: Aim
    message: str
    plan: Plan
    ladder: Ladder
    prober: Prober
    opsets: dict[str, int]
    project: str | None


class Localizer(ABC):
    """Names suspects. `rank` orders localizers: the most specific evidence comes first."""

    name: ClassVar[str]
    rank: ClassVar[int] = 50

    @abstractmethod
    def locate(self, evidence: Evidence) -> Iterable[Suspect]:
        """Suspects, best first. Never raises for what the model is."""


def called(ref: NodeRef, fallback: str = "") -> str:
    """How a node is named to people: its name in the source, else its type and position there."""
    return ref.source_name or fallback or f"{ref.op_type} #{ref.id}"
