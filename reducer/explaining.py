"""Why it fails: all localizers on the reduced model, each within its budget (step 10 of the data path).

A localizer that fails, hangs or runs out of budget costs its fact and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeVar

from reducer.errors import EditConflict, ToolFault
from reducer.finding import DifferenceFacts, Neighbour, OptimizerFacts, ShapeFact, Suspect
from reducer.localizers.base import Evidence, Fact, Localizer, Smaller
from reducer.observation import FAILED, PASSED, Probe
from reducer.oracles.ladder import CHECKER, INFERENCE, REFERENCE, RUNTIME, all_agree
from reducer.oracles.prober import Order
from reducer.oracles.trial import Trials, TrialsSpent
from reducer.routing import CONVERTER, Routing, Symptoms, route

F = TypeVar("F")
OPINION_SECONDS = 3.0
# The reference has no such operator, or a module is missing: no opinion.
CANNOT = ("NotImplementedError", "ImportError", "ModuleNotFoundError", "RuntimeContextError", "KeyError")


@dataclass
class Explanation:
    """What the localizers found, in their order; `faults` says which of them broke, and how."""

    facts: list[Fact] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    decisive: Suspect | None = None
    symptoms: Symptoms = field(default_factory=lambda: Symptoms(""))
    routing: Routing = field(default_factory=lambda: Routing(None, None, ""))

    @property
    def suspects(self) -> tuple[Suspect, ...]:
        """Each operator once per kind, best evidence first; whoever could not tell whose bug it is says the rule's."""
        found: dict[tuple[str, str, str | None], Suspect] = {}
        for suspect in self._of(Suspect):
            project = suspect.project or self.routing.project
            if project == CONVERTER and self.routing.project and self.routing.tracker:
                project = self.routing.project  # the rule knows which converter
            found.setdefault((suspect.kind, suspect.name, suspect.node), replace(suspect, project=project))
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
        return replace(self, facts=facts)

    def _of(self, kind: type[F]) -> list[F]:
        return [fact for fact in self.facts if isinstance(fact, kind)]


def explain(evidence: Evidence, localizers: list[Localizer], producer: str = "") -> Explanation:
    """Run them all in order. Facts that were given before a localizer ended badly are kept."""
    told = Explanation()
    for localizer in localizers:
        if evidence.trials is not None:
            evidence.trials.allow(localizer.calls, localizer.seconds)
        try:
            for fact in localizer.locate(evidence):
                told.facts.append(fact)
                if localizer.decides and isinstance(fact, Suspect) and fact.project:
                    told.decisive = told.decisive or fact
        except (TrialsSpent, EditConflict):
            continue
        except ToolFault as fault:
            told.faults.append(f"{localizer.name}: {fault}")
        except Exception as error:  # noqa: BLE001 - a plug-in may raise anything; it must not cost the finding
            told.faults.append(f"{localizer.name}: {type(error).__name__}: {error}")
    told.symptoms = symptoms_of(evidence, told, producer)
    told.routing = route(told.symptoms)
    return told


def symptoms_of(evidence: Evidence, told: Explanation, producer: str) -> Symptoms:
    """What the rules of routing and taxonomy look at."""
    aim, trials = evidence.aim, evidence.trials
    by_optimizer = any(facts.culprits and facts.tool == RUNTIME for facts in told.optimizers)
    base = Symptoms("", producer=producer, stage=evidence.stage, by_optimizer=by_optimizer, decisive=told.decisive)
    if aim.dispute is not None:
        d = aim.dispute
        agreed = all_agree(aim.dispute, evidence.ladder)
        wrong = "the same, and it is not what was expected" if agreed else ""
        return replace(base, backend=d.a.backend, odd=d.odd, agreed=wrong)
    if aim.nan is not None:
        return replace(base, backend=aim.nan.probe.backend, agreed="NaN from finite inputs")
    seen = aim.observation
    if seen is None:
        return base
    asked = trials is not None and seen.probe.backend == RUNTIME and seen.outcome == FAILED
    opinions = opinions_of(evidence, trials) if asked and trials is not None else {}
    return replace(base, backend=seen.probe.backend, outcome=seen.outcome, opinions=opinions)


def opinions_of(evidence: Evidence, trials: Trials) -> dict[str, str]:
    """What the inspectors say of source and reduced model alike, and what the reference does with the latter."""
    found: dict[str, str] = {}
    inspectors = (Probe(CHECKER, run=False), Probe(INFERENCE, run=False))
    trials.allow(3, OPINION_SECONDS)
    try:
        for seen in trials.order(evidence.reduced, Order(inspectors))[0]:
            before = evidence.ladder.of(seen.probe)
            if before is not None and before.outcome == seen.outcome:
                found[seen.probe.backend] = seen.outcome
        if evidence.stage == "run":
            seen = trials.order(evidence.reduced, Order((Probe(REFERENCE),)))[0][-1]
            if seen.outcome in (PASSED, FAILED) and seen.error not in CANNOT:
                found[REFERENCE] = seen.outcome
    except (TrialsSpent, EditConflict, ToolFault):
        return found
    return found
