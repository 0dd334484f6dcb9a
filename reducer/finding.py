"""Everything known at the end of a run: all that reporters ever see (architecture.md section 5, step 10).

`Finding.to_json()` is what stands in finding.json; its meaning is fixed by `docs/finding.schema.json`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Source:
    """What the user named. `nodes` counts subgraph bodies and called functions; `bytes` includes weights;
    `inputs` says whether the feeds were given or generated."""

    kind: str
    path: str
    nodes: int
    bytes: int
    sha256: str | None = None
    producer: str | None = None
    inputs: str = "generated"
    opsets: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class SignatureFacts:
    """The identity of a failure as a stable hash, its kind, and the normalised message."""

    id: str
    kind: str
    detail: str


@dataclass(frozen=True)
class Failure:
    """The failure that was reduced: where on the ladder, what one sees, and the raw first message."""

    stage: str
    symptom: str
    signature: SignatureFacts
    message: str
    backend: str = ""
    output: str | None = None
    max_abs_diff: float | None = None
    max_rel_diff: float | None = None
    witnesses: str | None = None
    tolerance: str | None = None


@dataclass(frozen=True)
class Rung:
    """What one rung of the stage ladder said of the source test case. `backend` is name and version."""

    stage: str
    backend: str
    outcome: str
    message: str | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Reduced:
    """The saved model. `reproduced` is "n/m": fresh processes with the same signature, of those tried."""

    path: str
    nodes: int
    bytes: int
    op_types: Mapping[str, int]
    one_minimal: bool
    reproduced: str
    text: str | None = None


@dataclass(frozen=True)
class Suspect:
    """A named cause with one sentence of evidence that a maintainer can check; `node` is a source node name."""

    kind: str
    name: str
    evidence: str
    node: str | None = None
    project: str | None = None


@dataclass(frozen=True)
class SearchFacts:
    """How the reduction went. `oracle_calls` are candidates really run; seconds are wall clock."""

    oracle_calls: int
    seconds: float
    seconds_in_oracle: float
    complete: bool
    cache_hits: int = 0
    workers: int = 1
    passes: tuple[Mapping[str, Any], ...] = ()
    also_found: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Artifact:
    """One written file, relative to finding.json. `verified` is "n/m" for scripts."""

    kind: str
    path: str
    verified: str | None = None


@dataclass(frozen=True)
class Feed:
    """One input of the reduced model. `values` is nested lists when short, else None (see inputs.npz)."""

    name: str
    dtype: str
    shape: tuple[int, ...] | None
    values: Any = None


@dataclass(frozen=True)
class Probe:
    """One backend run, as a repro script must repeat it."""

    backend: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reproduction:
    """All a repro script needs, independent of this project.

    `form` is exception | death | hang | mismatch | nan | command. `probes[0]` fails, or differs from
    `probes[1]` (or from expected.npz when there is no second). `fragments` are literal pieces of the message
    that every occurrence holds. `model_text` parses with onnx.parser into the reduced model when not None.
    """

    form: str
    stage: str
    probes: tuple[Probe, ...]
    error_class: str = ""
    fragments: tuple[str, ...] = ()
    signal: str = ""
    timeout_seconds: float = 60.0
    rtol: float = 1e-3
    atol: float = 1e-3
    mismatch: str = ""
    model_text: str | None = None
    model_code: str | None = None
    feeds: tuple[Feed, ...] = ()
    command: tuple[str, ...] = ()
    fail_codes: tuple[int, ...] = ()
    ignore_fail_codes: tuple[int, ...] = ()
    fail_regex: str = ""
    expected_text: str = ""
    actual_text: str = ""


@dataclass(frozen=True)
class Finding:
    """What one run of onnx-reduce knows about one failure."""

    tool_version: str
    status: str
    source: Source
    failure: Failure | None
    reduced: Reduced | None
    search: SearchFacts
    environment: Mapping[str, Any]
    ladder: tuple[Rung, ...] = ()
    suspects: tuple[Suspect, ...] = ()
    taxonomy: Mapping[str, str] | None = None
    reproduction: Reproduction | None = None
    artifacts: tuple[Artifact, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict in the order of the schema."""
        plain = dataclasses.asdict(self)
        version = plain.pop("tool_version")
        return {
            "schema_version": SCHEMA_VERSION,
            "tool": {"name": "onnx-reduce", "version": version},
            **plain,
        }
