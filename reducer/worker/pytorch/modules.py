"""A cut as the source text of a plain nn.Module, and that text as a module again (child side, step 9).

The text is what the repro script holds; the verdict at the end is given on the text, through the public API.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from reducer.worker.pytorch.cutting import Cut
from reducer.worker.pytorch.graph import is_getitem, target_name
from reducer.worker.pytorch.literals import argument
from reducer.worker.pytorch.loading import HELD

CLASS = "Reduced"
# Namespaces of operators that torch itself brings.
OWN = (
    "aten",
    "prims",
    "prim",
    "higher_order",
    "torch",
    "_c10d_functional",
    "quantized",
    "quantized_decomposed",
    "mkldnn",
)


class Unwritable(Exception):
    """The module cannot be written as Python source."""


def neutral_names(cut: Cut) -> dict[str, str]:
    """New names for inputs and constants that come from the user's own code: x0, x1 ... and c0, c1 ..., none of which
    a node has. Nodes themselves are called by their operators."""
    taken = {node.name for node in cut.module.graph.nodes if node.op != "placeholder"}
    names: dict[str, str] = {}
    for node in cut.placeholders:
        letter = "x" if str(node.target) in cut.inputs else "c"
        free = (name for number in itertools.count() if (name := f"{letter}{number}") not in taken)
        names[str(node.target)] = next(free)
        taken.add(names[str(node.target)])
    return names


def source_of(cut: Cut, constants: Mapping[str, str], names: Mapping[str, str] = MappingProxyType({})) -> str:
    """Python source of a class Reduced. `constants` is the code of each constant, by name; inputs and constants get
    their new `names`."""
    bodies: list[str] = []
    lines = _class(cut.module, CLASS, bodies, dict(constants), names)
    return "\n\n\n".join([*bodies, lines])


def _class(
    module: Any,
    name: str,
    bodies: list[str],
    constants: dict[str, str],
    names: Mapping[str, str] = MappingProxyType({}),
) -> str:
    graph = module.graph
    setup, inner = [], {}
    for node in graph.nodes:
        if node.op == "get_attr":
            held = getattr(module, str(node.target), None)
            if not hasattr(held, "graph"):
                raise Unwritable(f"{node.target} is no graph")
            title = "".join(part.capitalize() for part in str(node.target).split("_")) or "Body"
            title = f"{title}{len(bodies)}"
            bodies.append(_class(held, title, bodies, {}))
            inner[str(node.target)] = title
    setup += [f"        self.{attribute} = {title}()" for attribute, title in inner.items()]
    setup += [
        f'        self.register_buffer("{names.get(attribute, attribute)}", {code})'
        for attribute, code in constants.items()
    ]
    head = f"class {name}(torch.nn.Module):\n"
    if setup:
        head += "    def __init__(self):\n        super().__init__()\n" + "\n".join(setup) + "\n\n"
    inputs = [str(n.target) for n in graph.nodes if n.op == "placeholder" and str(n.target) not in constants]
    inputs = [names.get(one, one) for one in inputs]
    body = [f"        {line}" for line in _lines(graph, constants, names)]
    return head + f"    def forward({', '.join(['self', *inputs])}):\n" + "\n".join(body)


def _lines(graph: Any, constants: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    names: dict[Any, str] = {}
    lines = []
    for node in graph.nodes:
        if node.op == "placeholder":
            target = str(node.target)
            called = new.get(target, target)
            names[node] = f"self.{called}" if target in constants else called
        elif node.op == "get_attr":
            names[node] = f"self.{node.target}"
        elif node.op == "call_function":
            names[node] = node.name
            lines.append(f"{node.name} = {_call(node, names)}")
        elif node.op == "output":
            lines.append(f"return {_argument(node.args[0], names)}")
        else:
            raise Unwritable(f"a node of kind {node.op}")
    return lines


def _call(node: Any, names: Mapping[Any, str]) -> str:
    if is_getitem(node):
        return f"{_argument(node.args[0], names)}[{_argument(node.args[1], names)}]"
    given = [_argument(value, names) for value in node.args]
    given += [f"{key}={_argument(value, names)}" for key, value in node.kwargs.items()]
    return f"{_callee(node.target)}({', '.join(given)})"


def _callee(target: Any) -> str:
    name = target_name(target)
    if hasattr(target, "_schema") or name.startswith("higher_order."):
        return f"torch.ops.{name}"
    if re.fullmatch(r"operator\.\w+", name):
        return name
    if re.fullmatch(r"torch(\.\w+)*", name):
        return name
    raise Unwritable(f"{name} has no public name")


def _argument(value: Any, names: Mapping[Any, str]) -> str:
    if value in names if _is_node(value) else False:
        return names[value]
    if isinstance(value, list):
        return "[" + ", ".join(_argument(item, names) for item in value) + "]"
    if isinstance(value, tuple):
        inside = ", ".join(_argument(item, names) for item in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_argument(item, names)}" for key, item in value.items()) + "}"
    try:
        return argument(value)
    except TypeError as error:
        raise Unwritable(str(error)) from error


def _is_node(value: Any) -> bool:
    import torch

    return isinstance(value, torch.fx.Node)


def imports_of(source: str, *, own: bool) -> list[str] | None:
    """Import lines that the text needs: torch, and what registers the operators that are not torch's.

    None: the user's file registers them (when there is one: `own`). Raises Unwritable when nothing does.
    """
    lines = ["import operator"] if "operator." in source else []
    for space in dict.fromkeys(re.findall(r"torch\.ops\.(\w+)\.", source)):
        if space in OWN:
            continue
        registrar = _registrar(space, source)
        if registrar is not None:
            lines.append(f"import {registrar}")
        elif own:
            return None
        else:
            raise Unwritable(f"nothing that can be imported registers torch.ops.{space}")
    return [*lines, "import torch"]


def _registrar(space: str, source: str) -> str | None:
    """The module that registers the operators of a namespace; None when it is no installed one."""
    from torch._library import custom_ops

    for name, definition in getattr(custom_ops, "OPDEFS", {}).items():
        if name.startswith(f"{space}::") and name.partition("::")[2] in source:
            module = str(getattr(getattr(definition, "_init_fn", None), "__module__", ""))
            if module in sys.modules and module not in HELD:
                return module
    for name, held in list(sys.modules.items()):
        file = getattr(held, "__file__", None) or ""
        inside = name == space or name.startswith(f"{space}.")
        if name not in HELD and inside and file.endswith(".py") and _registers(file, space, source):
            return name
    return space if space in sys.modules else None


def _registers(path: str, space: str, source: str) -> bool:
    """Whether a file of that package speaks of one of the operators as "space::name"."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            text = stream.read()
    except OSError:
        return False
    return any(f"{space}::{name}" in text for name in re.findall(rf"torch\.ops\.{space}\.(\w+)", source))


def module_of(source: str, saved: Mapping[str, Any], made: str = "", imports: Sequence[str] = ()) -> Any:
    """The module that the text describes; `made` is the expression that makes it, where it is not Reduced()."""
    import torch

    space: dict[str, Any] = {"torch": torch, "saved": saved, "operator": __import__("operator")}
    for text in ("\n".join(imports), source):
        exec(compile(text, "<model>", "exec"), space)  # our own text
    return eval(made or f"{CLASS}().eval()", space)  # our own text, as well
