"""Searches with a lambda as oracle: the exact minimum and a budget of tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reducer.engine.search import chunked_deletion, grown_window, shortest_prefix


class Counting:
    """A monotone property: fails when all of `core` is kept."""

    def __init__(self, core: set[int]) -> None:
        self.core, self.calls = core, 0

    def __call__(self, kept: Sequence[int], upcoming: Iterable[Sequence[int]]) -> bool:
        self.calls += 1
        assert len(set(kept)) == len(kept)
        return self.core <= set(kept)


@pytest.mark.parametrize(
    ("size", "core", "budget"),
    [(100, {50}, 14), (1000, {500, 501, 502}, 32), (1000, {3, 400, 997}, 70), (3000, set(range(0, 3000, 400)), 210)],
)
def test_chunked_deletion_is_exact_within_its_budget(size: int, core: set[int], budget: int) -> None:
    test = Counting(core)
    assert set(chunked_deletion(range(size), test)) == core
    assert test.calls <= budget


@given(st.integers(1, 200), st.data())
def test_chunked_deletion_finds_the_core_of_any_monotone_property(size: int, data: st.DataObject) -> None:
    core = data.draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=8))
    assert set(chunked_deletion(range(size), Counting(core))) == core


@given(st.integers(1, 60), st.data())
def test_chunked_deletion_of_any_property_ends_on_a_failing_set(size: int, data: st.DataObject) -> None:
    answers = data.draw(st.lists(st.booleans(), min_size=500, max_size=500))
    failing: list[tuple[int, ...]] = [tuple(range(size))]

    def noisy(kept: Sequence[int], upcoming: Iterable[Sequence[int]]) -> bool:
        answer = answers[hash(tuple(kept)) % len(answers)]
        if answer:
            failing.append(tuple(kept))
        return answer

    assert tuple(chunked_deletion(range(size), noisy)) == failing[-1]


@pytest.mark.parametrize("size", [1, 2, 3, 10, 126, 2000])
def test_shortest_prefix_takes_log2_tests_and_ends_on_the_last_needed_item(size: int) -> None:
    for needed in {0, size // 3, size - 1}:
        test = Counting({needed})
        assert list(shortest_prefix(range(size), test)) == list(range(needed + 1))
        assert test.calls <= size.bit_length()


def test_grown_window_widens_until_it_fails() -> None:
    test = Counting({48, 50, 51})

    def neighbours(item: int) -> list[int]:
        return [item - 1, item + 1]

    assert grown_window([50], neighbours, test, (0, 1, 2, 4), most=20) == [48, 49, 50, 51, 52]
    assert test.calls == 3


def test_grown_window_gives_up_when_it_is_too_wide() -> None:
    test = Counting({0, 99})
    assert grown_window([50], lambda i: [i - 1, i + 1], test, (0, 1, 2, 4), most=5) is None
    assert test.calls == 3
