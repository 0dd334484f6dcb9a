"""What an oracle says of a candidate."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeVar

C = TypeVar("C", contravariant=True)


class Verdict(Enum):
    """INTERESTING: the same failure. SLIPPED: fails otherwise. UNRESOLVED: cannot be told; never followed."""

    INTERESTING = "interesting"
    PASSED = "passed"
    SLIPPED = "slipped"
    INVALID = "invalid"
    UNRESOLVED = "unresolved"


@dataclass(frozen=True)
class Judgement:
    """A verdict, the id of the signature seen (empty when it passed), the wall seconds and a short reason.

    `limit` is the time limit in seconds that decided, 0 when none did: it does not hold under a longer one.
    """

    verdict: Verdict
    signature: str = ""
    seconds: float = 0.0
    reason: str = ""
    limit: float = 0.0


class Oracle(Protocol[C]):
    """The interestingness test."""

    def judge(self, candidate: C, /) -> Judgement:
        """The verdict on one candidate; never raises for what the candidate does."""
        ...

    def outdated(self, judgement: Judgement, /) -> bool:
        """Whether a judgement made earlier must be made again."""
        ...
