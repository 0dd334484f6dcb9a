"""What a switchboard is: the list of things that a rewriting tool can leave undone, and how to tell it so.

The rewrites localizer (step 10 of the data path) finds out which of them a failure needs; it knows no tool.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from reducer.oracles.trial import Trials
from reducer.programs.onnx import OnnxProgram


@dataclass(frozen=True)
class Case:
    """The reduced model, how to run it once more, and a folder for files."""

    program: OnnxProgram
    trials: Trials
    folder: Path
    message: str


@dataclass(frozen=True)
class Board:
    """What was found on one model: `likely` are the switches that changed it (all, where a tool does not tell),
    `all` is every switch, `modified` what the tool itself says it did."""

    likely: tuple[str, ...]
    all: tuple[str, ...]
    modified: tuple[str, ...] = ()


class Switchboard(ABC):
    """One tool. `backend` is the one whose options it sets, `tool` the name in reports, `kind` that of a suspect."""

    backend: ClassVar[str]
    tool: ClassVar[str]
    project: ClassVar[str]
    kind: ClassVar[str] = "optimizer_pass"

    def levels(self, options: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        """Coarser settings, weakest first: name -> options. The first one switches everything off. None by default."""
        return {}

    @abstractmethod
    def survey(self, case: Case) -> Board:
        """What can be switched off, with what changed this model first. May raise TrialsSpent."""

    @abstractmethod
    def options(self, off: Sequence[str]) -> dict[str, str]:
        """Options of the backend that switch these off."""

    @abstractmethod
    def how(self, off: Sequence[str]) -> str:
        """How a maintainer switches these off, as code."""

    def graphs(self, case: Case, only: Sequence[str], board: Board) -> tuple[str, str, tuple[str, ...]]:
        """(graph before, graph after these alone, switches that the tool ignored); "" where there is no graph."""
        return "", "", ()
