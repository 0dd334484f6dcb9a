"""A repro script counts only where it says what it saw."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from reducer.delivery import TIMES, Place, _showing


@pytest.mark.parametrize(
    ("script", "shown"),
    [
        ("print('the bug is there')\nraise SystemExit(1)", TIMES),
        ("print('x' * 200_000)\nprint('the bug is there')\nraise SystemExit(1)", TIMES),
        ("this is no Python", 0),
        ("raise ValueError('the bug is there')", 0),
        ("print('the bug is there')", 0),
        ("print('the bug is there')\nraise SystemExit(125)", 0),
    ],
)
def test_a_script_shows_the_failure_when_it_says_so_and_ends_with_one(script: str, shown: int, tmp_path: Path) -> None:
    path = tmp_path / "repro.py"
    path.write_text(script)
    assert _showing(path, 20.0, Place(tmp_path, sys.executable), lambda: None) == shown
