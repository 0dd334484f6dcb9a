"""finding.json back into a Finding, for commands that work on a finished output folder.

A finding is untrusted input: it is checked field by field against the dataclasses of finding.py, nothing of it is
executed, and paths in it may only point below its own folder. Fields that are not known are left out, because newer
versions add some (docs/finding.schema.json).
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from reducer.errors import UsageError
from reducer.finding import SCHEMA_VERSION, Feed, Finding

NAME = "finding.json"
MOST_BYTES = 64 << 20
AGAIN = "give the folder that onnx-reduce wrote; run it again if the file was changed"
# How JSON, which has no such numbers, tells values of a feed apart; NaN is null.
INFINITIES = {"Infinity": math.inf, "-Infinity": -math.inf}


def read_finding(folder: Path) -> Finding:
    """The finding of an output folder. UsageError says what is wrong with it."""
    path = folder / NAME
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f"{path} is larger than any finding ({MOST_BYTES >> 20} MB)", AGAIN)
        plain = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "give the folder that onnx-reduce wrote") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON: {str(error)[:200]}", AGAIN) from error
    return finding_from(plain)


def finding_from(plain: Any) -> Finding:
    """A Finding from what `json.loads` gave. UsageError names the field that does not fit."""
    if not isinstance(plain, dict):
        raise UsageError(f"a finding is an object, not {_kind(plain)}", AGAIN)
    if plain.get("schema_version") != SCHEMA_VERSION:
        version = plain.get("schema_version")
        raise UsageError(f"finding.json has schema_version {version!r}; this version reads {SCHEMA_VERSION}", AGAIN)
    tool = plain.get("tool")
    found: Finding = _value(
        Finding, {**plain, "tool_version": tool.get("version") if isinstance(tool, dict) else None}, "finding"
    )
    for artifact in found.artifacts:
        _check_path(artifact.path, "artifacts")
    if found.reduced is not None:
        _check_path(found.reduced.path, "reduced")
    if found.contrast is not None:
        _check_path(found.contrast.path, "contrast")
    return found


def _check_path(path: str, where: str) -> None:
    posix, windows = PurePosixPath(path), PureWindowsPath(path)
    if not path or posix.is_absolute() or windows.drive or windows.root or ".." in (*posix.parts, *windows.parts):
        raise UsageError(f"finding.json: {where} names a file outside its folder: {path!r}", AGAIN)


def _value(kind: Any, value: Any, where: str) -> Any:
    """`value` as an instance of the annotation `kind`."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _value(next(a for a in arguments if a is not type(None)), value, where)
    if dataclasses.is_dataclass(kind):
        return _record(kind, value, where)
    if origin is tuple:
        return _tuple(arguments, value, where)
    if origin is Mapping:
        if not isinstance(value, dict):
            raise _misfit(where, "an object", value)
        return {key: _value(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    return _scalar(kind, value, where)


def _record(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _misfit(where, "an object", value)
    hints, given = typing.get_type_hints(kind), {}
    for field in dataclasses.fields(kind):
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if field.name in value:
            given[field.name] = _value(hints[field.name], value[field.name], f"{where}.{field.name}")
        elif needed:
            raise UsageError(f"finding.json: {where}.{field.name} is missing", AGAIN)
    made = kind(**given)
    return _filled(made, where) if isinstance(made, Feed) else made


def _tuple(arguments: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _misfit(where, "a list", value)
    if arguments[-1] is Ellipsis:
        return tuple(_value(arguments[0], item, f"{where}[{number}]") for number, item in enumerate(value))
    if len(value) != len(arguments):
        raise _misfit(where, f"a list of {len(arguments)}", value)
    return tuple(_value(kind, item, where) for kind, item in zip(arguments, value, strict=True))


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
        raise _misfit(where, names.get(kind, str(kind)), value)
    return value


def _filled(feed: Feed, where: str) -> Feed:
    """A feed whose values are lists of scalars, with the numbers that JSON cannot hold."""
    if feed.values is None:
        return feed
    floats = "float" in feed.dtype

    def restored(value: Any, depth: int) -> Any:
        if isinstance(value, list) and depth < 64:
            return [restored(item, depth + 1) for item in value]
        if floats and value is None:
            return math.nan
        if floats and isinstance(value, str) and value in INFINITIES:
            return INFINITIES[value]
        if not isinstance(value, str | int | float):
            raise _misfit(f"{where}.values", "lists of numbers or texts", value)
        return value

    return dataclasses.replace(feed, values=restored(feed.values, 0))


def _misfit(where: str, wanted: str, value: Any) -> UsageError:
    return UsageError(f"finding.json: {where} must be {wanted}, not {_kind(value)}", AGAIN)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
