"""How long a candidate may take: fixed by the user, else a multiple of what the source took."""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST_LIMIT_SECONDS = 60.0
FLOOR_SECONDS = 5.0
HANG_FLOOR_SECONDS = 2.0
MULTIPLE = 10.0


@dataclass
class Limits:
    """`fixed` is the user's --timeout. `normal` is the slowest run so far that ended by itself."""

    fixed: float | None = None
    normal: float = 0.0
    hang: bool = False
    _first: float = field(default=FIRST_LIMIT_SECONDS, repr=False)

    def saw(self, seconds: float) -> None:
        """A run ended by itself after that long."""
        self.normal = max(self.normal, seconds)

    @property
    def full(self) -> float:
        """The limit under which the source was observed; final confirmations use it too."""
        return self.fixed or self._first

    @property
    def candidate(self) -> float:
        """The limit for a candidate. In a hang reduction every failing candidate waits for it, so it shrinks to
        a few times a normal run; the result is confirmed under the full limit afterwards."""
        if self.hang:
            return min(self.full, max(HANG_FLOOR_SECONDS, MULTIPLE * self.normal))
        return self.fixed or min(self._first, max(FLOOR_SECONDS, MULTIPLE * self.normal))
