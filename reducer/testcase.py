"""A test case: a program with what it is fed, and the tolerances when they decide the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from reducer.programs.base import Program
from reducer.values import ValueRef

P = TypeVar("P", bound=Program)

# Relative and absolute tolerance per dtype where the user says nothing: about the square root of the precision
# for the narrow floats, and for float32 the 1e-3 of Jajal et al. (arXiv 2303.17708). Integers are exact.
NARROW_TOLERANCE: Mapping[str, float] = {"float16": 1e-2, "bfloat16": 5e-2}
FLOAT8_TOLERANCE = 0.25
DEFAULT_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Tolerance:
    """|a - b| <= atol + rtol * |b|. None means the default of the dtype."""

    rtol: float | None = None
    atol: float | None = None

    def of(self, dtype: str) -> tuple[float, float]:
        """(rtol, atol) for a dtype name."""
        base = FLOAT8_TOLERANCE if dtype.startswith("float8") else NARROW_TOLERANCE.get(dtype, DEFAULT_TOLERANCE)
        return (base if self.rtol is None else self.rtol, base if self.atol is None else self.atol)


@dataclass(frozen=True)
class TestCase(Generic[P]):
    """A program and its feeds by input name."""

    __test__ = False  # pytest: this is no test class

    program: P
    feeds: Mapping[str, ValueRef] = field(default_factory=dict)
