"""finding.json keeps the contract of docs/finding.schema.json."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import pytest

from reducer.finding import Feed, Finding, Source
from reporters.finding_json import FindingJson
from tests.conftest import ROOT
from tests.reporters.builders import LOAD, finding_of

SCHEMA = json.loads((ROOT / "docs" / "finding.schema.json").read_text())


def written(finding: Finding) -> dict[str, Any]:
    (document,) = FindingJson().render(finding)
    assert document.path == "finding.json"
    assert document.text.isascii()
    assert document.text.startswith('{\n  "schema_version": 1')
    read: dict[str, Any] = json.loads(document.text)
    jsonschema.validate(read, SCHEMA)
    return read


def test_it_is_valid_and_finite() -> None:
    feeds = (Feed("ü", "float32", (2,), [math.nan, np.float32(1.5)]),)
    finding = finding_of(replace(LOAD, feeds=feeds))
    assert finding.failure is not None
    read = written(replace(finding, failure=replace(finding.failure, max_abs_diff=math.inf)))
    assert read["failure"]["max_abs_diff"] is None
    assert read["reproduction"]["feeds"][0]["values"] == [None, 1.5]
    assert read["tool"] == {"name": "onnx-reduce", "version": "1.2.3"}


def test_a_model_that_does_not_fail_and_one_without_hash_are_valid_too() -> None:
    written(finding_of(None, failure=None, reduced=None, status="not_reproduced"))
    assert "sha256" not in written(finding_of(LOAD, source=Source("onnx", "a.onnx", 1, 2)))["source"]


def test_the_schema_is_the_contract() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"schema_version": 1}, SCHEMA)
