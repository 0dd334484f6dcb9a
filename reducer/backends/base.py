"""What a backend is. Import-light: this file and its siblings must run under any interpreter that has the backend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Callable, ClassVar, Mapping

from reducer.values import Tensors

Runner = Callable[[Tensors], Tensors]
Options = Mapping[str, str]


class Backend(ABC):
    """A system that opens a model and, unless it only inspects, runs it.

    `open_stage` is the rung that `open` stands for. A failure is whatever exception open or run raises.
    `runs` is False for backends that only inspect. `requires` are the modules it cannot do without. `argument` is the
    option that stands behind the colon of `--backend NAME:VALUE`, "" when it takes none; `package` what to install
    where it is no part of this project's own requirements.
    """

    name: ClassVar[str]
    requires: ClassVar[tuple[str, ...]]
    open_stage: ClassVar[str] = "load"
    runs: ClassVar[bool] = True
    argument: ClassVar[str] = ""
    package: ClassVar[str] = ""

    @abstractmethod
    def open(self, program: bytes | Path, options: Options) -> Runner:
        """Open a serialized model, or a file when it has data beside it. Raises whatever the system raises."""

    def version(self) -> str:
        """Version of the system; imports it."""
        import importlib

        return str(getattr(importlib.import_module(self.requires[0]), "__version__", "unknown"))


def no_run(_: Tensors) -> Tensors:
    """The runner of a backend that only inspects."""
    return {}
