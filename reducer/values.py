"""Runtime values on disk: tensors, sequences, optionals and maps, without pickle (bottom layer; used by the
parent and by the worker, so it needs only the standard library, numpy and, for narrow floats, ml_dtypes).

A value is a numpy array (any rank, 0-d stays 0-d), a list (sequence), None (empty optional) or a dict (map).
Format of one value: 4 bytes little-endian header length, JSON header, raw little-endian payload. A payload of a
page or more begins at a multiple of 64 bytes in its file, so that it can serve as external data as it lies there.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping

import numpy as np

_PAGE, _ALIGNMENT = 4096, 64

Value = Any
Tensors = Mapping[str, Value]


@dataclass(frozen=True)
class ValueRef:
    """Where an encoded value lies: file, byte offset, byte length. `summary` is (kind or dtype, shape)."""

    path: str
    offset: int
    length: int
    summary: tuple[str, tuple[int, ...] | None]

    def read(self) -> Value:
        """The value itself; raises OSError when the store is gone."""
        with open(self.path, "rb") as stream:
            stream.seek(self.offset)
            return decode(stream.read(self.length))

    def raw_extent(self) -> tuple[int, int] | None:
        """(offset, length) of the plain bytes of a tensor of numbers in the store; None for what is none."""
        with open(self.path, "rb") as stream:
            stream.seek(self.offset)
            (length,) = struct.unpack("<I", stream.read(4))
            header = json.loads(stream.read(length))
        return (self.offset + 4 + length, header["n"]) if header["k"] == "arr" else None

    def to_wire(self) -> list[Any]:
        """A JSON-ready form for a worker request."""
        return [self.path, self.offset, self.length, [self.summary[0], self.summary[1]]]

    @staticmethod
    def from_wire(wire: list[Any]) -> ValueRef:
        """The inverse of to_wire."""
        kind, shape = wire[3]
        return ValueRef(wire[0], wire[1], wire[2], (kind, None if shape is None else tuple(shape)))


def dtype_named(name: str) -> np.dtype[Any]:
    """The dtype of that name; names that numpy does not know come from ml_dtypes (bfloat16, float8_*, int4)."""
    try:
        return np.dtype(name)
    except TypeError:
        import ml_dtypes

        narrow: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
        return narrow


def is_narrow(dtype: np.dtype[Any]) -> bool:
    """Whether numpy itself does not know the dtype: those of ml_dtypes."""
    return dtype.isbuiltin == 2


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether the dtype holds floating-point numbers, the narrow ones of ml_dtypes included."""
    return dtype.kind == "f" or (is_narrow(dtype) and "float" in dtype.name)


def summary_of(value: Value) -> tuple[str, tuple[int, ...] | None]:
    """Kind or dtype name, and the shape of a tensor (None for what has no shape)."""
    if value is None:
        return "optional", None
    if isinstance(value, list):
        return "sequence", None
    if isinstance(value, dict):
        return "map", None
    array = np.asarray(value)
    return ("string" if array.dtype.kind in "OUS" else array.dtype.name), array.shape


def _describe(value: Value, payload: list[bytes]) -> Any:
    if value is None:
        return {"k": "none"}
    if isinstance(value, (list, tuple)):
        return {"k": "list", "items": [_describe(item, payload) for item in value]}
    if isinstance(value, dict):
        return {"k": "map", "keys": list(value), "items": [_describe(v, payload) for v in value.values()]}
    array = np.asarray(value)
    if array.dtype.kind in "OUS":
        flat = [x.decode("utf-8", "replace") if isinstance(x, bytes) else str(x) for x in array.ravel()]
        return {"k": "str", "shape": list(array.shape), "items": flat}
    # tobytes() copies in C order and, unlike ascontiguousarray, leaves a 0-d array 0-d.
    raw = array.tobytes()
    payload.append(raw)
    return {"k": "arr", "dtype": array.dtype.name, "shape": list(array.shape), "n": len(raw)}


def encode(value: Value, at: int = 0) -> bytes:
    """The value as bytes (see the module docstring) that will stand at offset `at`."""
    payload: list[bytes] = []
    header = json.dumps(_describe(value, payload)).encode()
    if sum(map(len, payload)) >= _PAGE:
        header += b" " * (-(at + 4 + len(header)) % _ALIGNMENT)
    return struct.pack("<I", len(header)) + header + b"".join(payload)


def _rebuild(header: Any, payload: memoryview) -> tuple[Value, memoryview]:
    kind = header["k"]
    if kind == "none":
        return None, payload
    if kind == "str":
        flat = np.array(header["items"], dtype=object)
        return flat.reshape(header["shape"]), payload
    if kind == "arr":
        size = header["n"]
        array = np.frombuffer(payload[:size], dtype=dtype_named(header["dtype"])).reshape(header["shape"])
        return array, payload[size:]
    items = []
    for item in header["items"]:
        rebuilt, payload = _rebuild(item, payload)
        items.append(rebuilt)
    return (items if kind == "list" else dict(zip(header["keys"], items))), payload


def decode(raw: bytes) -> Value:
    """The inverse of encode; arrays are read-only views of `raw`."""
    (length,) = struct.unpack_from("<I", raw)
    header = json.loads(raw[4 : 4 + length])
    return _rebuild(header, memoryview(raw)[4 + length :])[0]


def append_values(path: Path, values: Tensors) -> dict[str, ValueRef]:
    """Append all values to a store file and say where each lies."""
    refs: dict[str, ValueRef] = {}
    with open(path, "ab") as stream:
        for name, value in values.items():
            raw = encode(value, stream.tell())
            refs[name] = ValueRef(str(path), stream.tell(), len(raw), summary_of(value))
            stream.write(raw)
    return refs


def to_npz(values: Tensors) -> dict[str, np.ndarray[Any, Any]]:
    """Arrays for numpy.savez, loadable with allow_pickle=False: strings as unicode, narrow floats as raw bits,
    the items of a sequence `x` under `x.0`, `x.1`, ...; an empty optional has no entry."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for name, value in values.items():
        if isinstance(value, list):
            arrays.update(to_npz({f"{name}.{i}": item for i, item in enumerate(value)}))
        elif isinstance(value, dict):
            arrays[f"{name}.keys"] = np.array(list(value))
            arrays[f"{name}.values"] = np.array(list(value.values()))
        elif value is not None:
            array = np.asarray(value)
            if array.dtype.kind in "OS":
                array = np.array([str(x) for x in array.ravel()], dtype=np.str_).reshape(array.shape)
            elif is_narrow(array.dtype):
                array = array.view(np.dtype(f"u{array.dtype.itemsize}"))
            arrays[name] = array
    return arrays
