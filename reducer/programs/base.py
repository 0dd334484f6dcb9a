"""What every kind of program offers to passes and engine (architecture.md section 6)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Self

NodeId = int
Size = tuple[int, ...]


class CutMode(Enum):
    """What a cut edge becomes. The two are different hypotheses: constant folding sees only one of them."""

    INPUT = "input"
    CONSTANT = "constant"


@dataclass(frozen=True)
class NodeRef:
    """One node: its id, op type (domain in front unless default), names, and where it lies.

    `source_name` is its name in the source, maybe empty or shared; `name` is the unique one that it runs under.

    `path` is empty at the top level, else the ids and attribute or function names that lead to its body.
    """

    id: NodeId
    op_type: str
    source_name: str
    path: tuple[str, ...] = ()
    name: str = ""


class Program(ABC):
    """An immutable program. Node ids are positions in the source program and never change."""

    @abstractmethod
    def nodes(self) -> Sequence[NodeRef]:
        """All nodes, topological at each level, those of bodies and called functions included."""

    @abstractmethod
    def units(self) -> Sequence[NodeId]:
        """The ids of the nodes that can be cut on their own, in program order."""

    @abstractmethod
    def neighbours(self, node: NodeId) -> Sequence[NodeId]:
        """Kept nodes that share an edge with `node`, in program order."""

    @abstractmethod
    def restrict(self, keep: frozenset[NodeId], cuts: Mapping[str, CutMode]) -> Self:
        """Only the nodes `keep`; every cut edge becomes an input or a constant. Raises EditConflict."""

    @abstractmethod
    def size(self) -> Size:
        """A total order: a candidate is kept only if its size is smaller (first item: number of nodes)."""

    @abstractmethod
    def key(self) -> str:
        """A short text that is equal for equal programs cut from the same source."""
