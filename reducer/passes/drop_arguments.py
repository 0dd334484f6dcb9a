"""Optional inputs and outputs of nodes go, lists of variable length get shorter; so does the interface with them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import onnx

from reducer.drafts import Draft, DraftEdit, names_read
from reducer.errors import EditConflict
from reducer.passes.base import ReductionPass, Stage
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_size import is_small


@dataclass(frozen=True)
class KeepArguments(DraftEdit):
    """The node `node` reads (or, with `outputs`, writes) only the arguments at the positions `kept`; those that
    follow a kept one stay in place as omitted, unless the list is `variadic` and closes up."""

    node: str
    kept: tuple[int, ...]
    outputs: bool = False
    variadic: bool = False

    def change(self, draft: Draft) -> None:
        node = next((n for n in draft.nodes() if n.name == self.node), None)
        if node is None:
            raise EditConflict("the node is gone")
        names = list(node.output if self.outputs else node.input)
        if self.variadic:
            new = [names[i] for i in self.kept if i < len(names)]
        else:
            new = [name if i in self.kept else "" for i, name in enumerate(names)]
            while new and not new[-1]:
                new.pop()
        if new == names or (self.outputs and not any(new)):
            raise EditConflict("these arguments are gone")
        if self.outputs and set(names) - set(new) - {""} & names_read(draft.model.graph):
            raise EditConflict("somebody reads this output")
        del (node.output if self.outputs else node.input)[:]
        (node.output if self.outputs else node.input).extend(new)
        draft.sweep()

    def __str__(self) -> str:
        what = "outputs" if self.outputs else "inputs"
        return f"{what} of {self.node}: only those at {list(self.kept)}"


class DropArguments(ReductionPass[OnnxProgram]):
    """Per node: the required ones alone, then without each optional one; one of a variable list, then half, then
    without each."""

    name: ClassVar[str] = "drop optional inputs and outputs"
    stage: ClassVar[Stage] = Stage.SIMPLIFY
    rank: ClassVar[int] = 20
    patience: ClassVar[int] = 24
    changes_values: ClassVar[bool] = True

    def propose(self, program: OnnxProgram) -> Iterable[KeepArguments]:
        if not is_small(program):
            return []
        draft = Draft.of(program)
        edits: list[KeepArguments] = []
        for node in draft.nodes():
            edits += _of_node(node, draft.opset(node.domain), outputs=False)
            edits += _of_node(node, draft.opset(node.domain), outputs=True)
        return edits


def _of_node(node: onnx.NodeProto, opset: int, *, outputs: bool) -> list[KeepArguments]:
    names = list(node.output if outputs else node.input)
    everything = tuple(range(len(names)))
    needed, least = _required(node, names, opset, outputs=outputs)
    loose = [i for i in everything if i not in needed]
    if not loose:
        return []
    if least is not None:  # a list of variable length
        sets = [everything[:least], everything[-least:] if least else (), everything[: max(least, len(names) // 2)]]
        sets += [tuple(j for j in everything if j != i) for i in reversed(everything) if len(names) > least]
        return [KeepArguments(node.name, kept, outputs, True) for kept in dict.fromkeys(sets) if kept != everything]
    sets = [tuple(needed), *(tuple(j for j in everything if j != i) for i in reversed(loose) if names[i])]
    return [KeepArguments(node.name, kept, outputs) for kept in dict.fromkeys(sets) if kept != everything]


def _required(node: onnx.NodeProto, names: list[str], opset: int, *, outputs: bool) -> tuple[set[int], int | None]:
    """(positions that must stay, least length of a list of variable length or None)."""
    try:
        schema: Any = onnx.defs.get_schema(node.op_type, opset or 1, node.domain)
    except onnx.defs.SchemaError:
        return ({0} if outputs else set()), (1 if outputs else 0)
    formals = schema.outputs if outputs else schema.inputs
    option = onnx.defs.OpSchema.FormalParameterOption
    if formals and formals[-1].option == option.Variadic:
        fixed = len(formals) - 1
        least = schema.min_output if outputs else schema.min_input
        # Loop and Scan tie their lists to their bodies.
        if fixed or any(a.HasField("g") for a in node.attribute):
            return set(range(len(names))), None
        return set(range(least)), least
    return {i for i, formal in enumerate(formals) if formal.option != option.Optional}, None
