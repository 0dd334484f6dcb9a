"""Feeds as Python code: literals when they are short, else what reads them from inputs.npz."""

from __future__ import annotations

import math
import re
import textwrap
from typing import Any

from reducer.finding import Feed
from reporters.rendering import quoted

NOTHING = "optional(none)"
# Whole floats up to here are written without their ".0".
MOST_WHOLE = 1e6
WIDTH = 100
# What is left of 120 columns beside `"": np.array(, dtype=""),` in a test method.
LINE = 80
_NUMPY = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)|complex(64|128)|string")


def item_dtype(feed: Feed) -> str:
    """The dtype of a tensor, or of the items of a sequence."""
    return feed.dtype.removeprefix("sequence(").removesuffix(")") if feed.dtype.startswith("sequence") else feed.dtype


def is_narrow(feed: Feed) -> bool:
    """Whether numpy itself does not know the dtype: bfloat16, float8_*, int4, ..."""
    return feed.dtype not in (NOTHING, "map") and not _NUMPY.fullmatch(item_dtype(feed))


def is_saved(feed: Feed) -> bool:
    """Whether the value lies in inputs.npz."""
    return feed.values is None and feed.dtype != NOTHING and not feed.formula


def expression(feed: Feed) -> str:
    """Python code that makes the value; `saved` is the open inputs.npz."""
    if feed.dtype == NOTHING:
        return "None"
    if is_saved(feed):
        return _from_file(feed)
    if feed.values is None:
        return feed.formula
    if feed.dtype.startswith("sequence"):
        return "[" + ", ".join(_array(item, item_dtype(feed), None, WIDTH) for item in feed.values) + "]"
    return _array(feed.values, feed.dtype, feed.shape, LINE - len(feed.name) - len(feed.dtype))


def _array(values: Any, dtype: str, shape: tuple[int, ...] | None, room: int) -> str:
    kind = {"string": "object"}.get(dtype, quoted(dtype) if _NUMPY.fullmatch(dtype) else f"ml_dtypes.{dtype}")
    text = literal(shortest(values, dtype))
    if len(text) <= room or dtype == "string":
        return f"np.array({text}, dtype={kind})" + _reshaped(shape)
    # Spaces stand only between numbers here: any of them is a place to break the line. The array stands in the
    # dict of feeds, four columns in.
    lines = textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
    body = textwrap.indent("\n".join(lines), " " * 8)
    return f"np.array(\n{body},\n        dtype={kind},\n    )" + _reshaped(shape)


def _reshaped(shape: tuple[int, ...] | None) -> str:
    """Nested lists lose what follows an empty dimension."""
    return f".reshape({shape!r})" if shape is not None and 0 in shape else ""


def shortest(values: Any, dtype: str) -> Any:
    """Floats as the shortest numbers that give the same bits in `dtype`."""
    if isinstance(values, list | tuple):
        return [shortest(value, dtype) for value in values]
    if isinstance(values, float) and values.is_integer() and abs(values) < MOST_WHOLE and str(values) != "-0.0":
        return int(values)
    if dtype not in ("float16", "float32") or not isinstance(values, float) or not math.isfinite(values):
        return values
    digits = 5 if dtype == "float16" else 9  # enough for any value of that dtype (IEEE 754, section 5.12.2)
    import numpy as np

    made = np.dtype(dtype).type
    return next((short for n in range(1, digits) if made(short := float(f"{values:.{n}g}")) == made(values)), values)


def _from_file(feed: Feed) -> str:
    key = quoted(feed.name)
    if feed.dtype == "map":
        keys, values = f"saved[{quoted(feed.name + '.keys')}]", f"saved[{quoted(feed.name + '.values')}]"
        return f"dict(zip({keys}.tolist(), {values}.tolist()))"
    restore = ""
    if item_dtype(feed) == "string":
        restore = ".astype(object)"
    elif is_narrow(feed):
        restore = f".view(ml_dtypes.{item_dtype(feed)})"
    if feed.dtype.startswith("sequence"):
        keys = f'({key} + f".{{i}}" for i in range(len(saved.files)))'
        return f"[saved[key]{restore} for key in {keys} if key in saved.files]"
    return f"saved[{key}]{restore}"


def literal(value: Any) -> str:
    """A Python literal; infinities and NaN as float("...") so that the script needs no names for them."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(literal(item) for item in value) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return quoted(value) if isinstance(value, str) else repr(value)
