"""Searches over subsets. Pure and generic: `test(kept)` says whether keeping just these items still fails.

Sources and figures: engine.md sections 1.1 and 1.2 of the design notes (lithium's chunked deletion, adaptive
growth from hypothesis' find_integer, windows around a suspect).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")
Test = Callable[[Sequence[T], Iterable[Sequence[T]]], bool]


def shortest_prefix(items: Sequence[T], test: Test[T]) -> Sequence[T]:
    """The shortest prefix that fails, if failing is monotone in the length: log2(n) tests.

    Where it is not monotone some failing prefix is returned all the same. If it is, its last item is needed.
    """
    fails, passes = len(items), 0
    while fails - passes > 1:
        middle = (fails + passes) // 2
        after = [items[: (middle + passes) // 2], items[: (fails + middle) // 2]]
        if test(items[:middle], [prefix for prefix in after if prefix]):
            fails = middle
        else:
            passes = middle
    return items[:fails]


def grown_window(
    seed: Sequence[T], neighbours: Callable[[T], Sequence[T]], test: Test[T], radii: Sequence[int], most: int
) -> Sequence[T] | None:
    """The smallest of the windows around `seed` that fails, radii in graph distance; None when none does.

    Windows of more than `most` items are not tried: chunked deletion is cheaper from there on.
    """
    window, reached = set(seed), 0
    for radius in radii:
        before = len(window)
        while reached < radius:
            window |= {near for item in list(window) for near in neighbours(item)}
            reached += 1
        if len(window) > most or (radius > 0 and len(window) == before):
            return None
        kept = sorted(window)  # type: ignore[type-var]  # node ids
        if test(kept, []):
            return kept
    return None


def chunked_deletion(items: Sequence[T], test: Test[T], pinned: frozenset[T] = frozenset()) -> Sequence[T]:
    """Delete chunks from the back, halving the chunk, going on (never restarting) after a success.

    O(m log n) tests for m needed items. `pinned` items are known to be needed and not tried.
    """
    kept = list(items)
    loose = [item for item in kept if item not in pinned]
    chunk = max(1, (len(loose) + 1) // 2)
    while loose:
        end = len(loose)
        while end > 0:
            start = max(0, end - chunk)
            rest = _without(kept, loose[start:end])
            ahead = _without(kept, loose[max(0, start - chunk) : start]) if start else []
            if rest and test(rest, [ahead] if ahead else []):
                kept, loose = rest, loose[:start] + loose[end:]
            end = start
        if chunk == 1:
            break
        chunk = min((chunk + 1) // 2, max(1, len(loose) // 2))
    return kept


def _without(items: Sequence[T], gone: Sequence[T]) -> list[T]:
    dropped = set(gone)
    return [item for item in items if item not in dropped]
