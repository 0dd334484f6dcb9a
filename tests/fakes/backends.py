"""Backends named by what they do. Each does it for models that hold an operator of its trigger, at its stage."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import ClassVar

import onnx

from reducer.backends.base import Backend, Options, Runner
from reducer.values import Tensors

TRIGGER = "Elu"


class Fake(Backend):
    """Misbehaves when the trigger operator is in the model; else returns zeros. Option `at`: open or run."""

    requires: ClassVar[tuple[str, ...]] = ("onnx",)
    at: ClassVar[str] = "run"

    def open(self, program: bytes | Path, options: Options) -> Runner:
        raw = program if isinstance(program, bytes) else program.read_bytes()
        model = onnx.ModelProto.FromString(raw)
        triggered = any(node.op_type == TRIGGER for node in model.graph.node)
        if triggered and options.get("at", self.at) == "open":
            self.act()

        def run(feeds: Tensors) -> Tensors:
            if triggered and options.get("at", self.at) == "run":
                self.act()
            return {value.name: self.value(triggered) for value in model.graph.output}

        return run

    def act(self) -> None:
        """What the fake is named for."""

    def value(self, triggered: bool) -> float:
        return 0.0


class Segfaults(Fake):
    name: ClassVar[str] = "segfaults"

    def act(self) -> None:
        os.write(2, b"about to crash\n")
        os.kill(os.getpid(), signal.SIGSEGV)


class Aborts(Fake):
    name: ClassVar[str] = "aborts"

    def act(self) -> None:
        os.abort()


class Divides(Fake):
    name: ClassVar[str] = "divides"

    def act(self) -> None:
        os.kill(os.getpid(), signal.SIGFPE)


class BusError(Fake):
    name: ClassVar[str] = "bus_error"

    def act(self) -> None:
        os.kill(os.getpid(), signal.SIGBUS)


class Illegal(Fake):
    name: ClassVar[str] = "illegal"

    def act(self) -> None:
        os.kill(os.getpid(), signal.SIGILL)


class Exits(Fake):
    name: ClassVar[str] = "exits"

    def act(self) -> None:
        os._exit(3)


class Hangs(Fake):
    name: ClassVar[str] = "hangs"

    def act(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(60)


class EatsMemory(Fake):
    name: ClassVar[str] = "eats_memory"

    def act(self) -> None:
        import numpy as np

        hoard = []
        while True:  # asked for, not touched: what ends it is the limit, not the machine
            hoard.append(np.empty(64 << 20, np.uint8))


class Raises(Fake):
    name: ClassVar[str] = "raises"

    def act(self) -> None:
        raise RuntimeError("node 'secret' failed at 0x7f001 in /home/someone/code.py:12")


class LacksModule(Fake):
    name: ClassVar[str] = "lacks_module"

    def act(self) -> None:
        import a_module_that_is_not_there  # type: ignore[import-not-found]  # noqa: F401


class AnswersWrong(Fake):
    name: ClassVar[str] = "answers_wrong"

    def value(self, triggered: bool) -> float:
        return 1.0 if triggered else 0.0


class Honest(Fake):
    name: ClassVar[str] = "honest"


class Flaky(Fake):
    name: ClassVar[str] = "flaky"

    def act(self) -> None:
        if random.SystemRandom().random() < 0.5:
            raise RuntimeError("sometimes")


# Operators that bring a planted failure each, in the order in which they are looked for.
PLANTED = {"Elu": "the first one", "Tanh": "quite another", "Erf": "a third"}


class Planted(Backend):
    """Fails with the message of the first planted operator that the model holds, and its name and shape in it."""

    name: ClassVar[str] = "planted"
    requires: ClassVar[tuple[str, ...]] = ("onnx",)

    def open(self, program: bytes | Path, options: Options) -> Runner:
        raw = program if isinstance(program, bytes) else program.read_bytes()
        nodes = onnx.ModelProto.FromString(raw).graph.node
        for op_type, message in PLANTED.items():
            for node in nodes:
                if node.op_type == op_type:
                    raise RuntimeError(f"{message}: node '{node.name}' reads {node.input[0]} of shape [{len(nodes)},3]")
        return lambda feeds: {}


KINDS: tuple[type[Backend], ...] = (
    Segfaults, Aborts, Divides, BusError, Illegal, Exits, Hangs, EatsMemory, Raises, LacksModule, AnswersWrong, Honest,
    Flaky, Planted,
)  # fmt: skip
ALL = {kind.name: f"{__name__}:{kind.__qualname__}" for kind in KINDS}
# The same for places where nothing is run.
AT_OPEN: dict[str, str] = {}
for _kind in KINDS:
    globals()[f"{_kind.__name__}AtOpen"] = type(f"{_kind.__name__}AtOpen", (_kind,), {"at": "open"})
    AT_OPEN[_kind.name] = f"{__name__}:{_kind.__name__}AtOpen"
