"""External data: read only from inside the model's folder; big weights are spilled once, never per candidate.

A weight goes from its file to ours in chunks: the parent never holds one as a whole unless it is small.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import onnx
from onnx import TensorProto

from reducer.errors import UsageError
from reducer.frontends.extent import Extent, locate, shown
from reducer.programs import wire
from reducer.programs.onnx_source import WeightRecord, walk
from reducer.programs.onnx_tensors import fitting_bytes

SPILL_FROM_BYTES = 1 << 18
WEIGHTS_FILE = "weights.bin"
# Many tensors may name the same bytes of one file: what is written into the model has a limit of its own.
MOST_SMALL_BYTES = 1 << 26
MOST_ATTRIBUTE_BYTES = 1 << 29
_CHUNK = 1 << 24


class ExternalWeights:
    """Makes WeightRecords. `base` holds the model's own external files, `spill` our weights file; without a place to
    spill, weights stay inside."""

    def __init__(self, base: Path | None, spill: Path | None) -> None:
        self._base, self._spill = base, spill
        self._used = self._small = self._in_attributes = 0
        # The same bytes of a file are spilled once, however many tensors name them.
        self._copies: dict[Extent, int] = {}

    @property
    def folder(self) -> Path | None:
        """The spill folder when something lies in it."""
        return self._spill if self._used else None

    def record(self, tensor: TensorProto) -> WeightRecord:
        """The record of one initializer. Raises UsageError when its external data cannot be had."""
        dims = tuple(tensor.dims)
        if tensor.data_location == TensorProto.EXTERNAL:
            extent = locate(tensor, self._base)
            if extent.length >= SPILL_FROM_BYTES or self._small + extent.length > MOST_SMALL_BYTES:
                return self._point_at(tensor, dims, self._spilled(tensor, extent))
            self._small += extent.length
            _hold(tensor, extent.read())
        elif self._spill and len(tensor.raw_data) >= SPILL_FROM_BYTES and len(tensor.raw_data) == fitting_bytes(tensor):
            # Raw data of a wrong length is the fault itself, perhaps: it stays as it is.
            return self._point_at(tensor, dims, self._spill_raw(tensor))
        encoded = wire.field(wire.GRAPH_INITIALIZER, tensor.SerializeToString())
        return WeightRecord(tensor.name, tensor.data_type, dims, len(encoded), encoded)

    def inline_rest(self, model: onnx.ModelProto) -> None:
        """Load external data of all tensors that are no top-level initializers, where it cannot be spilled."""
        for tensor in _inner_tensors(model):
            if tensor.data_location == TensorProto.EXTERNAL:
                extent = locate(tensor, self._base)
                self._in_attributes += extent.length
                if self._in_attributes > MOST_ATTRIBUTE_BYTES:
                    raise UsageError(
                        f"external data inside nodes is more than {MOST_ATTRIBUTE_BYTES >> 20} MB",
                        "make the big tensors initializers of the graph",
                    )
                _hold(tensor, extent.read())

    def _place(self) -> Path:
        if self._spill is None:
            raise UsageError("there is no folder for weights of that size")
        return self._spill

    def _spill_raw(self, tensor: TensorProto) -> Extent:
        place = self._place()
        _need_space(place, len(tensor.raw_data))
        with open(place / WEIGHTS_FILE, "ab") as stream:
            start = _align(stream)
            stream.write(tensor.raw_data)
        return Extent(place / WEIGHTS_FILE, start, len(tensor.raw_data))

    def _spilled(self, tensor: TensorProto, extent: Extent) -> Extent:
        """The extent in our own file that holds a copy; what lies in our folder already is not copied again."""
        place = self._place()
        target = place / WEIGHTS_FILE
        if extent.path.parent == Path(os.path.realpath(place)):
            return Extent(place / extent.path.name, extent.offset, extent.length)
        if extent not in self._copies:
            _need_space(place, extent.length)
            with open(extent.path, "rb") as source, open(target, "ab") as stream:
                self._copies[extent] = _align(stream)
                source.seek(extent.offset)
                if not _copied(source, stream, extent.length):
                    raise UsageError(f"external data of {shown(tensor.name)} ends too early: {extent.path.name}")
        return Extent(target, self._copies[extent], extent.length)

    def _point_at(self, tensor: TensorProto, dims: tuple[int, ...], place: Extent) -> WeightRecord:
        self._used += place.length
        outside = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=dims)
        outside.data_location = TensorProto.EXTERNAL
        facts = (("location", place.path.name), ("offset", str(place.offset)), ("length", str(place.length)))
        for key, value in facts:
            outside.external_data.add(key=key, value=value)
        encoded = wire.field(wire.GRAPH_INITIALIZER, outside.SerializeToString())
        spilled = (place.path, place.offset, place.length)
        return WeightRecord(tensor.name, tensor.data_type, dims, place.length, encoded, spilled)


def external_bytes(model: onnx.ModelProto, path: Path) -> int:
    """Bytes of the initializers that lie in other files than the model's own. Raises UsageError."""
    own, folder = Path(os.path.realpath(path)), Path(os.path.realpath(path)).parent
    tensors = (t for t in model.graph.initializer if t.data_location == TensorProto.EXTERNAL)
    extents = [locate(tensor, folder) for tensor in tensors]
    return sum(extent.length for extent in extents if extent.path != own)


def _inner_tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    """Tensors of attributes, of bodies, of functions and of training graphs; sparse ones in their two parts."""
    graphs = [g for t in model.training_info for g in (t.initialization, t.algorithm)]
    roots = [*model.graph.node, *(n for f in model.functions for n in f.node), *(n for g in graphs for n in g.node)]
    yield from _dense(model.graph.sparse_initializer)
    for node, _ in walk(roots):
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            yield from _dense([attribute.sparse_tensor, *attribute.sparse_tensors])
            graphs += [attribute.g, *attribute.graphs]
    for graph in graphs:
        yield from graph.initializer
        yield from _dense(graph.sparse_initializer)


def _dense(tensors: object) -> Iterator[TensorProto]:
    for sparse in tensors:  # type: ignore[attr-defined]  # a list or a protobuf container
        yield from (sparse.values, sparse.indices)


def _copied(source: BinaryIO, target: BinaryIO, length: int) -> bool:
    """Copy in chunks; False when the source ends before."""
    left = length
    while left:
        chunk = source.read(min(left, _CHUNK))
        if not chunk:
            return False
        target.write(chunk)
        left -= len(chunk)
    return True


def _need_space(folder: Path, length: int) -> None:
    free = shutil.disk_usage(folder).free
    if length > free:
        raise UsageError(
            f"{length / 1e9:.1f} GB of weights do not fit into {folder.parent} ({free / 1e9:.1f} GB are free)",
            "name a roomier folder: TMPDIR=/folder onnx-reduce ...",
        )


def _align(stream: BinaryIO) -> int:
    """Fill up to the next multiple of 4096, where runtimes can map the data by page; the position then."""
    end = stream.seek(0, os.SEEK_END)
    start = -(-end // 4096) * 4096
    stream.write(b"\0" * (start - end))
    return start


def _hold(tensor: TensorProto, raw: bytes) -> None:
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")
    tensor.raw_data = raw
