"""What the switchboards of rewriters share: they list their switches, and tell nothing of what they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reducer.backends.rewriting import OFF, UNTOUCHED
from reducer.oracles.trial import TrialsSpent
from reducer.switchboards.base import Board, Case, Switchboard
from reducer.worker.protocol import RETURNED, Call

SWITCHES = "reducer.worker.rewriting:switches"
REWRITTEN = "reducer.worker.rewriting:rewritten"
SECONDS = 20.0
MOST_TEXT = 4000


class RewriterBoard(Switchboard):
    """Abstract: a tool is a file with a name, and with `how` a maintainer switches things off."""

    def levels(self, options: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        return {"not rewritten": {"opt_level": UNTOUCHED}}

    def survey(self, case: Case) -> Board:
        path = case.trials.prober.backends[self.backend]
        answer = case.trials.prober.host.call(Call(SWITCHES, {"backend": path}, (), SECONDS))
        if answer.outcome != RETURNED:
            raise TrialsSpent
        names = tuple(answer.value["names"])
        return Board(names, names)

    def options(self, off: Sequence[str]) -> dict[str, str]:
        return {OFF: ";".join(off)}

    def graphs(self, case: Case, only: Sequence[str], board: Board) -> tuple[str, str, tuple[str, ...]]:
        off = [name for name in board.all if name not in only]
        return self._text(case, {}, untouched=True), self._text(case, self.options(off)), ()

    def _text(self, case: Case, options: Mapping[str, str], *, untouched: bool = False) -> str:
        probe, prober = case.trials.probe, case.trials.prober
        assert probe is not None
        arguments = {
            "backend": prober.backends[self.backend],
            "options": {**probe.options, **options},
            "untouched": untouched,
        }
        answer = prober.call_with_model(case.program, Call(REWRITTEN, arguments, (), SECONDS))
        text = str(answer.value.get("text", "")) if answer.outcome == RETURNED else ""
        return text if len(text) <= MOST_TEXT else ""
