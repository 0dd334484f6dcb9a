"""Constants that a function captures: tf2onnx's entry point makes inputs of them, whatever reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from reducer.finding import Neighbour, Suspect
from reducer.programs.graphdef import GraphProgram

ENTRY = "tf2onnx.convert.from_function"


def explain_captures(
    program: GraphProgram, outcome_of: Callable[[GraphProgram], tuple[str, str]]
) -> tuple[list[Suspect], Neighbour]:
    """The suspects, and what the same function does when it makes the constants itself. `outcome_of` a program is
    (passes | fails | differs | unknown, what was seen)."""
    readers = [r for r in program.records if set(r.reads) & set(program.captures)]
    ops = ", ".join(dict.fromkeys(r.ref.op_type for r in readers))
    outcome, detail = outcome_of(replace(program, captured=frozenset()))
    cured = "; made inside of the function, it does not fail" if outcome == "passes" else ""
    text = f"a constant made outside of the function and read by {ops} becomes an input of the converted model{cured}"
    where = readers[0].name if readers else None
    entry = Suspect("converter", f"{ENTRY} (captured constant of {ops})", text, where, "tf2onnx")
    reader = Suspect("op", ops, "it reads the constant that is captured", where, "tf2onnx")
    return [entry, reader], Neighbour("capture", "constant captured -> constant made in the function", outcome, detail)
