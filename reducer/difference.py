"""A wrong output in numbers, on both sides of the worker: how much differs, where, and whether rounding explains it.

Rounding is small against the scale of the output, and goes away in float64; what is large, or stays in float64, is
logic. (CRADLE's growth of deviations and NNSmith's third witness in higher precision, see engine.md section 3.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reducer.evidence import DifferenceFacts
from reducer.values import Value, is_float

WORST = 5
# Numbers of an output that a text shows.
EXCERPT = 8
# Rounding of a sum of n terms grows with n; 1024 steps of the type cover what kernels really sum.
ROUNDINGS, MOST_OF_SCALE = 1024.0, 0.05


def excerpt(value: Value) -> str:
    """Type, shape and the first numbers of an output, for people."""
    array = np.asarray(value)
    return f"{array.dtype.name} {list(array.shape)} {np.array2string(array.ravel()[:EXCERPT], threshold=EXCERPT)}"


def from_wire(row: Mapping[str, Any]) -> DifferenceFacts:
    """The facts of a row that `dataclasses.asdict` and JSON made of them."""
    worst = tuple((tuple(at), right, wrong) for at, right, wrong in row["worst"])
    histogram = tuple((power, count) for power, count in row["histogram"])
    return DifferenceFacts(**{**row, "shape": tuple(row["shape"]), "worst": worst, "histogram": histogram})


def measured(name: str, expected: Value, actual: Value, wide: bool | None = None) -> DifferenceFacts:
    """The facts of one output. `wide`: whether the two sides differ in float64 as well; None when unknown."""
    if isinstance(expected, list | dict) or isinstance(actual, list | dict) or expected is None or actual is None:
        return DifferenceFacts(name, "", (), 0, 0, nature="logic", why="another structure, not other numbers")
    right, wrong = np.asarray(expected), np.asarray(actual)
    facts = DifferenceFacts(name, wrong.dtype.name, wrong.shape, wrong.size, wrong.size)
    if right.shape != wrong.shape:
        return _logic(facts, f"the shape is {list(wrong.shape)} instead of {list(right.shape)}")
    if right.dtype != wrong.dtype or right.dtype.kind in "OUSc":
        return _logic(facts, f"the type is {wrong.dtype.name}, expected {right.dtype.name}: no matter of rounding")
    numbers = _Numbers(right.astype(np.float64), wrong.astype(np.float64), wrong)
    nature, why = numbers.nature(wide)
    return replace(
        facts,
        differing=numbers.count,
        worst=numbers.worst(),
        histogram=numbers.histogram(),
        nature=nature,
        why=why,
        max_ulp=numbers.steps,
    )


def _logic(facts: DifferenceFacts, why: str) -> DifferenceFacts:
    return replace(facts, nature="logic", why=why)


@dataclass(frozen=True)
class _Numbers:
    """Two arrays of float64 of one shape, and the one under test in its own type."""

    right: np.ndarray[Any, Any]
    wrong: np.ndarray[Any, Any]
    own: np.ndarray[Any, Any]

    @property
    def gap(self) -> np.ndarray[Any, Any]:
        """Absolute differences; infinite where only one side is finite."""
        with np.errstate(all="ignore"):
            gap = np.abs(self.right - self.wrong)
        same = (self.right == self.wrong) | (np.isnan(self.right) & np.isnan(self.wrong))
        return np.where(same, 0.0, np.where(np.isfinite(gap), gap, np.inf))

    @property
    def count(self) -> int:
        """How many elements differ at all."""
        return int((self.gap > 0).sum())

    @property
    def steps(self) -> float | None:
        """The largest difference in units in the last place of the type; None for integers and non-finite ones."""
        gap = self.gap
        if not is_float(self.own.dtype) or not gap.size or not np.isfinite(gap).all():
            return None
        size = np.maximum(np.abs(self.right), np.abs(self.wrong))
        eps, least = _limits(self.own.dtype)
        unit = np.maximum(eps * np.exp2(np.floor(np.log2(np.maximum(size, least)))), least * eps)
        return float((gap / unit).max())

    def worst(self) -> tuple[tuple[tuple[int, ...], str, str], ...]:
        """(index, expected, actual) of the largest differences."""
        gap = self.gap.ravel()
        order = [i for i in np.argsort(-gap, kind="stable")[:WORST] if gap[i] > 0]
        right, wrong, shape = self.right.ravel(), self.wrong.ravel(), self.right.shape
        places = [tuple(int(d) for d in np.unravel_index(i, shape)) for i in order]
        return tuple((at, f"{right[i]:.9g}", f"{wrong[i]:.9g}") for at, i in zip(places, order, strict=True))

    def histogram(self) -> tuple[tuple[float, int], ...]:
        """(log10 of the absolute difference, count), one entry a decade."""
        gap = self.gap
        decades = np.floor(np.log10(gap[(gap > 0) & np.isfinite(gap)]))
        values, counts = np.unique(decades, return_counts=True)
        return tuple((float(v), int(c)) for v, c in zip(values, counts, strict=True))

    def nature(self, wide: bool | None) -> tuple[str, str]:
        """(precision | logic, the rule that decided)."""
        gap = self.gap
        if not np.isfinite(gap).all():
            return "logic", "one side is NaN or infinite where the other is a number"
        if not is_float(self.own.dtype):
            eight = self.own.dtype.name in ("int8", "uint8")
            if eight and gap.max(initial=0.0) <= 1:
                return "precision", "8-bit integers that differ by one: a rounding of quantized values"
            return "logic", f"integers that differ by up to {gap.max(initial=0.0):g}"
        scale = float(np.abs(self.right).max(initial=0.0))
        share = float(gap.max(initial=0.0)) / scale if scale else np.inf
        allowed = min(ROUNDINGS * _limits(self.own.dtype)[0], MOST_OF_SCALE)
        told = f"the largest difference is {share:.2g} of the largest value"
        told += f", rounding in {self.own.dtype.name} explains {allowed:.2g}"
        if share > allowed:
            return "logic", told + ("; in float64 the two sides differ as well" if wide else "")
        if wide:
            return "logic", "small, but the two sides differ in float64 as well: no matter of precision"
        return "precision", told + ("; in float64 the two sides agree" if wide is False else "")


def _limits(dtype: np.dtype[Any]) -> tuple[float, float]:
    """(step at 1.0, smallest normal number) of a float type."""
    if dtype.isbuiltin == 2:
        import ml_dtypes

        found: Any = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
        return float(found.eps), float(found.smallest_normal)
    limits = np.finfo(dtype)
    return float(limits.eps), float(limits.smallest_normal)
