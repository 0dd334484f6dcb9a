"""Finds what is built in by scanning packages, and what others add by entry points.

Third parties register under `onnx_reduce.passes`, `.backends`, `.oracles`, `.localizers`, `.frontends`,
`.reporters`. A new pass or backend is one file: nothing else has to name it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import TypeVar

from reducer.backends.base import Backend
from reducer.localizers.base import Localizer
from reducer.passes.base import ReductionPass

T = TypeVar("T")


def discover(package: str, base: type[T], group: str) -> Iterator[type[T]]:
    """Concrete subclasses of `base` defined in the modules of `package`, then those of the entry-point group."""
    root = importlib.import_module(package)
    for module_name in sorted(module.name for module in pkgutil.iter_modules(root.__path__)):
        module = importlib.import_module(f"{package}.{module_name}")
        for _, found in inspect.getmembers(module, inspect.isclass):
            if issubclass(found, base) and not inspect.isabstract(found) and found.__module__ == module.__name__:
                yield found
    for entry in sorted(entry_points(group=group), key=lambda e: e.name):
        yield entry.load()


def passes() -> list[ReductionPass]:  # type: ignore[type-arg]  # passes of every program kind
    """All reduction passes in the order in which they run."""
    found = [kind() for kind in discover("reducer.passes", ReductionPass, "onnx_reduce.passes")]  # type: ignore[type-abstract]
    return sorted(found, key=lambda p: (p.stage, p.rank, p.name))


def backends() -> dict[str, str]:
    """Backend names with the import path of each, for the worker: none of them is opened here."""
    found = discover("reducer.backends", Backend, "onnx_reduce.backends")  # type: ignore[type-abstract]
    return {kind.name: f"{kind.__module__}:{kind.__qualname__}" for kind in found}


def localizers() -> list[Localizer]:
    """All localizers, the most specific evidence first."""
    found = [kind() for kind in discover("reducer.localizers", Localizer, "onnx_reduce.localizers")]  # type: ignore[type-abstract]
    return sorted(found, key=lambda localizer: (localizer.rank, localizer.name))
