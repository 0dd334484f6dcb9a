"""Names that are no text: protobuf's proto2 lets any bytes pass where onnx.proto says string (step 2).

Such a field comes back from the parser as bytes. Nothing behind the front end has to expect that.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor

from reducer.errors import UsageError


def refuse_bad_text(model: onnx.ModelProto, origin: str) -> None:
    """Raise UsageError when a name, an operator or another string of the model is no UTF-8."""
    graph = model.graph
    for tensor in graph.initializer:
        entries = chain.from_iterable((e.key, e.value) for e in tensor.external_data)
        if not _all_text((tensor.name, *entries)):
            raise _no_text(origin, tensor)
    parts = chain(
        *(graph.node, graph.input, graph.output, graph.value_info, graph.sparse_initializer),
        *(graph.quantization_annotation, graph.metadata_props),
        *(model.functions, model.opset_import, model.metadata_props, model.training_info),
    )
    for part in parts:
        # Nearly every node is plain ASCII, lengths included: that is told without a look at its fields.
        if not part.SerializeToString().isascii() and not _is_text(part):
            raise _no_text(origin, part)
    scalars = (graph.name, graph.doc_string, model.doc_string, model.domain, model.producer_name)
    if not _all_text((*scalars, model.producer_version)):
        raise _no_text(origin, model)


def _all_text(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _is_text(message: Any) -> bool:
    for descriptor, value in message.ListFields():
        values = value if descriptor.is_repeated else [value]
        if descriptor.type == FieldDescriptor.TYPE_STRING and not _all_text(values):
            return False
        if descriptor.message_type is not None and not all(map(_is_text, values)):
            return False
    return True


def _no_text(origin: str, part: Any) -> UsageError:
    kind = type(part).__name__.removesuffix("Proto")
    return UsageError(
        f"{origin} holds a name that is no UTF-8 text (in a {kind})", "rename it, or export the model again"
    )
