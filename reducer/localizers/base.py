"""What a localizer sees and gives (step 10 of the data path)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from reducer.finding import DifferenceFacts, Neighbour, OptimizerFacts, ShapeFact, Suspect
from reducer.oracles.ladder import Aim, Ladder, Plan
from reducer.oracles.prober import Prober
from reducer.oracles.trial import Trials
from reducer.programs.base import NodeRef
from reducer.programs.onnx import OnnxProgram


@dataclass(frozen=True)
class Smaller:
    """A model smaller than the reduced one that fails in the same way when `tool` does only what it must."""

    tool: str
    program: OnnxProgram


Fact = Suspect | OptimizerFacts | Neighbour | ShapeFact | DifferenceFacts | Smaller


@dataclass(frozen=True)
class Evidence:
    """All there is to reason about: the source, what is left of it, what failed and how. `trials` runs it again
    with one thing changed; None where nothing can be run."""

    source: OnnxProgram
    reduced: OnnxProgram
    aim: Aim
    message: str
    plan: Plan
    ladder: Ladder
    prober: Prober
    opsets: dict[str, int]
    project: str | None
    trials: Trials | None = None

    @property
    def whole(self) -> OnnxProgram:
        """All nodes around the reduced model, with the types and values that the reduction learnt of them."""
        return OnnxProgram.of(self.reduced.source, self.reduced.policy)

    @property
    def stage(self) -> str:
        """The rung at which it fails; "" for a user's own command."""
        if self.aim.dispute is not None or self.aim.nan is not None:
            return "compare"
        return self.aim.observation.stage if self.aim.observation is not None else ""


class Localizer(ABC):
    """Names suspects, and facts that stand in fields of their own. `rank` orders localizers: the most specific
    evidence comes first. `calls` and `seconds` are what its trials may cost; beyond, its facts so far count.
    `decides`: where its suspects name a project, that is whose bug it is."""

    name: ClassVar[str]
    rank: ClassVar[int] = 50
    calls: ClassVar[int] = 40
    seconds: ClassVar[float] = 4.0
    decides: ClassVar[bool] = False

    @abstractmethod
    def locate(self, evidence: Evidence) -> Iterable[Fact]:
        """Facts, best first. Never raises for what the model is."""


def called(ref: NodeRef, fallback: str = "") -> str:
    """How a node is named to people: its name in the source, else its type and position there."""
    return ref.source_name or fallback or f"{ref.op_type} #{ref.id}"


def small_model(program: OnnxProgram, most: int) -> bytes | None:
    """The serialized model with its weights inside; None when it has spilled ones or more than `most` bytes."""
    if program.folder is not None:
        return None
    raw = program.model_bytes(inline=True)
    return raw if len(raw) <= most else None
