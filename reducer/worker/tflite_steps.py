"""Quantized outputs: the same real number may be rounded to one integer or the next (child side).

TFLite computes quantized operators with integers, the converted model with floats and a rounding at the end. So values
are compared as the real numbers that they stand for, and what lies within one step of the quantization agrees. That is
how far TFLite's own tests let kernels differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# Real numbers were made from integers: the quotient is not exact.
NEARLY = 1e-3


def within_a_step(
    made: Mapping[str, Any], right: Mapping[str, Any], steps: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    """`made` where what lies within a step of `right` is as in `right`. `steps` by output: tflite_model.steps_of."""
    return {name: _near(value, right.get(name), steps.get(name)) for name, value in made.items()}


def _near(made: Any, right: Any, step: Sequence[float] | None) -> Any:
    if step is None or right is None:
        return made
    a, b = np.asarray(made), np.asarray(right)
    if a.shape != b.shape or a.dtype != b.dtype:
        return made
    size = 1.0 if len(step) > 1 else step[0]  # integers count steps
    apart = np.abs(a.astype(np.float64) - b.astype(np.float64))
    return np.where(apart <= size * (1 + NEARLY), b, a).astype(a.dtype)


def as_real(
    made: Mapping[str, Any], right: Mapping[str, Any], steps: Mapping[str, Sequence[float]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both sides with quantized integers as the numbers that they stand for, within a step of each other as equal."""
    near = within_a_step(made, right, steps)
    whole = {n for n, step in steps.items() if len(step) > 1 and n in near and n in right}
    whole = {n for n in whole if np.asarray(near[n]).dtype == np.asarray(right[n]).dtype}  # else it is a wrong type
    return tuple({n: _real(v, steps[n]) if n in whole else v for n, v in side.items()} for side in (near, right))  # type: ignore[return-value]


def _real(value: Any, step: Sequence[float]) -> Any:
    return (np.asarray(value).astype(np.float32) - np.float32(step[1])) * np.float32(step[0])
