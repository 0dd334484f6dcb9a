"""finding.json read back: the same finding, or one clear line that says what is wrong with it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reducer.errors import UsageError
from reducer.finding import Artifact, Feed, Finding
from reducer.reading import read_finding
from reporters.finding_json import FindingJson
from tests.reporters.builders import LOAD, finding_of
from tests.reporters.rich_finding import rich


def plain(finding: Finding) -> Any:
    (document,) = FindingJson().render(finding)
    return json.loads(document.text)


@pytest.mark.parametrize("finding", [finding_of(LOAD), rich(), finding_of(None, failure=None, reduced=None)])
def test_it_comes_back_as_it_was(finding: Finding) -> None:
    assert Finding.from_json(plain(finding)) == finding


def test_numbers_that_json_cannot_hold_come_back() -> None:
    feeds = (
        Feed("x", "float32", (2, 2), [[math.inf, -math.inf], [math.nan, 1.5]]),
        Feed("s", "string", (1,), ["Infinity"]),
    )
    back = Finding.from_json(plain(finding_of(replace(LOAD, feeds=feeds, expected=feeds))))
    assert back.reproduction is not None
    for again in (back.reproduction.feeds, back.reproduction.expected):
        assert repr(again) == repr(feeds)


def test_fields_of_newer_versions_are_left_out() -> None:
    newer = plain(finding_of(LOAD)) | {"invented": 1}
    newer["source"]["invented"] = {"a": 1}
    assert Finding.from_json(newer) == finding_of(LOAD)


def changed(path: str, value: Any) -> Any:
    found = plain(rich())
    *way, last = path.split(".")
    place = found
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return found


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "a finding is an object, not a list"),
        ({}, "schema_version None"),
        (changed("schema_version", 2), "schema_version 2"),
        (changed("source.nodes", "many"), "finding.source.nodes must be a whole number, not text"),
        (changed("source.nodes", True), "must be a whole number, not true or false"),
        (changed("source.path", ...), "finding.source.path is missing"),
        (changed("failure.signature", None), "failure.signature must be an object, not null"),
        (changed("suspects", {}), "suspects must be a list"),
        (changed("suspects.0.name", 1), "finding.suspects[0].name must be text"),
        (changed("search.curve", [[1]]), "curve[0] must be a list of 2"),
        (changed("reproduction.feeds", [{"name": "x", "dtype": "float32", "shape": [1], "values": [{}]}]), "feeds"),
        (changed("artifacts.0.path", "../../etc/passwd"), "outside its folder"),
        (changed("artifacts.0.path", "/etc/passwd"), "outside its folder"),
        (changed("artifacts.0.path", "C:\\a"), "outside its folder"),
        (changed("reduced.path", "a/../../b"), "outside its folder"),
        (changed("contrast.path", "\\\\server\\x"), "outside its folder"),
        (changed("tool", None), "tool_version"),
    ],
)  # fmt: skip
def test_a_bad_finding_is_refused_in_one_line(value: Any, words: str, tmp_path: Path) -> None:
    (tmp_path / "finding.json").write_text(json.dumps(value))
    with pytest.raises(UsageError) as error:
        read_finding(tmp_path)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.hint


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_file_that_is_no_json(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "finding.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"finding\.json"):
        read_finding(tmp_path)
    with pytest.raises(UsageError, match="cannot read"):
        read_finding(tmp_path / "nowhere")


def test_a_plain_path_is_fine() -> None:
    finding = replace(finding_of(LOAD), artifacts=(Artifact("other", "a/b..c/d.txt"),))
    assert Finding.from_json(plain(finding)) == finding
