"""Which optimizer passes, rewrite rules or fusions a failure needs, by switching the others off (step 10).

Protocol: the level ladder; what really changed the graph; the smallest set with which it fails while everything
else is off, by subset search; then both ways: without the set it does not fail, with the set alone it does. Sets
that fail independently of each other are found one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from reducer import registry
from reducer.again import with_culprits_only
from reducer.engine.search import chunked_deletion
from reducer.finding import OptimizerFacts, Suspect
from reducer.localizers.base import Evidence, Fact, Localizer, Smaller
from reducer.oracles.trial import DIFFERS, FAILS, PASSES
from reducer.switchboards.base import Board, Case, Switchboard

MOST_SETS = 3
CURED = (PASSES, DIFFERS)


class RewriteLocalizer(Localizer):
    """Asks the switchboard of the failing tool; a tool without one costs nothing."""

    name: ClassVar[str] = "rewrites"
    rank: ClassVar[int] = 5
    calls: ClassVar[int] = 120
    seconds: ClassVar[float] = 8.0

    def locate(self, evidence: Evidence) -> Iterable[Fact]:
        trials, stage = evidence.trials, evidence.stage
        if trials is None or trials.probe is None or trials.hangs or stage in ("check", "shape_inference"):
            return
        board = switchboard_of(trials.probe.backend)
        if board is None:
            return
        case = Case(evidence.reduced, trials, trials.prober.host.folder, evidence.message)
        levels = _levels(board, case)
        weakest = next(iter(levels.values()), PASSES)
        if weakest not in CURED:
            if len(levels) > 1:
                yield OptimizerFacts(board.tool, levels)
            return  # it fails with everything off: no pass is to blame
        survey = board.survey(case)
        search = PassSearch(board, case, survey)
        search.run()
        yield from _told(board, case, survey, levels, search)


@dataclass
class PassSearch:
    """Finds the smallest sets of switches that each fail alone. `cured`: without all of them it does not fail;
    `cures` are the single ones of which each is enough for that."""

    board: Switchboard
    case: Case
    survey: Board
    sets: list[tuple[str, ...]] = field(default_factory=list)
    cured: bool = False
    cures: tuple[str, ...] = ()

    def run(self) -> None:
        """Raises TrialsSpent with what was found so far in place."""
        left = list(self.survey.likely)
        for _ in range(MOST_SETS):
            if not self.fails_with(left):
                left = [name for name in self.survey.all if name not in self.culprits]
                if not self.fails_with(left):
                    return  # what it needs has no name that could be switched off
            found = self._named_in_message(left) or tuple(chunked_deletion(left, lambda on, _: self.fails_with(on)))
            self.sets.append(found)
            left = [name for name in left if name not in found]
            if self.fails_without(self.culprits) in CURED:
                self.cured = True
                if len(self.sets) == 1:
                    self.cures = found if len(found) == 1 else tuple(n for n in found if self._cures(n))
                return

    def _cures(self, name: str) -> bool:
        return self.fails_without([name]) in CURED

    @property
    def culprits(self) -> tuple[str, ...]:
        """All sets together."""
        return tuple(name for found in self.sets for name in found)

    def fails_with(self, on: Sequence[str]) -> bool:
        """Whether it fails with these alone."""
        off = [name for name in self.survey.all if name not in set(on)]
        return self.case.trials.run(self.case.program, self.board.options(off)).verdict == FAILS

    def fails_without(self, off: Sequence[str]) -> str:
        """The verdict with everything on but these."""
        return self.case.trials.run(self.case.program, self.board.options(off)).verdict

    def _named_in_message(self, names: Sequence[str]) -> tuple[str, ...]:
        """One pass that the message names, if it is all that is needed: most messages quote the function."""
        for name in names:
            if name in self.case.message and self.fails_with([name]):
                return (name,)
        return ()


def switchboard_of(backend: str) -> Switchboard | None:
    """The switchboard of a backend, if there is one."""
    return next((board for board in registry.switchboards() if board.backend == backend), None)


def _levels(board: Switchboard, case: Case) -> dict[str, str]:
    """level -> verdict, weakest first; the stronger ones only if the weakest one cures."""
    probe = case.trials.probe
    assert probe is not None
    found: dict[str, str] = {}
    for name, options in board.levels(probe.options).items():
        if all(probe.options.get(key) == value for key, value in options.items()):
            found[name] = FAILS
            continue
        if found and next(iter(found.values())) == FAILS:
            continue
        found[name] = case.trials.run(case.program, options).verdict
    return found


def _told(board: Switchboard, case: Case, survey: Board, levels: dict[str, str], search: PassSearch) -> Iterable[Fact]:
    culprits = search.culprits
    before, after, ignored = board.graphs(case, culprits, survey) if culprits else ("", "", ())
    for found in search.sets:
        for name in found:
            yield Suspect(board.kind, name, _evidence(board, search, found, name, ignored), None, board.project)
    yield OptimizerFacts(
        board.tool,
        levels,
        survey.modified,
        culprits,
        confirmed=search.cured and bool(culprits),
        before=before or None,
        after=after or None,
    )
    if search.cured and len(search.sets) == 1:
        options = board.options([name for name in survey.all if name not in culprits])
        smallest = with_culprits_only(case.trials.oracle, case.program, options, registry.passes())
        if smallest is not case.program:
            yield Smaller(board.tool, smallest)


def _evidence(board: Switchboard, search: PassSearch, found: tuple[str, ...], name: str, ignored: Sequence[str]) -> str:
    others = [other for other in found if other != name]
    alone = f"together with {', '.join(others)}" if others else "alone"
    text = f"with every other pass switched off, {name} {alone} still fails in the same way"
    if search.cured:
        off = [name] if name in search.cures else search.culprits
        text += f"; it does not with {board.how(off)}"
    if ignored:
        text += f" (cannot be switched off: {', '.join(ignored)})"
    return text
