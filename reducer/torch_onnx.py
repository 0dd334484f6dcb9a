"""The second level of a PyTorch failure: what torch.onnx.export makes of the reduced module, reduced as ONNX.

Nodes are mapped back by what the exporter writes beside them in the model: the FX node that each was made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from reducer.finding import Finding, GraphNode
from reducer.second_level import Origin, Place, Writer, Written, with_second_level
from reducer.settings import Settings
from reducer.torch_case import TorchCase


def with_onnx_level(case: TorchCase, finding: Finding, settings: Settings) -> Finding:
    """The finding with what the ONNX engine makes of the exported model, where that model is what fails."""
    failure = finding.failure
    # What the exporter did wrong is no failure of the ONNX model: the ladder has told them apart.
    if failure is None or (failure.stage == "compare" and case.failure.get("blame") != "runtime"):
        return finding
    place = Place(case.model.host, case.workspace, case.say)
    return with_second_level(finding, Export(case, finding), place, settings)


class Export(Writer):
    """The reduced module, exported once more."""

    what: ClassVar[str] = "the exported ONNX model"
    source: ClassVar[str] = "PyTorch"

    def __init__(self, case: TorchCase, finding: Finding) -> None:
        self.case = case
        # What the reduced module calls its nodes says nothing to the user: the source's name of the same operator.
        self.names = {s.name: s.node for s in reversed(finding.suspects) if s.kind == "op" and s.node}
        self.model: Path | None = None

    def write(self, folder: Path) -> Written | None:
        """The model as the text of the result exports, with the feeds that numpy knows."""
        model, feeds = folder / "model.onnx", folder / "feeds.npz"
        self.case.model.verify(self.case.text, {"onnx": str(model), "feeds": str(feeds)})
        if not model.exists():
            return None
        self.model = model
        return Written(model, feeds if feeds.exists() else None)

    def origins(self, nodes: Sequence[GraphNode]) -> Sequence[Origin | None]:
        """By the notes of the exported model: the reduced one has neither notes nor names."""
        asked = {"model": str(self.model), "nodes": [[node.name, list(node.outputs)] for node in nodes]}
        rows = self.case.model.ask("origins", asked)["origins"]
        return [Origin(self.names.get(row["target"], row["node"]), row["target"]) if row else None for row in rows]
