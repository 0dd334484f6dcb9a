"""Why it fails: all localizers on the reduced model, each within its budget (step 10 of the data path).

A localizer that fails, hangs or runs out of budget costs its fact and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeVar

from reducer.errors import EditConflict, ToolFault
from reducer.finding import DifferenceFacts, Neighbour, OptimizerFacts, ShapeFact, Suspect
from reducer.localizers.base import Evidence, Fact, Localizer, Smaller
from reducer.oracles.trial import TrialsSpent

F = TypeVar("F")


@dataclass
class Explanation:
    """What the localizers found, in their order; `faults` says which of them broke, and how."""

    facts: list[Fact] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def suspects(self) -> tuple[Suspect, ...]:
        """Each operator once per kind, best evidence first."""
        found: dict[tuple[str, str, str | None], Suspect] = {}
        for suspect in self._of(Suspect):
            found.setdefault((suspect.kind, suspect.name, suspect.node), suspect)
        return tuple(found.values())

    @property
    def optimizers(self) -> tuple[OptimizerFacts, ...]:
        """One for each tool that was searched."""
        return tuple(self._of(OptimizerFacts))

    @property
    def neighbours(self) -> tuple[Neighbour, ...]:
        """The one-change neighbours, cheapest first."""
        return tuple(self._of(Neighbour))

    @property
    def shapes(self) -> tuple[ShapeFact, ...]:
        """Where declared, inferred and actual shapes part."""
        return tuple(self._of(ShapeFact))

    @property
    def difference(self) -> DifferenceFacts | None:
        """The wrong output in numbers."""
        return next(iter(self._of(DifferenceFacts)), None)

    @property
    def smaller(self) -> Smaller | None:
        """A model that got smaller with only the culprit passes on."""
        return next(iter(self._of(Smaller)), None)

    def with_alone(self, path: str) -> Explanation:
        """The same, with that smaller model named in the facts of the optimizer."""
        facts = [replace(f, alone=path) if isinstance(f, OptimizerFacts) else f for f in self.facts]
        return Explanation(facts, self.faults)

    def _of(self, kind: type[F]) -> list[F]:
        return [fact for fact in self.facts if isinstance(fact, kind)]


def explain(evidence: Evidence, localizers: list[Localizer]) -> Explanation:
    """Run them all in order. Facts that were given before a localizer ended badly are kept."""
    told = Explanation()
    for localizer in localizers:
        if evidence.trials is not None:
            evidence.trials.allow(localizer.calls, localizer.seconds)
        try:
            for fact in localizer.locate(evidence):
                told.facts.append(fact)
        except (TrialsSpent, EditConflict):
            continue
        except ToolFault as fault:
            told.faults.append(f"{localizer.name}: {fault}")
        except Exception as error:  # noqa: BLE001 - a plug-in may raise anything; it must not cost the finding
            told.faults.append(f"{localizer.name}: {type(error).__name__}: {error}")
    return told
