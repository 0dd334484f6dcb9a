"""Mutated models for the fuzz tests: bytes and structure, the same for the same seed."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.models import model_of

INTEGERS = (0, 1, -1, 2, 7, 64, 1 << 20, 1 << 31, (1 << 31) - 1, -(1 << 31), 1 << 40, (1 << 63) - 1, -(1 << 63))
TEXTS = ("", "x", "y", "w", "../w", "/etc/passwd", "a\0b", "n" * 5000, "\x1b[31m", "f", "If", "NoSuchOp", "{}%s", "a.b")
EXTERNAL = ("../secret.bin", "/dev/zero", "/etc/passwd", "gone.bin", "data.bin", ".", "", "a\0b", "fifo")
NUMBERS = ("0", "-1", "99999999999999999999999", "16", "abc", "", "4611686018427387904")


def seeds() -> list[onnx.ModelProto]:
    """Small models that between them use most of onnx.proto."""
    plain = model_of("g (float[2,3] x) => (float[2,3] y) { a = Abs(x) b = Elu(a) y = Add(b, w) }")
    plain.graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float32), "w"))
    branch = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 17, "f" : 1]>'
        "g (bool c, float[N] x, seq(float[M]) s, int64[2] i) => (float[K] y, float z) {"
        " y = If(c) <then_branch = t () => (float[P] u) { u = f.twice(x) }, else_branch = e () => (float[Q] v)"
        ' { v = Identity(x) }> k = Constant<value = float {1.5}>()'
        ' z = Mul(k, k) q = SequenceAt(s, k) r = Gather(x, i) }'
        '<domain: "f", opset_import: ["" : 17]> twice (a) => (b) { b = Add(a, a) }'
    )  # fmt: skip
    odd = model_of("g (double[2] x) => (double[2] y) { y = Add(x, w) }")
    values = helper.make_tensor("w", TensorProto.DOUBLE, [1], [3.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [1])
    odd.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [2]))
    tensor = numpy_helper.from_array(np.ones(2), "u")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in (("location", "data.bin"), ("offset", "0"), ("length", "16")):
        tensor.external_data.add(key=key, value=text)
    odd.graph.initializer.append(tensor)
    return [plain, branch, odd]


def mutated(rng: random.Random, model: onnx.ModelProto) -> bytes:
    """One to four changes of the message, of its bytes, or of both."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if rng.random() < 0.7:
        for _ in range(rng.randint(1, 4)):
            _change(rng, copy)
    raw = bytearray(copy.SerializeToString())
    if rng.random() < 0.4:
        for _ in range(rng.randint(1, 4)):
            _change_bytes(rng, raw)
    return bytes(raw)


def _change_bytes(rng: random.Random, raw: bytearray) -> None:
    at, length = rng.randrange(len(raw) + 1), rng.choice((1, 1, 2, 8, 40))
    kind = rng.randrange(5)
    if kind == 0:
        raw[at : at + length] = rng.randbytes(length)
    elif kind == 1:
        del raw[at : at + length]
    elif kind == 2:
        raw[at:at] = raw[at : at + length] * rng.choice((1, 2, 50))
    elif kind == 3:
        raw[at:at] = rng.choice((b"\xff", b"\x80" * 9, b"\x00", b"\x3a\x02\x0a\x00", b"\xff\xff\xff\xff\x0f"))
    else:
        del raw[at:]


def _change(rng: random.Random, model: onnx.ModelProto) -> None:
    """Change one field somewhere in the message."""
    places = list(_places(model))
    message, descriptor = rng.choice(places)
    value = getattr(message, descriptor.name)
    if isinstance(message, TensorProto) and rng.random() < 0.5:
        message.data_location = TensorProto.EXTERNAL
        message.ClearField("external_data")
        message.external_data.add(key="location", value=rng.choice(EXTERNAL))
        for key in ("offset", "length"):
            if rng.random() < 0.6:
                message.external_data.add(key=key, value=rng.choice(NUMBERS))
    elif rng.random() < 0.2:
        message.ClearField(descriptor.name)
    elif descriptor.is_repeated:
        _change_list(rng, descriptor, value)
    elif descriptor.message_type is not None:
        others = [m for m, _ in places if type(m) is type(value) and m is not value]
        if others:
            other = type(value).FromString(rng.choice(others).SerializeToString())
            value.CopyFrom(other)
    else:
        with contextlib.suppress(ValueError):  # more than 32 bits for a field of 32
            setattr(message, descriptor.name, _scalar(rng, value))


def _change_list(rng: random.Random, descriptor: Any, values: Any) -> None:
    if not values:
        return
    at = rng.randrange(len(values))
    kind = rng.randrange(3)
    if kind == 0:
        del values[at]
    elif descriptor.message_type is not None:
        again = type(values[at]).FromString(values[at].SerializeToString())
        values.extend([again] * rng.choice((1, 1, 40)))
    elif kind == 1:
        with contextlib.suppress(ValueError):
            values[at] = _scalar(rng, values[at])
    else:
        values.extend([values[at]] * rng.choice((1, 3, 200)))


def _scalar(rng: random.Random, old: Any) -> Any:
    if isinstance(old, str):
        return rng.choice(TEXTS)
    if isinstance(old, bytes):
        return rng.choice((b"", b"\xff", rng.randbytes(17), old[:-1], old * 3))
    if isinstance(old, float):
        return rng.choice((0.0, float("nan"), float("inf"), -1e30))
    number = rng.choice(INTEGERS)
    return number if rng.random() < 0.5 else number % 32


def _places(message: Any) -> Any:
    """(message, descriptor of a field that is set) everywhere below."""
    for descriptor, value in message.ListFields():
        yield message, descriptor
        if descriptor.message_type is not None:
            for inner in value if descriptor.is_repeated else [value]:
                yield from _places(inner)
