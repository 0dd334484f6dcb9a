"""A GraphDef as text with one node a line (child side): what a reader wants to see of it, in few lines."""

from __future__ import annotations

from typing import Any


def graph_text(graph: Any) -> str:
    """Text that `google.protobuf.text_format.Parse` makes the same graph of."""
    lines = [f"node {{ {_line(node)} }}" for node in graph.node]
    functions = [line for function in graph.library.function for line in _function(function)]
    if functions:
        lines += ["library {", *functions, "}"]
    if graph.HasField("versions"):
        lines.append(f"versions {{ {_line(graph.versions)} }}")
    return "\n".join(lines) + "\n"


def _function(function: Any) -> list[str]:
    rest = type(function)()
    rest.CopyFrom(function)
    rest.ClearField("signature")
    rest.ClearField("node_def")
    nodes = [f"  node_def {{ {_line(node)} }}" for node in function.node_def]
    signature = f"  signature {{ {_line(function.signature)} }}"
    return ["function {", signature, *nodes, f"  {_line(rest)}", "}"]


def _line(message: Any) -> str:
    from google.protobuf import text_format

    return str(text_format.MessageToString(message, as_one_line=True)).strip()
