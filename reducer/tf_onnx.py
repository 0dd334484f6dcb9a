"""The second level of a TensorFlow failure: what tf2onnx makes of the reduced graph, reduced as ONNX.

Nodes are mapped back by their names, which tf2onnx keeps and extends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from reducer.errors import EditConflict
from reducer.finding import GraphNode
from reducer.localizers.conversion import named
from reducer.oracles.conversion import ConversionOracle
from reducer.programs.base import NodeRef
from reducer.programs.graphdef import GraphProgram
from reducer.second_level import Origin, Writer, Written

MODEL, FEEDS, EXPECTED = "model.onnx", "feeds.npz", "expected.npz"


class Conversion(Writer):
    """The reduced graph, or the Keras layers that are left, converted once more through the public entry point."""

    what: ClassVar[str] = "the converted model"
    source: ClassVar[str] = "TensorFlow"

    def __init__(self, oracle: ConversionOracle, program: Any) -> None:
        self.oracle, self.program = oracle, program

    def write(self, folder: Path) -> Written | None:
        """The model as it was before it was loaded: one that kills its process is there, too."""
        how = replace(self.oracle.how, optimizers=None)
        try:
            self.oracle.see(self.program, how, self.oracle.limits.full, public=True, leave=str(folder))
        except EditConflict:
            return None
        return left_in(folder)

    def origins(self, nodes: Sequence[GraphNode]) -> Sequence[Origin | None]:
        """By name; where one node is all that there is, everything was made of it."""
        refs = [ref for ref in self.program.nodes() if not ref.path]
        return [self._origin(node, refs) for node in nodes]

    def _origin(self, node: GraphNode, refs: Sequence[NodeRef]) -> Origin | None:
        meant = _meant(self.program, node, refs) or (refs[0] if len(refs) == 1 else None)
        return Origin(meant.name, meant.op_type) if meant is not None else None


def left_in(folder: Path) -> Written | None:
    """What the worker wrote there (tf_ladder)."""
    if not (folder / MODEL).exists():
        return None
    return Written(folder / MODEL, folder / FEEDS, folder / EXPECTED)


def _meant(program: Any, node: GraphNode, refs: Sequence[NodeRef]) -> NodeRef | None:
    """The node of the source that the names of an ONNX node mean."""
    texts = [node.name, *node.outputs]
    if isinstance(program, GraphProgram):
        by_id = {ref.id: ref for ref in refs}
        found = named(program.source, texts, by_id.keys())
        return by_id[found[0]] if found else None
    # A Keras layer is a part of the path.
    parts = [part for text in texts for part in text.partition(":")[0].split("/")]
    return next((ref for ref in refs if ref.name in parts), None)
