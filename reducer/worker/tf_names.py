"""Names that tell nothing of the source (child side): for the nodes of a frozen graph and all that is in its library.

x_0, x_1 ... for what is fed, c_0 ... for constants, and the operator's own name for the rest. Each ends with a number,
so that no word of a message is one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

LETTERS = {"Placeholder": "x", "Const": "c"}
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def rename(graph: Any) -> dict[str, str]:
    """Rename nodes and library functions of a GraphDef in place; {old name: new name}, nodes inside functions too."""
    functions = {f.signature.name: f"function_{n}" for n, f in enumerate(graph.library.function)}
    table = _table(graph.node)
    for node in graph.node:
        _rewrite(node, table, functions)
    inner: dict[str, str] = {}
    for function in graph.library.function:
        inner.update(_rename_function(function, functions))
    return {**inner, **functions, **table}


def renamed(tensor: str, table: dict[str, str]) -> str:
    """A tensor, a control input or a node under its new name."""
    control = "^" if tensor.startswith("^") else ""
    name, colon, rest = tensor.removeprefix("^").partition(":")
    return f"{control}{table.get(name, name)}{colon}{rest}"


def _table(nodes: Iterable[Any]) -> dict[str, str]:
    counts: Counter[str] = Counter()
    found = {}
    for node in nodes:
        base = LETTERS.get(node.op) or _HUMP.sub("_", node.op).lower()
        found[node.name] = f"{base}_{counts[base]}"
        counts[base] += 1
    return found


def _rewrite(node: Any, table: dict[str, str], functions: dict[str, str]) -> None:
    node.name = table[node.name]
    node.op = functions.get(node.op, node.op)
    node.ClearField("experimental_debug_info")
    references = [renamed(text, table) for text in node.input]
    del node.input[:]
    node.input.extend(references)
    for attribute in node.attr.values():
        called = [attribute.func] if attribute.HasField("func") else []
        for function in (*called, *attribute.list.func):
            function.name = functions.get(function.name, function.name)


def _rename_function(function: Any, functions: dict[str, str]) -> dict[str, str]:
    """Its own name, its inputs and its nodes. Outputs keep theirs: other functions read them by it."""
    signature = function.signature
    table = _table(function.node_def)
    table.update({argument.name: f"a_{number}" for number, argument in enumerate(signature.input_arg)})
    signature.name = functions[signature.name]
    for argument in signature.input_arg:
        argument.name = table[argument.name]
    function.arg_attr.clear()
    for node in function.node_def:
        _rewrite(node, table, functions)
    for output in (function.ret, function.control_ret):
        for name in list(output):
            output[name] = renamed(output[name], table)
    return table
