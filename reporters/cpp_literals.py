"""Values, shapes and attributes as C++ code with the types of ONNX Runtime; None where there is no plain literal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from reporters.literals import shortest

TYPES = {
    "float32": "float", "float64": "double", "float16": "MLFloat16", "bool": "bool", "string": "std::string",
    **{f"{sign}int{bits}": f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip
MOST = 64  # more elements than this are no literal that one reads
_LARGEST = 2**63 - 1


def flat(values: Any) -> list[Any]:
    """Nested lists in the order of memory; a scalar is one element."""
    if isinstance(values, list | tuple):
        return [item for part in values for item in flat(part)]
    return [values]


def elements(values: Any, dtype: str) -> str | None:
    """What stands between the braces of an initializer list."""
    items = flat(values)
    if dtype not in TYPES or len(items) > MOST:
        return None
    written = [_element(item, dtype) for item in items]
    return None if None in written else ", ".join(map(str, written))


def shape(dims: Sequence[int]) -> str:
    """The dimensions in braces."""
    return "{" + ", ".join(map(str, dims)) + "}"


def text(value: str) -> str | None:
    """A string literal of printable ASCII."""
    if not value.isascii() or not (value.isprintable() or value == ""):
        return None
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def attribute(value: Any) -> str | None:
    """The second argument of AddAttribute for what onnx.helper.get_attribute_value gives."""
    if isinstance(value, bytes):
        return text(value.decode("utf-8", "replace"))
    if isinstance(value, int):
        return f"static_cast<int64_t>({_integer(value)})"
    if isinstance(value, float):
        return _element(value, "float32")
    if not isinstance(value, Sequence) or not value:
        return None
    kind = next((k for k in (int, float, bytes) if all(isinstance(item, k) for item in value)), None)
    if kind is None:
        return None
    name, dtype = {int: ("int64_t", "int64"), float: ("float", "float32"), bytes: ("std::string", "string")}[kind]
    inside = elements([item.decode("utf-8", "replace") if kind is bytes else item for item in value], dtype)
    return None if inside is None else f"std::vector<{name}>{{{inside}}}"


def _element(value: Any, dtype: str) -> str | None:
    if dtype == "string":
        return text(str(value))
    if dtype == "bool":
        return "true" if value else "false"
    if "int" in dtype:
        return _integer(int(value))
    written = _floating(float(value), dtype)
    return f"MLFloat16({written})" if dtype == "float16" else written


def _integer(value: int) -> str:
    if value < -_LARGEST:  # C++ has no negative literals: this one's digits would not fit
        return "std::numeric_limits<int64_t>::min()"
    return f"{value}ULL" if value > _LARGEST else str(value)


def _floating(value: float, dtype: str) -> str:
    kind, suffix = ("double", "") if dtype == "float64" else ("float", "f")
    if not math.isfinite(value):
        name = "quiet_NaN" if math.isnan(value) else "infinity"
        return ("-" if value == -math.inf else "") + f"std::numeric_limits<{kind}>::{name}()"
    digits = repr(float(shortest(value, dtype)))
    return digits + suffix
