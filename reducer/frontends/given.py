"""Feeds and expected outputs that the user gives: an npz by name, or an ONNX test_data_set folder."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper

from reducer.errors import UsageError
from reducer.programs.onnx_source import OnnxSource
from reducer.programs.onnx_tensors import read_type
from reducer.values import Value, dtype_named


def read_given(path: Path, names: Sequence[str], kind: str) -> dict[str, Value]:
    """Values by name from an .npz file or a folder of input_N.pb / output_N.pb (`kind`)."""
    if not path.exists():
        raise UsageError(f"no such file or folder: {path}", f"--{kind}s takes an .npz file or a test_data_set folder")
    if path.is_dir():
        return _read_test_data(path, names, "input" if kind == "input" else "output")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise UsageError(
            f"{path} is not an .npz file of plain arrays: {error}",
            "write it with numpy.savez(FILE, name=array, ...)",
        ) from error


def _read_test_data(folder: Path, names: Sequence[str], kind: str) -> dict[str, Value]:
    files = sorted(folder.glob(f"{kind}_*.pb"), key=lambda p: int(re.sub(r"\D", "", p.stem) or 0))
    if not files:
        raise UsageError(f"{folder} holds no {kind}_N.pb", "name a test_data_set_N folder")
    found: dict[str, Value] = {}
    for position, file in enumerate(files):
        value, own_name = _read_pb(file)
        name = own_name if own_name in names else (names[position] if position < len(names) else own_name)
        found[name] = value
    return found


def _read_pb(file: Path) -> tuple[Value, str]:
    """A TensorProto, SequenceProto or OptionalProto: the file does not say which."""
    raw = file.read_bytes()
    readers: tuple[tuple[Any, Any], ...] = (
        (onnx.TensorProto, numpy_helper.to_array),
        (onnx.SequenceProto, numpy_helper.to_list),
        (onnx.OptionalProto, numpy_helper.to_optional),
    )
    for message_type, read in readers:
        message = message_type()
        try:
            message.ParseFromString(raw)
            if isinstance(message, onnx.TensorProto) and not message.data_type:
                continue
            return read(message), message.name
        except (DecodeError, ValueError, TypeError, NotImplementedError):
            continue
    raise UsageError(f"{file} holds no ONNX value")


def fit_to_inputs(source: OnnxSource, given: Mapping[str, Value], dims: Mapping[str, int]) -> dict[str, Value]:
    """The given values checked against the graph inputs, dtypes of narrow floats restored.

    Raises UsageError for a name, dtype, rank or dim that does not fit. Sequence items `x.0`, `x.1` are gathered.
    """
    gathered = _gather_sequences(source, given)
    fitted: dict[str, Value] = {}
    for name, value in gathered.items():
        wire = source.inputs.get(name)
        if wire is None:
            have = ", ".join(repr(n) for n in source.inputs if n not in source.weights) or "none"
            raise UsageError(f"the model has no input {name!r}", f"its inputs are: {have}")
        kind = read_type(wire)
        fitted[name] = _fit_tensor(name, value, kind.tensor_type, dims) if kind.HasField("tensor_type") else value
    return fitted


def _gather_sequences(source: OnnxSource, given: Mapping[str, Value]) -> dict[str, Value]:
    gathered: dict[str, Value] = {}
    for name, value in given.items():
        base, _, index = name.rpartition(".")
        if name not in source.inputs and base in source.inputs and index.isdigit():
            gathered.setdefault(base, []).append(value)
        else:
            gathered[name] = value
    return gathered


def _fit_tensor(name: str, value: Value, tensor: onnx.TypeProto.Tensor, dims: Mapping[str, int]) -> Value:
    array = np.asarray(value)
    if tensor.elem_type == onnx.TensorProto.STRING:
        if array.dtype.kind not in "OUS":
            raise UsageError(f"input {name!r} takes strings, the file has {array.dtype.name}")
        array = array.astype(object)
    else:
        wanted: np.dtype[Any] = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        if array.dtype.name != wanted.name and array.dtype.itemsize == wanted.itemsize and wanted.kind == "V":
            array = array.view(dtype_named(wanted.name))
        if array.dtype != wanted:
            raise UsageError(
                f"input {name!r} takes {wanted.name}, the file has {array.dtype.name}",
                f"save it as array.astype('{wanted.name}')",
            )
    if tensor.HasField("shape"):
        _fit_shape(name, array.shape, tensor, dims)
    return array


def _fit_shape(name: str, shape: tuple[int, ...], tensor: onnx.TypeProto.Tensor, dims: Mapping[str, int]) -> None:
    declared = [d.dim_value if d.HasField("dim_value") else (d.dim_param or "?") for d in tensor.shape.dim]
    fits = len(declared) == len(shape) and all(
        not isinstance(d, int) or d == s for d, s in zip(declared, shape, strict=True)
    )
    if not fits:
        raise UsageError(f"input {name!r} takes shape {declared}, got {list(shape)}")
    for d, s in zip(declared, shape, strict=True):
        if isinstance(d, str) and dims.get(d, s) != s:
            raise UsageError(f"dim {d!r} of input {name!r} is {s} in the file, but --dim says {dims[d]}")


def bound_dims(source: OnnxSource, given: Mapping[str, Value]) -> dict[str, int]:
    """Symbolic dims that given values settle."""
    found: dict[str, int] = {}
    for name, value in given.items():
        shape = getattr(value, "shape", None)
        if name in source.inputs and shape is not None:
            for dim, size in zip(read_type(source.inputs[name]).tensor_type.shape.dim, shape, strict=False):
                if dim.dim_param:
                    found.setdefault(dim.dim_param, size)
    return found


def parse_dims(settings: Sequence[str]) -> dict[str, int]:
    """`--dim batch=2` as a dict."""
    found = {}
    for item in settings:
        name, equals, size = item.partition("=")
        if not equals or not size.isdigit():
            raise UsageError(f"--dim takes NAME=SIZE, not {item!r}", "for example --dim batch=2")
        found[name] = int(size)
    return found


def parse_shapes(source: OnnxSource, settings: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """`--input-shape x=1,3,224,224` as a dict; the name, rank and fixed dims must fit the model."""
    found = {}
    for item in settings:
        name, equals, sizes = item.rpartition("=")
        try:
            shape = tuple(int(size) for size in sizes.replace("x", ",").split(",") if size)
        except ValueError:
            equals = ""
        if not equals or not name:
            raise UsageError(f"--input-shape takes NAME=1,3,224,224, not {item!r}")
        if name not in source.inputs:
            raise UsageError(
                f"--input-shape: the model has no input {name!r}",
                f"its inputs are: {', '.join(source.inputs)}",
            )
        tensor = read_type(source.inputs[name]).tensor_type
        if tensor.HasField("shape"):
            _fit_shape(name, shape, tensor, {})
        found[name] = shape
    return found
