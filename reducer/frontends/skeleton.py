"""A model file without the numbers of its big weights: they stay in the file and are only pointed at (step 2).

Parsing a file of 2 GB takes its bytes and the message that is made of them, 4 GB in all. Here the file is mapped,
walked field by field (protobuf encoding rules, field numbers in programs/wire.py), and each big `raw_data` becomes
external data in the model's own file; what is left to parse is small.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from onnx import TensorProto

from reducer.errors import UsageError
from reducer.programs import wire
from reducer.programs.onnx_tensors import fitting_bytes

WORTH_FROM_BYTES = 1 << 23
BIG_WEIGHT_BYTES = 1 << 18
# No model has that many nodes, weights and types at its top level; a file of empty ones would keep us for hours.
MOST_FIELDS = 4_000_000
_TENSOR_RAW_DATA = 9
_LENGTH_DELIMITED = 2


class _Malformed(Exception):
    """The bytes are no protobuf of the kind that is expected; the real parser will say so."""


@dataclass(frozen=True)
class _Field:
    """One field: it lies at start..end, its payload at body..end."""

    number: int
    kind: int
    start: int
    body: int
    end: int


def skeleton_of(path: Path) -> bytes:
    """The serialized model, big weights as external data in `path` itself. Raises UsageError for endless lists."""
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        try:
            return _model(raw, path.name)
        except _Malformed:
            return raw[:]


def _model(raw: mmap.mmap, own_name: str) -> bytes:
    parts: list[bytes] = []
    for field in _fields(raw, 0, len(raw)):
        if field.number == wire.MODEL_GRAPH and field.kind == _LENGTH_DELIMITED:
            parts.append(wire.message(wire.MODEL_GRAPH, _graph(raw, field, own_name)))
        else:
            parts.append(raw[field.start : field.end])
    return b"".join(parts)


def _graph(raw: mmap.mmap, graph: _Field, own_name: str) -> Iterator[bytes]:
    done = graph.body
    for count, field in enumerate(_fields(raw, graph.body, graph.end)):
        if count > MOST_FIELDS:
            raise UsageError(f"the graph has more than {MOST_FIELDS:,} parts", "no runtime reads a model of that size")
        if field.number == wire.GRAPH_INITIALIZER and field.end - field.body >= BIG_WEIGHT_BYTES:
            pointing = _pointing(raw, field, own_name)
            if pointing is not None:
                yield raw[done : field.start]
                yield wire.field(wire.GRAPH_INITIALIZER, pointing)
                done = field.end
    yield raw[done : graph.end]


def _pointing(raw: mmap.mmap, weight: _Field, own_name: str) -> bytes | None:
    """The tensor with its raw data left where it is; None when that would not be the same tensor."""
    inner = list(_fields(raw, weight.body, weight.end, most=64))
    big = [f for f in inner if f.number == _TENSOR_RAW_DATA and f.kind == _LENGTH_DELIMITED]
    if len(big) != 1 or big[0].end - big[0].body < BIG_WEIGHT_BYTES:
        return None
    place = big[0]
    rest = b"".join(raw[f.start : f.end] for f in inner if f is not place)
    if len(rest) >= BIG_WEIGHT_BYTES:
        return None
    try:
        tensor = TensorProto.FromString(rest)
    except Exception as error:  # noqa: BLE001 - DecodeError of whichever protobuf is installed
        raise _Malformed from error
    if tensor.external_data or tensor.data_location or fitting_bytes(tensor) != place.end - place.body:
        return None
    tensor.data_location = TensorProto.EXTERNAL
    facts = (("location", own_name), ("offset", str(place.body)), ("length", str(place.end - place.body)))
    for key, value in facts:
        tensor.external_data.add(key=key, value=value)
    return bytes(tensor.SerializeToString())


def _fields(raw: mmap.mmap, start: int, end: int, most: int = 1 << 62) -> Iterator[_Field]:
    """The fields of the message that lies at start..end."""
    position = start
    while position < end:
        tag, body = _varint(raw, position, end)
        kind = tag & 7
        if kind == 0:
            after = _varint(raw, body, end)[1]
        elif kind == _LENGTH_DELIMITED:
            length, body = _varint(raw, body, end)
            after = body + length
        elif kind in (1, 5):
            after = body + (8 if kind == 1 else 4)
        else:
            raise _Malformed
        most -= 1
        if after > end or most < 0:
            raise _Malformed
        yield _Field(tag >> 3, kind, position, body, after)
        position = after


def _varint(raw: mmap.mmap, position: int, end: int) -> tuple[int, int]:
    """(the number, where it ends)."""
    number = shift = 0
    while position < end and shift < 70:
        byte = raw[position]
        number |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if not byte & 0x80:
            return number, position
    raise _Malformed
