"""The node that the failure's message names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from reducer.finding import Suspect
from reducer.localizers.base import Evidence, Localizer, called
from reducer.localizing import inner_nodes, nodes_named, nodes_of_tensors, nodes_of_types
from reducer.observation import plain


class MessageLocalizer(Localizer):
    """By node name, then by tensor name, then by op type; only nodes that are left count."""

    name: ClassVar[str] = "message"
    rank: ClassVar[int] = 20

    def locate(self, evidence: Evidence) -> Iterable[Suspect]:
        program, message = evidence.reduced, evidence.message
        named = nodes_named(program, message)
        how = "the message names this node"
        if not named:
            named = [node for group in nodes_of_tensors(program, message) for node in group]
            how = "the message names a tensor of this node"
        if not named:
            named = nodes_of_types(program, message)
            how = "the message names this operator"
        quoted = plain(message)
        for node in dict.fromkeys(named):
            record = program.record(node)
            inside = inner_nodes(program, record)
            inner = [ref for ref in inside if ref.name in message] or [r for r in inside if r.op_type in message]
            for ref in [*inner[:1], record.ref]:
                yield Suspect("op", ref.op_type, f"{how}: {quoted}", called(ref, ref.name), evidence.project)
