"""A program as a file for others: its weights inside while protobuf allows it, else in one data file beside it.

Weights go from file to file in chunks; nothing here holds one as a whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from onnx import TensorProto

from reducer.programs import wire
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_tensors import big_extent

# Protobuf ends at 2**31 - 1 bytes; tools that copy a model once need a margin.
INLINE_BYTES = 2_000_000_000
DATA_SUFFIX = ".data"
# Another failure is shown by a file of its own, and a text by its numbers, only when these are few.
FEW_BYTES = 1 << 26
_CHUNK = 1 << 24


@dataclass(frozen=True)
class _Weight:
    """An initializer outside of the model: what is said of it, and where its bytes lie."""

    tensor: TensorProto
    path: Path
    offset: int
    length: int


def outside_bytes(program: OnnxProgram) -> int:
    """Bytes of weights and constants that `program.model_bytes()` only points at."""
    spilled = sum(weight.nbytes for weight in program.weights() if weight.spilled)
    extents = (big_extent(program.source.values[name]) for name in program.interface.constants)
    return spilled + sum(extent[1] for extent in extents if extent is not None)


def save_model(program: OnnxProgram, path: Path, most_inline: int = INLINE_BYTES) -> None:
    """Write the program to `path`, all or nothing.

    With more than `most_inline` bytes the weights go to `path` + DATA_SUFFIX. Raises OSError.
    """
    raw, folder = program.model_bytes(), program.folder
    pieces: list[bytes | _Weight] = list(_pieces(raw, folder)) if folder is not None else [raw]
    weights = [piece for piece in pieces if isinstance(piece, _Weight)]
    total = len(raw) + sum(weight.length for weight in weights)
    draft, data = path.with_name(path.name + ".tmp"), path.with_name(path.name + DATA_SUFFIX)
    data_draft = data.with_name(data.name + ".tmp")
    apart = bool(weights) and total > most_inline
    try:
        if apart:
            with open(data_draft, "wb") as stream:
                pieces = [_moved(p, stream, data.name) if isinstance(p, _Weight) else p for p in pieces]
            os.replace(data_draft, data)
        with open(draft, "wb") as stream:
            _write_graph(stream, raw, pieces)
        os.replace(draft, path)
    except OSError:
        draft.unlink(missing_ok=True)
        data_draft.unlink(missing_ok=True)
        raise
    if not apart:
        data.unlink(missing_ok=True)


def files_of(path: Path) -> list[Path]:
    """A saved model and, when it has one, its data file."""
    data = path.with_name(path.name + DATA_SUFFIX)
    return [path, data] if data.exists() else [path]


def _pieces(raw: bytes, folder: Path) -> Iterator[bytes | _Weight]:
    """The fields of the graph, weights that lie outside taken apart; runs of other fields in one piece."""
    _, start, end = _graph(raw)
    done = start
    for number, begin, body, after in wire.fields(raw, start, end):
        if number == wire.GRAPH_INITIALIZER:
            weight = _outside(raw[body:after], folder)
            if weight is not None:
                yield raw[done:begin]
                yield weight
                done = after
    yield raw[done:end]


def _outside(encoded: bytes, folder: Path) -> _Weight | None:
    tensor = TensorProto.FromString(encoded)
    if tensor.data_location != TensorProto.EXTERNAL:
        return None
    facts = {entry.key: entry.value for entry in tensor.external_data}
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")
    return _Weight(tensor, folder / facts["location"], int(facts["offset"]), int(facts["length"]))


def _graph(raw: bytes) -> tuple[int, int, int]:
    """Where the one graph field of an assembled model begins, its payload begins, and it ends."""
    found = [(begin, body, after) for number, begin, body, after in wire.fields(raw) if number == wire.MODEL_GRAPH]
    assert len(found) == 1
    return found[0]


def _write_graph(stream: BinaryIO, raw: bytes, pieces: list[bytes | _Weight]) -> None:
    if len(pieces) == 1 and pieces[0] is raw:
        stream.write(raw)
        return
    begin, _, end = _graph(raw)
    heads = [_head(piece) if isinstance(piece, _Weight) else piece for piece in pieces]
    outside = sum(piece.length for piece in pieces if isinstance(piece, _Weight))
    stream.write(raw[:begin] + wire.head(wire.MODEL_GRAPH, sum(map(len, heads)) + outside))
    for piece, head in zip(pieces, heads, strict=True):
        stream.write(head)
        if isinstance(piece, _Weight):
            _copy(piece, stream)
    stream.write(raw[end:])


def _head(weight: _Weight) -> bytes:
    """The initializer up to where its raw data begins."""
    rest = bytes(weight.tensor.SerializeToString())
    number = wire.head(wire.TENSOR_RAW_DATA, weight.length)
    return wire.head(wire.GRAPH_INITIALIZER, len(rest) + len(number) + weight.length) + rest + number


def _moved(weight: _Weight, stream: BinaryIO, location: str) -> bytes:
    """Append the bytes to the data file; the initializer that points there."""
    start = -(-stream.tell() // 4096) * 4096  # runtimes map by page
    stream.write(b"\0" * (start - stream.tell()))
    _copy(weight, stream)
    pointing = TensorProto()
    pointing.CopyFrom(weight.tensor)
    pointing.data_location = TensorProto.EXTERNAL
    facts = (("location", location), ("offset", str(start)), ("length", str(weight.length)))
    for key, value in facts:
        pointing.external_data.add(key=key, value=value)
    return wire.field(wire.GRAPH_INITIALIZER, pointing.SerializeToString())


def _copy(weight: _Weight, stream: BinaryIO) -> None:
    with open(weight.path, "rb") as source:
        source.seek(weight.offset)
        left = weight.length
        while left:
            chunk = source.read(min(left, _CHUNK))
            if not chunk:
                raise OSError(f"{weight.path} has shrunk")
            stream.write(chunk)
            left -= len(chunk)
