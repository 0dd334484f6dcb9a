"""What is left after the reduction is a suspect by itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from reducer.finding import Suspect
from reducer.localizers.base import Evidence, Localizer, called

MOST_NODES = 6


class LeftoverLocalizer(Localizer):
    """One node: that operator. A few: their sequence as one pattern."""

    name: ClassVar[str] = "leftover"
    rank: ClassVar[int] = 90

    def locate(self, evidence: Evidence) -> Iterable[Suspect]:
        records = evidence.reduced.records
        if not 1 <= len(records) <= MOST_NODES:
            return
        pattern = " -> ".join(record.ref.op_type for record in records)
        names = ", ".join(called(record.ref, record.name) for record in records)
        if len(records) == 1:
            text = "this node alone still fails in the same way"
        else:
            text = f"these {len(records)} nodes are needed together: {names}"
        yield Suspect("op", pattern, text, called(records[0].ref, records[0].name), evidence.project)
