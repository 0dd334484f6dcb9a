"""Bypass nodes inside local functions that have to stay functions: what reads a node's output reads one of its inputs.

A function that can be inlined is reduced at the top level; this is for failures of the call itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from reducer.drafts import Draft, DraftEdit
from reducer.errors import EditConflict
from reducer.passes.base import ReductionPass, Stage
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_size import is_small
from reducer.programs.onnx_source import rename_reads


@dataclass(frozen=True)
class BypassInFunction(DraftEdit):
    """Without the node that writes `output` in the function `domain`.`function`; `stand_in` is read instead, or
    nothing where nobody reads it ("")."""

    domain: str
    function: str
    output: str
    stand_in: str

    def change(self, draft: Draft) -> None:
        for function in draft.model.functions:
            if (function.domain, function.name) != (self.domain, self.function):
                continue
            for position, node in enumerate(function.node):
                if self.output in node.output:
                    if self.stand_in and (len(node.output) > 1 or self.stand_in not in node.input):
                        raise EditConflict("this node cannot be bypassed")
                    table = {self.output: self.stand_in}
                    del function.node[position]
                    rename_reads(function.node, table if self.stand_in else {})
                    function.output[:] = [table.get(name, name) or name for name in function.output]
                    draft.reshaped = True
                    return
        raise EditConflict("the node is gone")


class ShrinkFunction(ReductionPass[OnnxProgram]):
    """Every node of every function that is called, last first, with each of its inputs as stand-in."""

    name: ClassVar[str] = "bypass nodes in functions"
    stage: ClassVar[Stage] = Stage.INSIDE
    rank: ClassVar[int] = 60
    changes_values: ClassVar[bool] = True

    def propose(self, program: OnnxProgram) -> Iterable[BypassInFunction]:
        if not is_small(program) or not program.functions:
            return []
        edits = []
        for function in Draft.of(program).model.functions:
            read = {name for node in function.node for name in node.input} | set(function.output)
            for node in reversed(function.node):
                stand_ins = [name for name in dict.fromkeys(node.input) if name] if len(node.output) == 1 else []
                if not any(name in read for name in node.output):
                    stand_ins = [""]
                edits += [BypassInFunction(function.domain, function.name, node.output[0], s) for s in stand_ins]
        return edits
