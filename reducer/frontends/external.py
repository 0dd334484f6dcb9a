"""External data: read only from inside the model's folder; big weights are spilled once, never per candidate."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import onnx
from onnx import TensorProto

from reducer.errors import UsageError
from reducer.programs import wire
from reducer.programs.onnx_source import WeightRecord, walk

SPILL_FROM_BYTES = 1 << 18
WEIGHTS_FILE = "weights.bin"
_CHUNK = 1 << 24


class ExternalWeights:
    """Makes WeightRecords. `base` holds the model's own external files, `spill` our weights file; without a place to
    spill, weights stay inside."""

    def __init__(self, base: Path | None, spill: Path | None) -> None:
        self._base, self._spill = base, spill
        self._used = 0

    @property
    def folder(self) -> Path | None:
        """The spill folder when something lies in it."""
        return self._spill if self._used else None

    def record(self, tensor: TensorProto) -> WeightRecord:
        """The record of one initializer. Raises UsageError when its external data cannot be had."""
        dims = tuple(tensor.dims)
        if tensor.data_location == TensorProto.EXTERNAL:
            path, offset, length = self._locate(tensor)
            if length < SPILL_FROM_BYTES:
                tensor.raw_data = _read(path, offset, length)
                _forget_location(tensor)
            elif self._spill is not None and path.parent == Path(os.path.realpath(self._spill)):
                return self._point_at(tensor, dims, path, offset, length)  # it lies there already
            else:
                return self._spilled(tensor, dims, path, offset, length)
        elif self._spill is not None and len(tensor.raw_data) >= SPILL_FROM_BYTES:
            return self._spill_raw(tensor, dims)
        encoded = wire.field(wire.GRAPH_INITIALIZER, tensor.SerializeToString())
        return WeightRecord(tensor.name, tensor.data_type, dims, len(encoded), encoded)

    def inline_attributes(self, model: onnx.ModelProto) -> None:
        """Load external data of tensors inside nodes and bodies, where it cannot be spilled."""
        roots = [*model.graph.node, *(node for function in model.functions for node in function.node)]
        for node, _ in walk(roots):
            for attribute in node.attribute:
                inner = [t for g in [attribute.g, *attribute.graphs] for t in g.initializer]
                for tensor in [attribute.t, *attribute.tensors, *inner]:
                    if tensor.data_location == TensorProto.EXTERNAL:
                        tensor.raw_data = _read(*self._locate(tensor))
                        _forget_location(tensor)

    def _place(self) -> Path:
        if self._spill is None:
            raise UsageError("there is no folder for weights of that size")
        return self._spill / WEIGHTS_FILE

    def _spill_raw(self, tensor: TensorProto, dims: tuple[int, ...]) -> WeightRecord:
        target = self._place()
        with open(target, "ab") as stream:
            offset = _align(stream.tell())
            stream.write(b"\0" * (offset - stream.tell()))
            stream.write(tensor.raw_data)
        return self._point_at(tensor, dims, target, offset, len(tensor.raw_data))

    def _spilled(
        self, tensor: TensorProto, dims: tuple[int, ...], path: Path, offset: int, length: int
    ) -> WeightRecord:
        target = self._place()
        with open(path, "rb") as source, open(target, "ab") as stream:
            start = _align(stream.tell())
            stream.write(b"\0" * (start - stream.tell()))
            source.seek(offset)
            left = length
            while left:
                chunk = source.read(min(left, _CHUNK))
                if not chunk:
                    raise UsageError(f"external data of {tensor.name!r} ends too early: {path.name}")
                stream.write(chunk)
                left -= len(chunk)
        return self._point_at(tensor, dims, target, start, length)

    def _point_at(
        self, tensor: TensorProto, dims: tuple[int, ...], path: Path, offset: int, length: int
    ) -> WeightRecord:
        self._used += length
        outside = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=dims)
        outside.data_location = TensorProto.EXTERNAL
        for key, value in (("location", path.name), ("offset", str(offset)), ("length", str(length))):
            outside.external_data.add(key=key, value=value)
        encoded = wire.field(wire.GRAPH_INITIALIZER, outside.SerializeToString())
        return WeightRecord(tensor.name, tensor.data_type, dims, length, encoded, (path, offset, length))

    def _locate(self, tensor: TensorProto) -> tuple[Path, int, int]:
        """File, offset and length of external data; nothing outside the model's folder is ever opened."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if self._base is None:
            raise UsageError(f"{tensor.name!r} has external data, but the model has no folder")
        path = Path(os.path.realpath(self._base / location))
        if not location or not path.is_relative_to(os.path.realpath(self._base)):
            raise UsageError(
                f"external data of {tensor.name!r} points outside the model's folder: {location!r}",
                "put the data file beside the model and name it relatively",
            )
        try:
            status = path.stat()
        except OSError as error:
            raise UsageError(
                f"external data of {tensor.name!r} is missing: {location}", f"put {location} beside the model"
            ) from error
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"external data of {tensor.name!r} is no regular file: {location}")
        offset, length = _extent(tensor.name, entries, status.st_size)
        return path, offset, length


def _extent(name: str, entries: dict[str, str], size: int) -> tuple[int, int]:
    try:
        offset = int(entries.get("offset") or 0)
        length = int(entries.get("length") or size - offset)
    except ValueError as error:
        raise UsageError(f"external data of {name!r} has a broken offset or length") from error
    if offset < 0 or length < 0 or offset + length > size:
        raise UsageError(f"external data of {name!r} lies beyond the end of its file ({size} bytes)")
    return offset, length


def _read(path: Path, offset: int, length: int) -> bytes:
    with open(path, "rb") as stream:
        stream.seek(offset)
        return stream.read(length)


def _align(position: int) -> int:
    """The next multiple of 4096: runtimes map external data by page."""
    return -(-position // 4096) * 4096


def _forget_location(tensor: TensorProto) -> None:
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")
