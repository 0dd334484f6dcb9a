"""Tries lifted bodies and inlined functions as candidates, and reduces what still fails in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import onnx

from reducer.engine.problem import Problem
from reducer.errors import EditConflict, UsageError
from reducer.frontends.onnx import load_source
from reducer.inlining import can_inline
from reducer.lifting import INLINE, Lifted, has_calls, lifts
from reducer.oracles.capture import Capture
from reducer.oracles.prober import Prober
from reducer.programs.onnx import OnnxProgram
from reducer.values import Value
from reducer.worker.protocol import RETURNED, Call

SECONDS = 30.0
Learn = Callable[[OnnxProgram], OnnxProgram]


class Lifter:
    """Works on one problem. `learn` gives a program the values that its verdict can depend on."""

    def __init__(self, prober: Prober, capture: Capture, learn: Learn) -> None:
        self.prober, self.capture, self.learn = prober, capture, learn

    def lift(self, problem: Problem[OnnxProgram]) -> bool:
        """Replace the best by one of its lifted forms that still fails; False when none does."""
        base = problem.best
        for number, lifted in enumerate(self._forms(base)):
            program = self._program(base, lifted, f"{base.source.tag}/{number}:{lifted.what}")
            if program is None:
                continue
            problem.enter(f"lifting {lifted.what}")
            if problem.consider(program):
                return True
        return False

    def _forms(self, base: OnnxProgram) -> Iterator[Lifted]:
        if has_calls(base) and can_inline(base):
            answer = self.prober.call_with_model(base, Call(INLINE, seconds=SECONDS))
            if answer.outcome == RETURNED:
                yield Lifted("functions", onnx.ModelProto.FromString(answer.blobs[0]))
        yield from lifts(base, self._value)

    def _value(self, name: str) -> Value:
        ref = self.prober.feeds.known(name) or self.capture.known.get(name)
        return ref.read() if ref is not None else None

    def _program(self, base: OnnxProgram, lifted: Lifted, tag: str) -> OnnxProgram | None:
        """The lifted model as a program of its own, with types and values learnt."""
        folder: Path = base.source.folder or self.prober.host.folder / "weights"
        try:
            source = load_source(lifted.model, folder, folder)
        except UsageError:
            return None
        source = replace(source, tag=tag).learn(types=base.source.types, values=base.source.values)
        self.prober.feeds.give(lifted.values)
        program = OnnxProgram.of(source, base.policy)
        try:
            program = self.learn(self.capture.types(program))
            return replace(program.restrict(program.keep), bare=base.bare)
        except EditConflict:
            return None
