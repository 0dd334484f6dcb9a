"""How long a candidate may take: fixed by the user, else a multiple of what the source took.

Every limit holds for one stage (load, or run) of one backend.
"""

from __future__ import annotations

from dataclasses import dataclass

# What a source may take whose pace nobody knows yet; large ones get more.
FIRST_SECONDS = 10.0
NODES_PER_SECOND, BYTES_PER_SECOND = 1000, 50_000_000
# The specification in numpy is slow by nature: no answer in that time is no finding.
PATIENCE_SECONDS = 60.0
# A user's own command may build engines or import frameworks first.
COMMAND_SECONDS = 300.0
FLOOR_SECONDS = 5.0
HANG_FLOOR_SECONDS = 2.0
RECORDING_SECONDS = 1.0
MULTIPLE = 10.0


def first_limit(nodes: int, nbytes: int) -> float:
    """Seconds for a source of that size: slow is not hung."""
    return FIRST_SECONDS + nodes / NODES_PER_SECOND + nbytes / BYTES_PER_SECOND


@dataclass
class Limits:
    """`fixed` is the user's --timeout, `first` the limit where there is none. `normal` is the slowest stage so far
    that ended by itself. `hang`: the failure under reduction is that nothing comes back."""

    fixed: float | None = None
    normal: float = 0.0
    hang: bool = False
    first: float = FIRST_SECONDS

    def saw(self, seconds: float) -> None:
        """A run ended by itself after that long."""
        self.normal = max(self.normal, seconds)

    @property
    def full(self) -> float:
        """The limit under which the source was observed; final confirmations use it too."""
        return self.fixed or max(self.first, MULTIPLE * self.normal)

    @property
    def patience(self) -> float:
        """The limit for the reference evaluator beside others."""
        return self.fixed or max(PATIENCE_SECONDS, self.full)

    @property
    def glance(self) -> float:
        """The limit for what is only to be compared with a hang that was seen under the full limit already."""
        return min(self.full, max(HANG_FLOOR_SECONDS, MULTIPLE * self.normal))

    @property
    def recording(self) -> float:
        """The limit for recording values: of a model that hangs many parts will, and each only costs its values."""
        return min(self.candidate, RECORDING_SECONDS) if self.hang else self.candidate

    @property
    def candidate(self) -> float:
        """The limit for a candidate. In a hang reduction every failing candidate waits for it, so it shrinks to
        a few times a normal run; the result is confirmed under the full limit afterwards."""
        if self.hang:
            return min(self.full, max(HANG_FLOOR_SECONDS, MULTIPLE * self.normal))
        return self.fixed or min(self.full, max(FLOOR_SECONDS, MULTIPLE * self.normal))
