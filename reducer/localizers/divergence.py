"""The first tensor on which two witnesses part, in topological order: one run of each, all tensors shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar

from reducer.errors import EditConflict
from reducer.finding import Suspect
from reducer.localizers.base import Evidence, Localizer, called
from reducer.oracles.mismatch import Dispute
from reducer.oracles.prober import Prober
from reducer.programs.base import NodeId
from reducer.programs.onnx import OnnxProgram
from reducer.worker.protocol import RETURNED, Call

DIVERGENCE = "reducer.worker.knowledge:first_divergence"


def diverging_nodes(
    prober: Prober, program: OnnxProgram, dispute: Dispute, seconds: float
) -> list[tuple[NodeId, dict[str, Any]]]:
    """Producers of the tensors that differ although everything before agrees; shown outputs block fusions, so an
    empty list says nothing about the optimizer. Each comes with the difference found."""
    if dispute.b is None:
        return []
    names = tuple(dict.fromkeys(name for record in program.records for name in record.outputs if name))
    shown = replace(program, selected=names, whole=False)
    try:
        feeds = prober.feeds.feeds_of(shown)
        arguments = {
            "probes": [{"backend": prober.backends[p.backend], "options": dict(p.options)} for p in dispute.probes],
            "feeds": {name: ref.to_wire() for name, ref in feeds.items()},
            "compare": prober.comparison_settings(()),
        }
        answer = prober.call_with_model(shown, Call(DIVERGENCE, arguments, (), seconds))
    except EditConflict:
        return []
    if answer.outcome != RETURNED:
        return []
    found: dict[NodeId, dict[str, Any]] = {}
    spoiled: set[str] = set()
    differing = {item["output"]: item for item in answer.value["outputs"]}
    for record in program.records:
        bad = [name for name in record.outputs if name in differing]
        if bad and not any(name in spoiled for name in record.reads):
            found[record.ref.id] = differing[bad[0]]
        spoiled.update(bad)
    return list(found.items())


class DivergenceLocalizer(Localizer):
    """Names the operators at which the two sides of a dispute part on the source model."""

    name: ClassVar[str] = "divergence"
    rank: ClassVar[int] = 15

    def locate(self, evidence: Evidence) -> Iterable[Suspect]:
        dispute = evidence.aim.dispute
        if dispute is None or dispute.b is None:
            return
        for node, worst in diverging_nodes(evidence.prober, evidence.reduced, dispute, 30.0):
            record = evidence.reduced.record(node)
            size = f" by {worst['abs']:.3g}" if worst.get("abs") is not None else ""
            detail = f" ({worst['detail']})" if worst.get("detail") else ""
            text = (
                f"its inputs agree and its output differs in {worst['kind']}{size}{detail} between "
                f"{dispute.a.label} and {dispute.b.label}; {dispute.odd} stands alone"
            )
            kind = "shape" if worst["kind"] == "shape" else "type" if worst["kind"] == "dtype" else "op"
            yield Suspect(kind, record.ref.op_type, text, called(record.ref, record.name), evidence.project)
