"""Everything known at the end of a run: all that reporters ever see (architecture.md section 5, step 10).

`Finding.to_json()` is what stands in finding.json; its meaning is fixed by `docs/finding.schema.json`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reducer.evidence import Contrast as Contrast
from reducer.evidence import DifferenceFacts as DifferenceFacts
from reducer.evidence import GraphNode as GraphNode
from reducer.evidence import Neighbour as Neighbour
from reducer.evidence import OptimizerFacts as OptimizerFacts
from reducer.evidence import ShapeFact as ShapeFact
from reducer.evidence import VersionFact as VersionFact

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
    """The saved model. `reproduced` is "n/m": fresh processes with the same signature, of those tried.
    `canonical_sha256` is equal for equal bugs; `original_values` are tensors that still hold numbers of the source,
    with the reason ("the failure needs them", "kept on request"). `graph` are its nodes, for a picture."""

    path: str
    nodes: int
    bytes: int
    op_types: Mapping[str, int]
    one_minimal: bool
    reproduced: str
    text: str | None = None
    canonical_sha256: str | None = None
    original_values: Mapping[str, str] = field(default_factory=dict)
    graph: tuple[GraphNode, ...] = ()


@dataclass(frozen=True)
class Suspect:
    """A named cause with one sentence of evidence that a maintainer can check; `node` is a source node name, `line` the
    line of the user's own file that calls it. Neither is shown to others."""

    kind: str
    name: str
    evidence: str
    node: str | None = None
    project: str | None = None
    line: str = ""


@dataclass(frozen=True)
class SearchFacts:
    """How the reduction went. `oracle_calls` are candidates really run; seconds are wall clock; `curve` is (call,
    nodes of the best so far) at every improvement."""

    oracle_calls: int
    seconds: float
    seconds_in_oracle: float
    complete: bool
    cache_hits: int = 0
    workers: int = 1
    passes: tuple[Mapping[str, Any], ...] = ()
    also_found: tuple[Mapping[str, Any], ...] = ()
    curve: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Artifact:
    """One written file, relative to finding.json. `verified` is "n/m" for scripts."""

    kind: str
    path: str
    verified: str | None = None


@dataclass(frozen=True)
class Feed:
    """One input of the reduced model. `values` is nested lists when short, else None (see inputs.npz). `span` says
    what the numbers are ("0 to 1.5", "finite, -3 to 2.5", "holds NaN"); `formula` is Python code with numpy as np that
    makes a longer one."""

    name: str
    dtype: str
    shape: tuple[int, ...] | None
    values: Any = None
    span: str = ""
    formula: str = ""


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
    that every occurrence holds. `model_text` parses with onnx.parser into the reduced model when not None; else
    `model_code` defines `make_model()`. The forms torch-* hold a class Reduced as `model_code` and the code of its
    inputs, by name, in `inputs_code`; or `made` makes the model, which gives a tuple, or one tensor (`single`).
    `expected` are right outputs, where a witness gives them.
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
    inputs_code: tuple[tuple[str, str], ...] = ()
    made: str = ""
    single: bool = False
    feeds: tuple[Feed, ...] = ()
    expected: tuple[Feed, ...] = ()
    command: tuple[str, ...] = ()
    fail_codes: tuple[int, ...] = ()
    ignore_fail_codes: tuple[int, ...] = ()
    fail_regex: str = ""
    expected_text: str = ""
    actual_text: str = ""


@dataclass(frozen=True)
class Finding:
    """What one run of onnx-reduce knows about one failure.

    `window` is the sentence that the versions prove ("fails since 1.24.1, last good 1.23.2"); `tracker` is where to
    file by the routing rules (owner/name), `tracker_why` the rule that decided; `flaky` is "k/n" where the failure
    comes and goes.
    """

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
    neighbours: tuple[Neighbour, ...] = ()
    contrast: Contrast | None = None
    optimizers: tuple[OptimizerFacts, ...] = ()
    versions: tuple[VersionFact, ...] = ()
    window: str | None = None
    shapes: tuple[ShapeFact, ...] = ()
    difference: DifferenceFacts | None = None
    neighbourhood: tuple[GraphNode, ...] = ()
    tracker: str | None = None
    flaky: str | None = None
    tracker_why: str | None = None
    # Names of the source with what the result calls them ("": gone); reports to share hide them.
    names: Mapping[str, str] = field(default_factory=dict, repr=False)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict in the order of the schema."""
        plain = dataclasses.asdict(self)
        tool = {"name": "onnx-reduce", "version": plain.pop("tool_version")}
        return {"schema_version": SCHEMA_VERSION, "tool": tool, **plain}

    @staticmethod
    def from_json(plain: Any) -> Finding:
        """The inverse of `to_json`; UsageError says what does not fit."""
        from reducer import reading

        return reading.finding_from(plain)
