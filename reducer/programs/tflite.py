"""A part of the main graph of a TFLite model, as ids and edits: what the engine reduces.

Its table is that of a GraphDef (constants and inputs are nodes of their own, edges have names), so it is cut, ordered
and compared like one; only the worker knows that a flatbuffer is behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from reducer.programs.graphdef import GraphProgram
from reducer.programs.graphdef_source import GraphSource


@dataclass(frozen=True, eq=False)
class TfliteProgram(GraphProgram):
    """Some operators of a TFLite model. Other graphs that they run, such as loop bodies, stay with them."""

    tasks: ClassVar[str] = "reducer.worker.tflite_tasks"
    record: ClassVar[str] = "reducer.worker.tflite_tasks:record"
    lift: ClassVar[str] = "reducer.worker.tflite_lift:lift"

    @staticmethod
    def whole(source: GraphSource) -> TfliteProgram:
        """All of the main graph."""
        return TfliteProgram(source, frozenset(source.groups))
