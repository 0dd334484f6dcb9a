"""Protobuf wire format, just enough to assemble an ONNX model from the serialized parts of another.

Repeated and singular message fields of one message may be concatenated in any order (protobuf encoding rules), so
a candidate of 2,000 nodes is one `bytes.join` of cached parts: no message objects, no copies of weights.
"""

from __future__ import annotations

from collections.abc import Iterable

# Field numbers of onnx.proto.
GRAPH_NODE, GRAPH_NAME, GRAPH_INITIALIZER = 1, 2, 5
GRAPH_INPUT, GRAPH_OUTPUT, GRAPH_VALUE_INFO, GRAPH_SPARSE_INITIALIZER = 11, 12, 13, 15
MODEL_GRAPH, MODEL_FUNCTION = 7, 25
VALUE_NAME, VALUE_TYPE = 1, 2


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


def message(number: int, parts: Iterable[bytes]) -> bytes:
    """A sub-message made of already encoded fields."""
    return field(number, b"".join(parts))


def value_info(name: str, type_wire: bytes | None) -> bytes:
    """A ValueInfoProto; without a type when none is known."""
    wire = field(VALUE_NAME, name.encode())
    return wire if type_wire is None else wire + field(VALUE_TYPE, type_wire)
