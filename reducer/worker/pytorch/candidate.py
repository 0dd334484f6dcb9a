"""A candidate as the parent orders it, nodes of a level and edits, built into a cut (child side)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from reducer.worker.pytorch import literals
from reducer.worker.pytorch.cutting import Cut, Uncuttable, cut
from reducer.worker.pytorch.graph import Level

SEED = 0


@dataclass(frozen=True)
class Built:
    """The cut with edited arguments and inputs, and the code of every input and constant by name, in order."""

    cut: Cut
    code: dict[str, str]
    saved: dict[str, Any]


def build(level: Level, order: Mapping[str, Any]) -> Built:
    """The candidate `order` {keep, edits, constants}. Raises Uncuttable, or what an edit makes torch raise.

    edits: ["default", id, argument], ["dtype", from], ["resize", old, new], ["narrow", input, dim, size],
    ["values", input or "*", kind]. With `constants`, parameters and buffers stay constants.
    """
    import torch

    lifted = level.constants if order.get("constants") else frozenset()
    made = cut(level, frozenset(order["keep"]), lifted.__contains__)
    edits = order.get("edits", [])
    for kind, *rest in edits:
        if kind == "default":
            _to_default(made, level.units[rest[0]].name, rest[1])
        elif kind == "resize":
            _resize_arguments(made, *rest)
    inputs = {name: _edited(name, value, edits) for name, value in made.inputs.items()}
    kinds = {name: kind for word, *rest in edits if word == "values" for name, kind in [rest]}
    code, saved = {}, {}
    for node in made.placeholders:
        name = str(node.target)
        held = inputs[name] if name in inputs else made.constants[name]
        kind = kinds.get(name, kinds.get("*", "recorded"))
        code[name] = literals.tensor(name, held, "recorded" if _is_pinned(held, kind) else kind)
        if literals.SAVED in code[name]:
            saved[name] = (held.float() if held.dtype == torch.bfloat16 else held).contiguous().numpy()
    if kinds:
        torch.manual_seed(SEED)
        valued = {name: literals.evaluate(text, saved) for name, text in code.items()}
        inputs = {name: valued[name] for name in inputs}
        made = replace(made, constants={name: valued[name] for name in made.constants})
    return Built(replace(made, inputs=inputs), code, saved)


def _is_pinned(value: Any, kind: str) -> bool:
    """Whether a value cannot be of that kind: what torch cannot make of small numbers stays recorded."""
    import torch

    return kind == "arange" and value.dtype == torch.bool


def _edited(name: str, value: Any, edits: list[list[Any]]) -> Any:
    import torch

    for kind, *rest in edits:
        if kind == "dtype" and str(value.dtype) == rest[0]:
            value = value.to(torch.float32)
        elif kind == "resize":
            for dim, size in enumerate(value.shape):
                if size == rest[0]:
                    value = value.narrow(dim, 0, rest[1])
        elif kind == "narrow" and rest[0] == name:
            if value.dim() <= rest[1] or value.shape[rest[1]] < rest[2]:
                raise Uncuttable("the dim is smaller already")
            value = value.narrow(rest[1], 0, rest[2])
    return value.contiguous()


def _to_default(made: Cut, name: str, argument: str) -> None:
    """Leave an argument out of a call; those behind it are then given by name."""
    node = made.origin.get(name)
    if node is None:
        raise Uncuttable("the node is gone")
    schema = node.target._schema.arguments
    given = dict(zip([item.name for item in schema], node.args, strict=False))
    given.update(node.kwargs)
    given.pop(argument, None)
    positional, named, open_ = [], {}, True
    for item in schema:
        open_ = open_ and item.name in given and not item.kwarg_only
        if item.name in given and open_:
            positional.append(given[item.name])
        elif item.name in given:
            named[item.name] = given[item.name]
    node.args, node.kwargs = tuple(positional), named
    _drop_unused(made)


def _drop_unused(made: Cut) -> None:
    """Placeholders that nobody reads any more."""
    for node in made.placeholders:
        if not node.users:
            made.inputs.pop(str(node.target), None)
            made.constants.pop(str(node.target), None)
            made.module.graph.erase_node(node)
    made.module.recompile()


def _resize_arguments(made: Cut, old: int, new: int) -> None:
    """Sizes in lists of integers follow the inputs."""
    import torch

    def follow(value: Any) -> Any:
        if isinstance(value, list | tuple) and len(value) > 1 and all(isinstance(item, int) for item in value):
            return type(value)(new if item == old and item is not True else item for item in value)
        return value

    for node in made.module.graph.nodes:
        if node.op == "call_function" and hasattr(node.target, "_schema"):
            node.args = tuple(follow(value) for value in node.args)
            node.kwargs = {key: follow(value) for key, value in node.kwargs.items()}
    assert isinstance(made.module, torch.fx.GraphModule)
    made.module.recompile()
