"""Writes docs/passes.md from the registry: python docs/passes.py. A test keeps the two in step."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from reducer import registry
from reducer.passes.base import ReductionPass, Stage

PAGE = Path(__file__).with_name("passes.md")
HEAD = """# Reduction passes

Made from the registry by `python docs/passes.py`. Passes run in this order, each stage to a fixpoint; the engine's
searches over nodes (windows, prefix, chunks) come before. A pass proposes the boldest edit first. After so many
misses in a row as the column *gives up* says, the rest of its proposals is left. Passes marked *values* change what
the model computes or is fed with: they are left out where known right outputs (`--expected`) or NaN decide. Those
marked *numbers* are left out with `--keep-weights`.
"""
STAGES = {
    Stage.CUT: "Cut: fewer nodes",
    Stage.INSIDE: "Inside: bodies that could not be lifted out",
    Stage.SIMPLIFY: "Simplify: everything but nodes",
    Stage.CANONICALISE: "Canonicalise: a form that equal bugs share",
}


def page() -> str:
    """The page as it must be."""
    parts = [HEAD]
    for stage, title in STAGES.items():
        rows = [_row(p) for p in registry.passes("onnx") if p.stage is stage]
        parts.append(
            f"## {title}\n\n| pass | what it proposes | gives up | marks |\n|---|---|---|---|\n"
            + "\n".join(rows)
            + "\n"
        )
    return "\n".join(parts)


def _row(reduction: ReductionPass[Any]) -> str:
    module = inspect.getmodule(type(reduction))
    idea = _sentence(module.__doc__ or "" if module else "")
    order = _sentence(type(reduction).__doc__ or "")
    marks = [("values", reduction.changes_values), ("numbers", reduction.changes_numbers), ("eager", reduction.eager)]
    told = ", ".join(name for name, on in marks if on)
    return f"| {reduction.name} | {idea} {order} | {reduction.patience or 'never'} | {told} |"


def _sentence(text: str) -> str:
    """The first paragraph on one line."""
    return " ".join(text.strip().split("\n\n")[0].split())


if __name__ == "__main__":
    PAGE.write_text(page())
