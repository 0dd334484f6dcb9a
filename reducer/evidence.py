"""Facts that explain a failure, as the finding carries them: what one change, one pass, one release does to it.

A part of finding.py, which hands all of it on (architecture.md section 5, step 10).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Neighbour:
    """The reduced model with one change: `change` as one reads it ("T: float16 -> float32", "opt_level: none"),
    `outcome` fails (the same failure) | passes | differs (another failure) | unknown, `detail` what was seen."""

    axis: str
    change: str
    outcome: str
    detail: str = ""


@dataclass(frozen=True)
class Contrast:
    """The smallest passing neighbour that was saved, and the one edit that separates it from the failing model."""

    path: str
    edit: str


@dataclass(frozen=True)
class OptimizerFacts:
    """What the optimizer did. `levels` maps a level to fails | passes | differs | unknown; `modified` are the passes
    that changed the reduced graph, `culprits` those without which it does not fail; texts of the graph around.
    `alone` is a still smaller model that needs every pass but the culprits switched off, where there is one."""

    tool: str
    levels: Mapping[str, str] = field(default_factory=dict)
    modified: tuple[str, ...] = ()
    culprits: tuple[str, ...] = ()
    confirmed: bool = False
    before: str | None = None
    after: str | None = None
    alone: str | None = None


@dataclass(frozen=True)
class VersionFact:
    """What one released version of a package does with the reduced model: fails | passes | differs | unknown."""

    package: str
    version: str
    outcome: str
    detail: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class ShapeFact:
    """Declared, inferred and actual type and shape of one tensor at the first place where they part."""

    tensor: str
    node: str
    declared: str = ""
    inferred: str = ""
    actual: str = ""


@dataclass(frozen=True)
class DifferenceFacts:
    """A wrong output in numbers. `worst` are (index, expected, actual); `histogram` is (log10 of the absolute
    difference, count); `nature` is precision | logic | "" and `why` the rule that decided."""

    output: str
    dtype: str
    shape: tuple[int, ...]
    differing: int
    elements: int
    worst: tuple[tuple[tuple[int, ...], str, str], ...] = ()
    histogram: tuple[tuple[float, int], ...] = ()
    nature: str = ""
    why: str = ""
    max_ulp: float | None = None


@dataclass(frozen=True)
class GraphNode:
    """A node for a picture, of the source or of the result, with the names that it has there. `kept`: it is in the
    result; `index`: its place among the top-level nodes of the source, -1 where that is not known."""

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    kept: bool
    index: int = -1
