"""Protobuf wire format, just enough to assemble an ONNX model from the serialized parts of another.

Repeated and singular message fields of one message may be concatenated in any order (protobuf encoding rules), so
a candidate of 2,000 nodes is one `bytes.join` of cached parts: no message objects, no copies of weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from mmap import mmap

# Field numbers of onnx.proto.
GRAPH_NODE, GRAPH_NAME, GRAPH_INITIALIZER = 1, 2, 5
GRAPH_INPUT, GRAPH_OUTPUT, GRAPH_VALUE_INFO, GRAPH_SPARSE_INITIALIZER = 11, 12, 13, 15
MODEL_GRAPH, MODEL_FUNCTION = 7, 25
VALUE_NAME, VALUE_TYPE = 1, 2
TENSOR_RAW_DATA = 9
_VARINT, _EIGHT_BYTES, _LENGTH_DELIMITED, _FOUR_BYTES = 0, 1, 2, 5


class Malformed(ValueError):
    """Bytes that are no protobuf message, or one with field kinds that onnx.proto does not use."""


def varint(number: int) -> bytes:
    """A non-negative integer in base-128 groups, least significant first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, payload: bytes) -> bytes:
    """One length-delimited field: tag, length, payload."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def head(number: int, length: int) -> bytes:
    """Tag and length of a field whose payload is written elsewhere."""
    return varint(number << 3 | _LENGTH_DELIMITED) + varint(length)


def fields(raw: bytes | mmap, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int, int, int]]:
    """(number, where the field begins, where its payload begins, where it ends) of all length-delimited fields in
    raw[start:end], and (0, begin, body, end) of the others. Raises Malformed."""
    position, end = start, len(raw) if end is None else end
    while position < end:
        tag, body = _read_varint(raw, position, end)
        kind, number = tag & 7, 0
        if kind == _VARINT:
            after = _read_varint(raw, body, end)[1]
        elif kind == _LENGTH_DELIMITED:
            length, body = _read_varint(raw, body, end)
            number, after = tag >> 3, body + length
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            after = body + (8 if kind == _EIGHT_BYTES else 4)
        else:
            raise Malformed
        if after > end:
            raise Malformed
        yield number, position, body, after
        position = after


def _read_varint(raw: bytes | mmap, position: int, end: int) -> tuple[int, int]:
    """(the number, where it ends)."""
    number = shift = 0
    while position < end and shift < 70:
        byte = raw[position]
        number |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if not byte & 0x80:
            return number, position
    raise Malformed


def message(number: int, parts: Iterable[bytes]) -> bytes:
    """A sub-message made of already encoded fields."""
    return field(number, b"".join(parts))


def value_info(name: str, type_wire: bytes | None) -> bytes:
    """A ValueInfoProto; without a type when none is known."""
    wire = field(VALUE_NAME, name.encode())
    return wire if type_wire is None else wire + field(VALUE_TYPE, type_wire)
