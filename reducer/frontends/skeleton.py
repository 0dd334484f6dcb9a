"""A model file without the numbers of its big weights: they stay in the file and are only pointed at (step 2).

Parsing a file of 2 GB takes its bytes and the message that is made of them, 4 GB in all. Here the file is mapped,
walked field by field (protobuf encoding rules, field numbers in programs/wire.py), and each big `raw_data` becomes
external data in the model's own file; what is left to parse is small.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from google.protobuf.message import DecodeError
from onnx import TensorProto

from reducer.errors import UsageError
from reducer.programs import wire
from reducer.programs.onnx_tensors import fitting_bytes

WORTH_FROM_BYTES = 1 << 23
BIG_WEIGHT_BYTES = 1 << 18
# No model has that many nodes, weights and types at its top level; a file of empty ones would keep us for hours.
MOST_FIELDS = 4_000_000
# A tensor with its dims one by one and its notes has fewer.
MOST_TENSOR_FIELDS = 256


def skeleton_of(path: Path) -> bytes:
    """The serialized model, big weights as external data in `path` itself. Raises UsageError for endless lists."""
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        try:
            return _model(raw, path.name)
        except wire.Malformed:
            return raw[:]


def _model(raw: mmap.mmap, own_name: str) -> bytes:
    parts: list[bytes] = []
    for number, begin, body, end in wire.fields(raw):
        if number == wire.MODEL_GRAPH:
            parts.append(wire.message(wire.MODEL_GRAPH, _graph(raw, body, end, own_name)))
        else:
            parts.append(raw[begin:end])
    return b"".join(parts)


def _graph(raw: mmap.mmap, start: int, end: int, own_name: str) -> Iterator[bytes]:
    done = start
    for count, (number, begin, body, after) in enumerate(wire.fields(raw, start, end)):
        if count > MOST_FIELDS:
            raise UsageError(f"the graph has more than {MOST_FIELDS:,} parts", "no runtime reads a model of that size")
        if number == wire.GRAPH_INITIALIZER and after - body >= BIG_WEIGHT_BYTES:
            pointing = _pointing(raw, body, after, own_name)
            if pointing is not None:
                yield raw[done:begin]
                yield wire.field(wire.GRAPH_INITIALIZER, pointing)
                done = after
    yield raw[done:end]


def _pointing(raw: mmap.mmap, start: int, end: int, own_name: str) -> bytes | None:
    """The tensor with its raw data left where it is; None when that would not be the same tensor."""
    inner = list(islice(wire.fields(raw, start, end), MOST_TENSOR_FIELDS))
    places = [(body, after) for number, _, body, after in inner if number == wire.TENSOR_RAW_DATA]
    if len(inner) == MOST_TENSOR_FIELDS or len(places) != 1 or places[0][1] - places[0][0] < BIG_WEIGHT_BYTES:
        return None
    first, last = places[0]
    rest = [raw[begin:after] for _, begin, body, after in inner if body != first]
    if sum(map(len, rest)) >= BIG_WEIGHT_BYTES:
        return None
    try:
        tensor = TensorProto.FromString(b"".join(rest))
    except DecodeError as error:
        raise wire.Malformed from error
    if tensor.external_data or tensor.data_location or fitting_bytes(tensor) != last - first:
        return None
    tensor.data_location = TensorProto.EXTERNAL
    facts = (("location", own_name), ("offset", str(first)), ("length", str(last - first)))
    for key, value in facts:
        tensor.external_data.add(key=key, value=value)
    return bytes(tensor.SerializeToString())
