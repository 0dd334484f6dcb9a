"""What the oracles of this package share (architecture.md sections 2 and 6)."""

from __future__ import annotations

from abc import ABC, abstractmethod

from reducer.engine.verdict import Judgement
from reducer.oracles.limits import Limits
from reducer.programs.onnx import OnnxProgram
from reducer.signature import FailureSignature, Vocabulary


class Oracle(ABC):
    """Judges candidates against one target signature. `vocabulary` are the names that messages may hold."""

    vocabulary: Vocabulary
    limits: Limits
    target: FailureSignature | None

    @abstractmethod
    def judge(self, program: OnnxProgram) -> Judgement:
        """The verdict on a candidate, in a warm worker under the candidate limit."""

    @abstractmethod
    def confirm(self, program: OnnxProgram) -> Judgement:
        """The verdict in a process that never opened a model, under the full limit."""

    def outdated(self, judgement: Judgement) -> bool:
        """A time-out says nothing once the limit has grown."""
        return 0 < judgement.limit < self.limits.candidate / 2

    def learn_names(self, program: OnnxProgram) -> None:
        """Mask the names of this program in messages, too."""
        names = self.vocabulary.names | program.source.names()
        self.vocabulary = Vocabulary(names, self.vocabulary.op_types | program.source.op_types())
