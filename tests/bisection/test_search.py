"""The window of failing releases: right on every shape of history, and cheap."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reducer.bisection.search import End, Search, Verdict, Window, sentence

LETTERS = {"F": Verdict.FAILS, "p": Verdict.PASSES, "u": Verdict.UNKNOWN, "r": Verdict.REJECTS, "d": Verdict.DIFFERS}


def search(history: str, bad: int | None = None, good: int | None = None, most: int = 99) -> tuple[Window, list[int]]:
    """`history` has one letter per release, old to new; gives the window and the releases asked, in order."""
    asked: list[int] = []

    def ask(version: str) -> Verdict:
        asked.append(int(version))
        return LETTERS[history[int(version)]]

    versions = [str(i) for i in range(len(history))]
    found = Search(versions, ask, most)
    window = found.window(None if bad is None else str(bad), None if good is None else str(good))
    assert len(asked) == len(set(asked))
    return window, asked


def told(history: str, **options: int) -> str:
    window, asked = search(history, **options)
    return sentence("x", window, len(asked)).replace(" x ", " ")


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ("pppFFFF", "fails since 3, last good 2, still fails in 6"),
        ("FFFFppp", "fails in 0 already, fixed in 4 (last bad 3)"),
        ("FFFFFFF", "fails in 0 already, still fails in 6"),
        ("ppFFppp", "fails since 2, last good 1, fixed in 4 (last bad 3)"),
        ("ppppppp", "fails in none of 7 releases of tried"),
        ("uuuuFFF", "fails in 4 already (older ones cannot tell), still fails in 6"),
        ("uuppFFF", "fails since 4, last good 3, still fails in 6"),
        ("ppuuFFF", "fails since 4, last good 1 (2 to 3 cannot tell), still fails in 6"),
        ("ppFuFFF", "fails since 2, last good 1, still fails in 6"),
        ("FFuuppp", "fails in 0 already, fixed in 4 (last bad 1, 2 to 3 cannot tell)"),
        ("FFFuuuu", "fails in 0 already, last seen in 2 (newer ones cannot tell)"),
        # A clean error in place of a crash: the cure in a newer release, in an older one perhaps a missing feature.
        ("rrrFFrr", "fails in 3 already (older ones cannot tell), fixed in 5 (last bad 4)"),
        ("pddFFpp", "fails since 3, last good 0 (1 to 2 cannot tell), fixed in 5 (last bad 4)"),
        ("F", "fails in 0 already, still fails in 0"),
        ("", "fails in none of 0 releases of tried"),
    ],
)
def test_histories(history: str, expected: str) -> None:
    assert told(history) == expected


def test_good_and_bad_bound_the_search() -> None:
    history = "FFpppFFFpp"
    assert told(history, bad=6, good=3) == "fails since 5, last good 4, still fails in 6"
    window, asked = search(history, bad=6, good=9)
    assert window.newer == End("7", "8")
    assert min(asked) == 6
    assert search("pFF", bad=0)[0] == Window()


def test_thirty_six_releases_take_a_dozen_calls() -> None:
    for first in range(1, 35):
        for last in range(first, 35):
            history = "p" * first + "F" * (last - first + 1) + "p" * (35 - last)
            window, asked = search(history, bad=first)
            assert window.older == End(str(first), str(first - 1))
            assert window.newer == End(str(last), str(last + 1))
            assert len(asked) <= 3 + 2 * math.ceil(math.log2(36))


def test_a_budget_is_kept_and_what_was_not_asked_cannot_tell() -> None:
    asked: list[str] = []

    def ask(version: str) -> Verdict:
        asked.append(version)
        return Verdict.FAILS if int(version) >= 50 else Verdict.PASSES

    found = Search([str(i) for i in range(100)], ask, most=4)
    window = found.window("99")
    assert asked == ["99", "0", "49", "74"]
    assert found.exhausted
    assert window.older is not None
    assert (window.older.fails, window.older.passes, len(window.older.between)) == ("74", "49", 24)


@given(st.text("Fpurd", min_size=1, max_size=30))
def test_what_is_claimed_was_seen(history: str) -> None:
    window, asked = search(history)
    if window.older is None or window.newer is None:
        assert "F" not in history
        return
    for end, step in ((window.older, -1), (window.newer, 1)):
        assert history[int(end.fails)] == "F"
        assert int(end.fails) in asked
        if end.open:
            assert int(end.fails) == (0 if step < 0 else len(history) - 1)
        if end.passes is not None:
            assert history[int(end.passes)] in ("p" if step < 0 else "pr")
            assert int(end.passes) in asked
            assert (int(end.passes) - int(end.fails)) * step == len(end.between) + 1
            assert not end.open


@given(st.integers(0, 9), st.integers(0, 20), st.integers(1, 20), st.integers(0, 20))
def test_one_window_behind_unreadable_releases_is_found_exactly(old: int, before: int, bad: int, after: int) -> None:
    history = "u" * old + "p" * before + "F" * bad + "p" * after
    window, _ = search(history, bad=old + before)
    first, last = old + before, old + before + bad - 1
    assert window.older is not None
    assert window.newer is not None
    assert window.older.fails == str(first)
    assert window.older.passes == (str(first - 1) if before else None)
    assert window.newer.fails == str(last)
    assert window.newer.passes == (str(last + 1) if after else None)
