"""Again, in fresh processes: stable, or flaky with its rate."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from reducer.engine.verdict import Judgement, Verdict
from reducer.programs.onnx import OnnxProgram

TIMES = 3


class Confirmable(Protocol):
    """An oracle that can judge in a process that never opened a model."""

    def confirm(self, program: OnnxProgram, /) -> Judgement:
        """The verdict in a fresh process, under the full limit."""
        ...


def confirmations(oracle: Confirmable, program: OnnxProgram, times: int = TIMES) -> int:
    """In how many of `times` fresh processes the program fails in the same way."""
    if times == 0:
        return 0
    with ThreadPoolExecutor(max_workers=times) as pool:
        judged = list(pool.map(oracle.confirm, [program] * times))
    return sum(1 for judgement in judged if judgement.verdict is Verdict.INTERESTING)
