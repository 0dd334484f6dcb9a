"""Styles of test_regression.py that need values of their own: one file each, `values(facts)` or None where no honest
test can be said. A template of the same name lies under templates/regression/."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reporters.regression_styles import onnxscript, tf2onnx, torch
from reporters.trackers.base import Facts

STYLES: Mapping[str, Callable[[Facts], dict[str, Any] | None]] = {
    "onnxscript": onnxscript.values,
    "tf2onnx": tf2onnx.values,
    "torch": torch.values,
}
