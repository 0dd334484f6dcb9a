"""Finds the window in which something fails among ordered releases. Pure: it asks, and knows no process.

Releases that cannot tell are normal (an old one cannot read the model, another has no wheel), mostly as one block at
the old end. So a bisection treats "cannot tell" as "does not fail" first, and then looks behind the gap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

# Releases asked behind a gap: the next one, then ever farther away.
BEHIND = (1, 2, 4)
MOST = 32


class Verdict(StrEnum):
    """What a release does. `rejects`: a clean error where the bug is a crash or a hang. `differs`: another failure."""

    FAILS = "fails"
    PASSES = "passes"
    REJECTS = "rejects"
    DIFFERS = "differs"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class End:
    """One end of the window. `fails` is the outermost failing release found. `passes` is the nearest release beyond
    that does not fail, None when the last one still fails (`open`) or nothing beyond can tell; `between` are those
    between the two, from old to new."""

    fails: str
    passes: str | None
    between: tuple[str, ...] = ()
    open: bool = False


@dataclass(frozen=True)
class Window:
    """Where it fails; both None when no release that was asked fails."""

    older: End | None = None
    newer: End | None = None


@dataclass
class Search:
    """`versions` from old to new; `ask` runs one release; `most` caps how many are asked, each once."""

    versions: Sequence[str]
    ask: Callable[[str], Verdict]
    most: int = MOST
    known: dict[int, Verdict] = field(default_factory=dict)
    asked: int = 0
    # Whether an answer was wanted that the budget did not allow.
    exhausted: bool = False

    def window(self, bad: str | None = None, good: str | None = None) -> Window:
        """The window around `bad`, or around the first failing release that is met. `good` bounds its side."""
        start = self.versions.index(bad) if bad is not None else next(self._failing(), None)
        if start is None or self._ask(start) is not Verdict.FAILS:
            return Window()
        oldest, newest = 0, len(self.versions) - 1
        if good is not None:
            limit = self.versions.index(good)
            oldest, newest = (limit, start) if limit < start else (start, limit)
        return Window(self._end(start, oldest, -1), self._end(start, newest, 1))

    def _ask(self, index: int) -> Verdict:
        if index not in self.known:
            if self.asked >= self.most:
                self.exhausted = True
                return Verdict.UNKNOWN
            self.asked += 1
            self.known[index] = self.ask(self.versions[index])
        return self.known[index]

    def _failing(self) -> Iterator[int]:
        """Failing releases: the newest, the oldest, then the middles of what is left, halves before quarters."""
        waiting = [(0, len(self.versions) - 1)]
        order = [len(self.versions) - 1, 0] if self.versions else []
        while waiting:
            low, high = waiting.pop(0)
            if high - low > 1:
                middle = (low + high) // 2
                order.append(middle)
                waiting += [(middle, high), (low, middle)]
        for index in dict.fromkeys(order):
            if self._ask(index) is Verdict.FAILS:
                yield index

    def _gone(self, index: int, step: int) -> bool:
        """Whether the bug is not there. A clean error where an older release crashed or hung is the cure; in a
        release before the bug it may as well be a missing feature."""
        verdict = self._ask(index)
        return verdict is Verdict.PASSES or (verdict is Verdict.REJECTS and step > 0)

    def _end(self, start: int, last: int, step: int) -> End:
        """The end of the window that lies from `start` towards `last`."""
        fails: int | None = start
        while fails is not None:
            if fails == last or self._ask(last) is Verdict.FAILS:
                return End(self.versions[last], None, open=True)
            fails, beyond = self._edge(fails, last)
            if self._gone(beyond, step):
                return self._closed(fails, beyond, step)
            edge, fails, good = fails, *self._behind(beyond, last, step)
            if good is not None:
                return self._closed(edge, good, step)
        return End(self.versions[edge], None)

    def _edge(self, fails: int, beyond: int) -> tuple[int, int]:
        """Two neighbours, of which the first fails and the second does not, or cannot tell."""
        while abs(beyond - fails) > 1:
            middle = (fails + beyond) // 2
            if self._ask(middle) is Verdict.FAILS:
                fails = middle
            else:
                beyond = middle
        return fails, beyond

    def _behind(self, gap: int, last: int, step: int) -> tuple[int | None, int | None]:
        """(a failing release behind the gap, or else the nearest passing one): both None when all cannot tell."""
        good = next((i for i in range(gap, last + step, step) if i in self.known and self._gone(i, step)), None)
        if good is None:
            for distance in BEHIND:
                index = gap + step * distance
                if (last - index) * step < 0:
                    return None, None
                if self._ask(index) is Verdict.FAILS:
                    return index, None
                if self._gone(index, step):
                    good = index
                    break
        while good is not None and abs(good - gap) > 1:
            middle = (gap + good) // 2
            if self._ask(middle) is Verdict.FAILS:
                return middle, None
            gap, good = (gap, middle) if self._gone(middle, step) else (middle, good)
        return None, good

    def _closed(self, fails: int, passes: int, step: int) -> End:
        between = tuple(self.versions[min(fails, passes) + 1 : max(fails, passes)])
        return End(self.versions[fails], self.versions[passes], between)


def sentence(package: str, window: Window, asked: int) -> str:
    """The window as one reads it: "fails since onnxruntime 1.24.1, last good 1.23.2, still fails in 1.32.0".
    "since" is said of a regression only: a good release below was seen."""
    if window.older is None or window.newer is None:
        return f"fails in none of {asked} releases of {package} tried"
    return f"{_since(package, window.older)}, {_until(window.newer)}"


def _since(package: str, end: End) -> str:
    if end.passes is None:
        older = "" if end.open else " (older ones cannot tell)"
        return f"fails in {package} {end.fails} already{older}"
    gap = f" ({_listed(end.between)} cannot tell)" if end.between else ""
    return f"fails since {package} {end.fails}, last good {end.passes}{gap}"


def _until(end: End) -> str:
    if end.open:
        return f"still fails in {end.fails}"
    if end.passes is None:
        return f"last seen in {end.fails} (newer ones cannot tell)"
    gap = f", {_listed(end.between)} cannot tell" if end.between else ""
    return f"fixed in {end.passes} (last bad {end.fails}{gap})"


def _listed(versions: Sequence[str]) -> str:
    return versions[0] if len(versions) == 1 else f"{versions[0]} to {versions[-1]}"
