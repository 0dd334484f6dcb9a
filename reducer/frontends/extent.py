"""Where external data of a tensor lies: a regular file inside the model's folder, or a UsageError.

Nothing is opened before all of that is known: not a device, not a pipe, not what a link leads to outside.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from onnx import TensorProto

from reducer.errors import UsageError

_SHOWN = 80
# Digits of the largest file offset; anything longer is no number that a runtime would read.
_MOST_DIGITS = 19


@dataclass(frozen=True)
class Extent:
    """`length` bytes of a file from `offset` on."""

    path: Path
    offset: int
    length: int

    def read(self) -> bytes:
        """The bytes; fewer when the file has shrunk meanwhile."""
        with open(self.path, "rb") as stream:
            stream.seek(self.offset)
            return stream.read(self.length)


def locate(tensor: TensorProto, base: Path | None) -> Extent:
    """The extent of a tensor with external data, in a file below `base`. Raises UsageError with one clear line."""
    name = shown(tensor.name)
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if base is None:
        raise UsageError(f"{name} has external data, but the model has no folder")
    path = _resolved(base, location)
    if path is None:
        raise UsageError(
            f"external data of {name} points outside the model's folder: {shown(location)}",
            "put the data file beside the model and name it relatively",
        )
    try:
        status = path.stat()
    except OSError as error:
        raise UsageError(
            f"external data of {name} is missing: {shown(location)}", f"put {shown(location)} beside the model"
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"external data of {name} is no regular file: {shown(location)}")
    return _extent(name, entries, path, status.st_size)


def shown(text: str) -> str:
    """A name or a path of a model as one may print it: short, quoted, control characters escaped."""
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")


def _resolved(base: Path, location: str) -> Path | None:
    """The real path when it lies inside `base`."""
    if not location or "\0" in location:
        return None
    root = os.path.realpath(base)
    path = Path(os.path.realpath(os.path.join(root, location)))
    return path if path.is_relative_to(root) else None


def _extent(name: str, entries: dict[str, str], path: Path, size: int) -> Extent:
    offset = _number(name, entries.get("offset") or "0")
    length = _number(name, entries["length"]) if entries.get("length") else max(0, size - offset)
    if offset + length > size:
        raise UsageError(f"external data of {name} lies beyond the end of its file ({size} bytes)")
    return Extent(path, offset, length)


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise UsageError(f"external data of {name} has a broken offset or length: {shown(text)}")
    return int(text)
