"""A backend whose package is not there."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from reducer.backends.base import Backend, Options, Runner


class Lacking(Backend):
    name: ClassVar[str] = "lacking"
    package: ClassVar[str] = "the-package"
    requires: ClassVar[tuple[str, ...]] = ("a_module_that_is_not_there",)

    def open(self, program: bytes | Path, options: Options) -> Runner:
        raise NotImplementedError
