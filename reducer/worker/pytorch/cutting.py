"""A set of nodes becomes a module of its own: what it read from the others comes in with its recorded value
(child side; torch's graphs with the rules of engine.md section 0).

An output is a kept node that a dropped node reads, or that nobody reads: a sink must never be pruned.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from reducer.worker.pytorch.graph import Level, copied, is_getitem


class Uncuttable(Exception):
    """These nodes make no module: they give no tensor, or read what cannot be an input."""


@dataclass(frozen=True)
class Cut:
    """A GraphModule with the values of its placeholders by name: `inputs`, and `constants` that are none.

    `origin` maps a node's name in the source to the node here.
    """

    module: Any
    inputs: dict[str, Any]
    constants: dict[str, Any]
    origin: dict[str, Any]

    @property
    def placeholders(self) -> list[Any]:
        """The placeholders in order."""
        return [node for node in self.module.graph.nodes if node.op == "placeholder"]

    @property
    def values(self) -> list[Any]:
        """A fresh copy of what every placeholder is fed, in order."""
        held = {**self.inputs, **self.constants}
        return [copied(held[str(node.target)]) for node in self.placeholders]


class _Builder:
    def __init__(self, level: Level, keep: frozenset[int], constant: Callable[[str], bool]) -> None:
        import torch

        self.level, self.keep, self.constant = level, keep, constant
        self.graph, self.root = torch.fx.Graph(), torch.nn.Module()
        self.env: dict[Any, Any] = {}
        self.inputs: dict[str, Any] = {}
        self.constants: dict[str, Any] = {}
        self.made: dict[str, Any] = {}

    def outside(self, node: Any) -> Any:
        """What a node that is not kept becomes: an input, a constant, or its plain value."""
        if node not in self.env:
            self.env[node] = self._attribute(node) if node.op == "get_attr" else self._value(node.name, self._of(node))
        return self.env[node]

    def _of(self, node: Any) -> Any:
        if node.name not in self.level.values:
            raise Uncuttable(f"nothing is known of {node.name}")
        return self.level.values[node.name]

    def _attribute(self, node: Any) -> Any:
        held: Any = self.level.module
        for part in str(node.target).split("."):
            held = getattr(held, part)
        if hasattr(held, "graph"):
            name = str(node.target).replace(".", "_")
            self.root.add_module(name, held)
            return self.graph.get_attr(name)
        return self._value(node.name, held)

    def _value(self, name: str, value: Any) -> Any:
        import torch

        if isinstance(value, torch.Tensor):
            if self.constant(name):
                self.constants[name] = value
            else:
                self.inputs[name] = value
            return self._placeholder(name)
        if isinstance(value, list | tuple):
            made = [self._value(f"{name}_{number}", item) for number, item in enumerate(value)]
            return type(value)(made) if type(value) in (list, tuple) else made
        if value is None or isinstance(value, bool | int | float | complex | str):
            return value
        if isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool):
            return value.node.hint
        if isinstance(value, torch.dtype | torch.device | torch.layout | torch.memory_format):
            return value
        raise Uncuttable(f"{name} is a {type(value).__name__}, which cannot be an input")

    def _placeholder(self, name: str) -> Any:
        """Placeholders stand first, in the order in which they were asked for."""
        if name in self.made:
            return self.made[name]
        after = next((n for n in reversed(list(self.graph.nodes)) if n.op == "placeholder"), None)
        point = (
            self.graph.inserting_after(after) if after is not None else self.graph.inserting_before(_first(self.graph))
        )
        with point:
            self.made[name] = self.graph.placeholder(name)
        return self.made[name]

    def copy(self, node: Any) -> None:
        """One kept node."""
        import torch

        sources = {
            source: self.env[source] if source in self.env else self.outside(source) for source in node.all_input_nodes
        }
        args = torch.fx.node.map_arg(node.args, sources.__getitem__)
        kwargs = torch.fx.node.map_arg(node.kwargs, sources.__getitem__)
        made = self.graph.create_node("call_function", node.target, args, kwargs, name=node.name)
        made.meta = {k: v for k, v in node.meta.items() if k in ("stack_trace", "nn_module_stack", "from_node")}
        self.env[node] = made

    def outputs(self, kept: Sequence[Any]) -> list[Any]:
        """The tensors that leave, in order; a sink with several outputs leaves through all of them."""
        found = []
        inside = set(kept)
        for node in kept:
            left = not node.users or any(user not in inside for user in node.users)
            value = self.level.values.get(node.name)
            if left and _is_tensor(value):
                found.append(self.env[node])
            elif left and isinstance(value, list | tuple) and not any(is_getitem(user) for user in node.users):
                for number, item in enumerate(value):
                    if _is_tensor(item):
                        found.append(self.graph.call_function(operator.getitem, (self.env[node], number)))
        return found


def cut(level: Level, keep: frozenset[int], constant: Callable[[str], bool] = lambda _: False) -> Cut:
    """The module of the units `keep`. `constant(name)`: this placeholder is a constant, no input. Raises Uncuttable."""
    import torch

    builder = _Builder(level, keep, constant)
    kept = [node for node in level.module.graph.nodes if level.ids.get(node) in keep]
    for node in kept:
        builder.copy(node)
    outputs = builder.outputs(kept)
    if not outputs:
        raise Uncuttable("no tensor leaves these nodes")
    builder.graph.output(tuple(outputs))
    module = torch.fx.GraphModule(builder.root, builder.graph)
    origin = {node.name: builder.env[node] for node in kept}
    return Cut(module, builder.inputs, builder.constants, origin)


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _first(graph: Any) -> Any:
    return next(iter(graph.nodes), graph._root)
