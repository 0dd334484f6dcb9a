"""Attributes that an operator does not require go: it then takes their defaults. All at once, then one by one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import onnx

from reducer.drafts import Draft, DraftEdit
from reducer.errors import EditConflict
from reducer.passes.base import ReductionPass, Stage
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_size import is_small

Address = tuple[str, str]


@dataclass(frozen=True)
class DropAttributes(DraftEdit):
    """Without these (node, attribute) pairs."""

    gone: tuple[Address, ...]

    def change(self, draft: Draft) -> None:
        left = set(self.gone)
        for node in draft.nodes():
            for position in reversed(range(len(node.attribute))):
                address = (node.name, node.attribute[position].name)
                if address in left:
                    left.discard(address)
                    del node.attribute[position]
        if len(left) == len(self.gone):
            raise EditConflict("these attributes are gone")
        draft.forget_shapes()

    def __str__(self) -> str:
        return f"without {', '.join(name for _, name in self.gone)}"


class DropAttributesPass(ReductionPass[OnnxProgram]):
    """Bodies are no attributes here; operators without a schema may lose any of theirs."""

    name: ClassVar[str] = "drop attributes"
    stage: ClassVar[Stage] = Stage.SIMPLIFY
    rank: ClassVar[int] = 30
    patience: ClassVar[int] = 24
    changes_values: ClassVar[bool] = True

    def propose(self, program: OnnxProgram) -> Iterable[DropAttributes]:
        if not is_small(program):
            return []
        draft = Draft.of(program)
        optional = [(node.name, name) for node in draft.nodes() for name in _optional(node, draft)]
        if not optional:
            return []
        edits = [DropAttributes(tuple(optional))]
        return edits + [DropAttributes((address,)) for address in optional] if len(optional) > 1 else edits


def _optional(node: onnx.NodeProto, draft: Draft) -> list[str]:
    plain = [a.name for a in node.attribute if not a.HasField("g") and not a.graphs]
    try:
        schema = onnx.defs.get_schema(node.op_type, draft.opset(node.domain) or 1, node.domain)
    except onnx.defs.SchemaError:
        return plain
    # Constant requires one of many and says so of none.
    if node.op_type == "Constant":
        return []
    required = {name for name, attribute in schema.attributes.items() if attribute.required}
    return [name for name in plain if name not in required]
