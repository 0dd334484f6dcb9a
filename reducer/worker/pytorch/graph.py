"""A captured FX graph with the value of every node: what candidates are cut out of (child side, step 5).

Nodes that can be cut are the call nodes but for getitem, which goes with the node whose output it picks apart, and
for bookkeeping without a tensor (assertions). Ids count those nodes from 0 in graph order.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

# Their outputs hold whatever the memory held.
UNINITIALIZED = ("empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided")


@dataclass(frozen=True)
class Level:
    """One graph of a model. `values` are by node name; `constants` names placeholders that are no user inputs."""

    module: Any
    values: dict[str, Any]
    constants: frozenset[str] = frozenset()
    names: dict[str, str] = field(default_factory=dict)

    @cached_property
    def units(self) -> list[Any]:
        """The nodes that can be cut."""
        return [node for node in self.module.graph.nodes if is_unit(node)]

    @cached_property
    def ids(self) -> dict[Any, int]:
        """The id of every unit; of a getitem, the id of the unit that it picks apart."""
        found = {node: number for number, node in enumerate(self.units)}
        for node in self.module.graph.nodes:
            if is_getitem(node) and root_of(node) in found:
                found[node] = found[root_of(node)]
        return found


def is_getitem(node: Any) -> bool:
    """Whether the node picks one output of a node that has several."""
    return node.op == "call_function" and node.target is operator.getitem and hasattr(node.args[0], "op")


def root_of(node: Any) -> Any:
    """The node whose output is picked apart, through any number of getitems."""
    while is_getitem(node):
        node = node.args[0]
    return node


def is_unit(node: Any) -> bool:
    """Whether the node can be cut on its own."""
    return node.op == "call_function" and not (is_getitem(node) and root_of(node).op == "call_function")


def target_name(target: Any) -> str:
    """How a target is called: aten.sort.stable, higher_order.cond, torch.zeros, operator.add."""
    name = str(target) if hasattr(target, "_schema") else ""
    if name:
        return name
    import torch

    if isinstance(target, torch._ops.HigherOrderOperator):
        return f"higher_order.{target.name()}"
    module = getattr(target, "__module__", "") or ""
    return f"{module.removeprefix('_')}.{getattr(target, '__name__', target)}".strip(".")


def is_random(target: Any) -> bool:
    """Whether two calls with the same inputs may differ by design: random numbers, uninitialised memory."""
    import torch

    tags = getattr(target, "tags", ())
    packet = getattr(getattr(target, "overloadpacket", None), "__name__", "")
    return torch.Tag.nondeterministic_seeded in tags or (hasattr(target, "_schema") and packet in UNINITIALIZED)


def is_random_here(node: Any, values: Mapping[str, Any]) -> bool:
    """Whether this call gives other values each time: an operator that may (attention, for its dropout) need not."""
    import torch
    from torch.utils import _pytree

    if not is_random(node.target):
        return False
    packet = getattr(getattr(node.target, "overloadpacket", None), "__name__", "")
    if packet in UNINITIALIZED:
        return True
    made = []
    try:
        with torch.no_grad(), torch.random.fork_rng():
            for seed in (1, 2):
                given = torch.fx.node.map_arg((node.args, node.kwargs), lambda source: copied(values[source.name]))
                torch.manual_seed(seed)
                made.append(_pytree.tree_leaves(node.target(*given[0], **given[1])))
        return not all(_same(one, other) for one, other in zip(*made, strict=True))
    except Exception:  # noqa: BLE001 - what cannot be run again is left for random
        return True


def _same(one: Any, other: Any) -> bool:
    import torch

    if isinstance(one, torch.Tensor):
        equal = torch.allclose(one, other, equal_nan=True) if one.is_floating_point() else torch.equal(one, other)
        return bool(equal)
    return bool(one == other)


def record(module: Any, inputs: list[Any]) -> dict[str, Any]:
    """The value of every node of a graph, by name, from one run. Values are copies: later nodes may write in place."""
    import torch

    values: dict[str, Any] = {}

    class Recorder(torch.fx.Interpreter):  # type: ignore[misc]
        def run_node(self, n: Any) -> Any:
            made = super().run_node(n)
            values[n.name] = copied(made)
            return made

    with torch.no_grad():
        Recorder(module).run(*copied(inputs))
    return values


def copied(value: Any) -> Any:
    """The value with tensors cloned, so that nothing done to one is seen in the other."""
    import torch
    from torch.utils import _pytree

    def clone(leaf: Any) -> Any:
        return leaf.detach().clone() if isinstance(leaf, torch.Tensor) else leaf

    return _pytree.tree_map(clone, value)


def of_program(program: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Level:
    """The level of an ExportedProgram with the values that its inputs give."""
    inputs = _with_tokens(program, list(program._graph_module_flat_inputs(args, kwargs)))
    user = set(program.graph_signature.user_inputs)
    placeholders = [node.name for node in program.graph_module.graph.nodes if node.op == "placeholder"]
    targets = {spec.arg.name: spec.target for spec in program.graph_signature.input_specs if hasattr(spec.arg, "name")}
    constants = frozenset(name for name in placeholders if name not in user)
    names = {name: str(targets[name]) for name in constants if targets.get(name)}
    return Level(program.graph_module, record(program.graph_module, inputs), constants, names)


def _with_tokens(program: Any, inputs: list[Any]) -> list[Any]:
    """The inputs with those that only order side effects (assertions, prints): they carry no value."""
    import torch

    for position, spec in enumerate(program.graph_signature.input_specs):
        if spec.kind.name == "TOKEN":
            inputs.insert(position, torch.tensor([]))
    return inputs


def table(level: Level) -> list[dict[str, Any]]:
    """What the parent knows of every unit: [{id, name, target, inputs, line, scope, inner, random, arguments}]."""
    rows = []
    for number, node in enumerate(level.units):
        reads = {level.ids[source] for source in node.all_input_nodes if source in level.ids}
        rows.append(
            {
                "id": number,
                "name": node.name,
                "target": target_name(node.target),
                "inputs": sorted(reads - {number}),
                "line": user_line(node),
                "scope": _scope(node),
                "inner": _inner(level.module, node),
                "random": is_random_here(node, level.values),
                "arguments": _defaultable(node),
            }
        )
    return rows


def user_line(node: Any) -> str:
    """ "file.py:12 forward: code" of the user's code that called this."""
    trace = node.meta.get("stack_trace") or ""
    lines = [line.strip() for line in trace.splitlines()]
    for position in range(len(lines) - 1, -1, -1):
        if lines[position].startswith("File ") and "site-packages" not in lines[position]:
            where = lines[position].removeprefix("File ").split(", ")
            code = lines[position + 1] if position + 1 < len(lines) else ""
            file = where[0].strip('"').replace("\\", "/").rsplit("/", 1)[-1]
            number = where[1].removeprefix("line ") if len(where) > 1 else "?"
            return f"{file}:{number} {where[-1].removeprefix('in ')}: {code}"
    return ""


def _scope(node: Any) -> str:
    stack = node.meta.get("nn_module_stack") or {}
    paths = [str(path) for path, _ in stack.values()]
    return paths[-1] if paths else ""


def _inner(module: Any, node: Any) -> list[str]:
    """Names of the call nodes in the sub-graphs that a higher-order node calls."""
    names: list[str] = []
    for source in node.all_input_nodes:
        body: Any = getattr(module, str(source.target), None) if source.op == "get_attr" else None
        if hasattr(body, "graph"):
            names += [inner.name for inner in body.graph.nodes if inner.op == "call_function"]
    return names


def _defaultable(node: Any) -> list[str]:
    """Arguments that are given and have another default: they may be tried at it, last first."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return []
    given = {argument.name: value for argument, value in zip(schema.arguments, node.args, strict=False)}
    given.update(node.kwargs)
    found = []
    for argument in reversed(schema.arguments):
        if argument.name in given and argument.has_default_value():
            value = given[argument.name]
            if hasattr(value, "op") or value != argument.default_value:
                found.append(argument.name)
    return found
