"""Where a wrong output begins: nodes that make something wrong of values that agree.

The outputs of two faulty operators look alike (a value differs). What tells them apart is the first node on the way to
the output that differs though what it reads does not, seen by converting the graph once with every tensor as an output.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reducer.errors import EditConflict, ToolFault
from reducer.programs.base import NodeId
from reducer.programs.graphdef import GraphProgram
from reducer.programs.graphdef_source import GraphRecord
from reducer.worker.host import Host
from reducer.worker.protocol import FAULT, RETURNED, Call

# One conversion with every tensor as an output: beyond that many it costs more than a bisection.
MOST_TENSORS = 1500
# How the context of a signature names the operator.
BEGINS = "begins at "


@dataclass(frozen=True)
class Beginning:
    """A node with which something wrong begins, and the kind of the difference there: empty where it was not asked
    for, since the node is the only one and its outputs are what is compared."""

    record: GraphRecord
    kind: str = ""

    @property
    def op_type(self) -> str:
        """The operator."""
        return self.record.ref.op_type


def beginnings(host: Host, program: GraphProgram, how: Mapping[str, Any], seconds: float) -> list[Beginning]:
    """Nodes whose output differs while what they read agrees, in program order; none when it cannot be told, such as
    when the failure is gone with so many outputs. `how` is {"how", "settings"} on the wire. Raises ToolFault."""
    if len(program.records) == 1:
        return [Beginning(program.records[0])]  # there is no other
    source = program.source
    tensors = [t.name for r in program.records for t in r.outputs if t.value is not None]
    if len(tensors) > MOST_TENSORS:
        return []
    try:
        order = program.order()
    except EditConflict:
        return []
    order["outputs"] = tensors
    order["expected"] = {n: ref.to_wire() for n in tensors if (ref := source.tensors[n].value) is not None}
    answer = host.call(Call(f"{program.tasks}:differing", {"order": order, **how}, (), seconds))
    if answer.outcome == FAULT:
        raise ToolFault(f"a fault of onnx-reduce in the worker:\n{answer.stderr}")
    if answer.outcome != RETURNED:
        return []
    wrong = answer.value["differing"]
    found = []
    for record in program.records:
        kind = next((wrong[t.name] for t in record.outputs if t.name in wrong), None)
        if kind is not None and not any(name in wrong for name in record.reads):
            found.append(Beginning(record, kind))
    return found


def leading_to(program: GraphProgram, tensor: str) -> frozenset[NodeId]:
    """The nodes that a tensor follows from."""
    source, found = program.source, set()
    stack = [tensor]
    while stack:
        record = source.producer.get(stack.pop())
        if record is not None and record.ref.id not in found:
            found.add(record.ref.id)
            stack.extend(record.reads)
    return frozenset(found)


def widened(compare: Mapping[str, Any], times: float) -> dict[str, Any]:
    """The settings of a comparison with tolerances that many times as large."""
    table = {dtype: [times * rtol, times * atol] for dtype, (rtol, atol) in compare["tolerances"].items()}
    return {**compare, "tolerances": table, "default": [times * number for number in compare["default"]]}
