"""Outputs that depend on random operators: their differences are no findings."""

from __future__ import annotations

from reducer.programs.onnx import OnnxProgram


def random_outputs(program: OnnxProgram) -> tuple[str, ...]:
    """Names of graph outputs that are reached from a non-deterministic node."""
    if all(record.deterministic for record in program.records):
        return ()
    tainted: set[str] = set()
    for record in program.records:
        if not record.deterministic or any(name in tainted for name in record.reads):
            tainted.update(record.outputs)
    return tuple(name for name in program.interface.outputs if name in tainted)
