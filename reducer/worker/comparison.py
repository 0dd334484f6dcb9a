"""Comparing the outputs of witnesses: value, NaN, inf, shape, dtype, strings, number of outputs (child side)."""

from __future__ import annotations

from typing import Any, Callable, Tuple

import numpy as np

from reducer.values import is_float
from reducer.worker.protocol import EXPECTED

# The excess of a difference that no tolerance could cover.
HOPELESS = 1e30
_AGREES: dict[str, Any] = {"kind": "", "excess": 0.0, "abs": None, "rel": None, "seen": 0.0}

Tolerances = Callable[[str], Tuple[float, float]]


def compare_all(
    outputs: list[dict[str, Any] | None], expected: dict[str, Any] | None, settings: dict[str, Any]
) -> list[dict[str, Any]]:
    """One entry per pair of witnesses that ran: {a, b, worst}; `worst` is None when all outputs agree.

    Witness -1 is `expected`, compared on the names that it has. settings: {"tolerances": {dtype: [rtol, atol]},
    "default": [rtol, atol], "skip": [output names]}.
    """
    table, default, skip = settings["tolerances"], settings["default"], set(settings.get("skip", ()))

    def tolerance(dtype: str) -> tuple[float, float]:
        rtol, atol = table.get(dtype, default)
        return rtol, atol

    ran = [(index, made) for index, made in enumerate(outputs) if made is not None]
    pairs = []
    for position, (a, left) in enumerate(ran):
        for b, right in ran[position + 1 :]:
            names = [name for name in left if name not in skip]
            pairs.append({"a": a, "b": b, **worst_difference(left, right, names, tolerance)})
        if expected is not None:
            names = [name for name in expected if name in left]
            pairs.append({"a": a, "b": EXPECTED, **worst_difference(left, expected, names, tolerance)})
    return pairs


def worst_difference(
    left: dict[str, Any], right: dict[str, Any], names: list[str], tolerance: Tolerances
) -> dict[str, Any]:
    """{worst, seen}: the gravest difference over the outputs `names` or None, and the largest one seen at all.

    `excess` is in units of the tolerance.
    """
    worst: dict[str, Any] | None = None
    seen = 0.0
    for name in names:
        if name not in right:
            return {"worst": {**_AGREES, "kind": "count", "output": name, "excess": HOPELESS}, "seen": seen}
        found = {**difference(left[name], right[name], tolerance), "output": name}
        seen = max(seen, found["seen"])
        if found["kind"] and (worst is None or found["excess"] > worst["excess"]):
            worst = found
    return {"worst": worst, "seen": seen}


def differing_kinds(left: dict[str, Any], right: dict[str, Any], compare: dict[str, Any]) -> dict[str, str]:
    """{name: kind of the difference} of all names of `right` that differ; `compare` has tolerances and a default."""
    table, default = compare["tolerances"], compare["default"]
    kinds = {
        name: difference(left[name], value, lambda dtype: tuple(table.get(dtype, default)))["kind"]
        for name, value in right.items()
    }
    return {name: kind for name, kind in kinds.items() if kind}


def difference(left: Any, right: Any, tolerance: Tolerances) -> dict[str, Any]:
    """How two values differ: kind "" when they agree; `seen` is the largest absolute difference in any case."""
    if left is None or right is None:
        return _AGREES if left is right else {**_AGREES, "kind": "value", "excess": HOPELESS}
    if isinstance(left, (list, dict)) or isinstance(right, (list, dict)):
        return _of_containers(left, right, tolerance)
    a, b = np.asarray(left), np.asarray(right)
    if a.shape != b.shape:
        return {
            **_AGREES,
            "kind": "shape",
            "excess": HOPELESS,
            "detail": f"{list(a.shape)} against {list(b.shape)}",
        }
    if a.dtype.kind in "OUS" or b.dtype.kind in "OUS":
        same = [str(x) for x in a.ravel()] == [str(x) for x in b.ravel()]
        return _AGREES if same else {**_AGREES, "kind": "strings", "excess": HOPELESS}
    if a.dtype != b.dtype:
        return {
            **_AGREES,
            "kind": "dtype",
            "excess": HOPELESS,
            "detail": f"{a.dtype.name} against {b.dtype.name}",
        }
    return _of_numbers(a, b, tolerance)


def _of_containers(left: Any, right: Any, tolerance: Tolerances) -> dict[str, Any]:
    if type(left) is not type(right) or len(left) != len(right):
        return {**_AGREES, "kind": "count", "excess": HOPELESS}
    if isinstance(left, dict):
        if list(left) != list(right):
            return {**_AGREES, "kind": "value", "excess": HOPELESS}
        left, right = list(left.values()), list(right.values())
    found = [difference(a, b, tolerance) for a, b in zip(left, right)]
    return max(found, key=lambda item: float(item["excess"]), default=_AGREES)


def _of_numbers(a: Any, b: Any, tolerance: Tolerances) -> dict[str, Any]:
    if not is_float(a.dtype) and a.dtype.kind != "c":
        unequal = a != b
        if not unequal.any():
            return _AGREES
        gap = float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max())
        return {**_AGREES, "kind": "value", "excess": HOPELESS, "abs": gap, "seen": gap}
    rtol, atol = tolerance(a.dtype.name)
    wide = np.complex128 if a.dtype.kind == "c" else np.float64
    x, y = a.astype(wide), b.astype(wide)
    for kind, test in (("nan", np.isnan), ("inf", np.isinf)):
        if not np.array_equal(test(x), test(y)):
            return {**_AGREES, "kind": kind, "excess": HOPELESS}
    finite = np.isfinite(x)
    if not np.array_equal(x[~finite & ~np.isnan(x)], y[~finite & ~np.isnan(y)]):
        return {**_AGREES, "kind": "inf", "excess": HOPELESS}
    x, y = x[finite], y[finite]
    if not x.size:
        return _AGREES
    gap = np.abs(x - y)
    excess = float((gap / (atol + rtol * np.abs(y) + np.finfo(np.float64).tiny)).max())
    with np.errstate(all="ignore"):
        relative = float((gap / np.maximum(np.abs(y), np.finfo(np.float64).tiny)).max())
    kind = "value" if excess > 1.0 else ""
    return {
        "kind": kind,
        "excess": excess,
        "abs": float(gap.max()),
        "rel": relative,
        "seen": float(gap.max()),
    }


def new_nans(feeds: dict[str, Any], outputs: dict[str, Any]) -> list[str]:
    """Outputs with a NaN that cannot come from the feeds: those are all finite."""
    if not all(_finite(value) for value in feeds.values()):
        return []
    return [name for name, value in outputs.items() if _has_nan(value)]


def _finite(value: Any) -> bool:
    array = np.asarray(value) if not isinstance(value, (list, dict)) and value is not None else None
    return array is None or not is_float(array.dtype) or bool(np.isfinite(array.astype(np.float64)).all())


def _has_nan(value: Any) -> bool:
    array = np.asarray(value) if not isinstance(value, (list, dict)) and value is not None else None
    return array is not None and is_float(array.dtype) and bool(np.isnan(array.astype(np.float64)).any())
