"""Finds classes by scanning a package, and what others add by entry points. Imports nothing by itself."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import TypeVar

from reducer.sources.base import SourceKind

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


def source_kind(target: str) -> SourceKind:
    """The kind of source that claims what the user typed."""
    found = discover("reducer.sources", SourceKind, "onnx_reduce.sources")  # type: ignore[type-abstract]
    kinds = sorted((kind() for kind in found), key=lambda kind: kind.rank)
    return next(kind for kind in kinds if kind.claims(target))
