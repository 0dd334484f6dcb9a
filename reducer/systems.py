"""`--backend NAME[:VALUE]`: the system under test, checked before anything is run (step 1 of the data path)."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from functools import lru_cache

from reducer import registry
from reducer.backends.base import Backend
from reducer.errors import UsageError
from reducer.oracles.ladder import CHECKER, INFERENCE, INLINER, REFERENCE, RUNTIME
from reducer.oracles.prober import Prober
from reducer.worker.protocol import RETURNED, Call

VERSIONS = "reducer.worker.tasks:versions"
# Rungs of the ladder anyway: --stage and --reference aim at them.
NO_SYSTEMS = (CHECKER, INFERENCE, INLINER, REFERENCE)


def system_under_test(spec: str, prober: Prober) -> tuple[str, Mapping[str, str]]:
    """(backend, its options). Raises UsageError for a name nobody knows, a value that does not fit, or a tool that
    is not installed."""
    name, _, value = spec.partition(":")
    if name == RUNTIME:
        if value:
            raise UsageError(f"--backend {RUNTIME} takes no value", "the level is --opt-level, the provider --provider")
        return RUNTIME, {}
    names = [known for known in prober.backends if known not in NO_SYSTEMS]
    if name not in names:
        near = difflib.get_close_matches(name, names, 1)
        raise UsageError(
            f"there is no backend {name!r}", f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
        )
    backend = backend_class(prober.backends[name])
    if value and not backend.argument:
        raise UsageError(f"--backend {name} takes no value", f"type --backend {name}")
    if backend.argument == "to" and value and not value.isdigit():
        raise UsageError(f"--backend {name}:OPSET takes a number, not {value!r}", f"for example --backend {name}:21")
    answer = prober.host.call(Call(VERSIONS, {"backends": {name: prober.backends[name]}}, (), 120.0))
    if answer.outcome == RETURNED and answer.value["versions"].get(name) is None:
        raise UsageError(f"{name} is not installed here", f"pip install {backend.package or backend.requires[0]}")
    return name, {backend.argument: value} if value else {}


def backend_class(path: str) -> type[Backend]:
    """The class at "package.module:Class"; importing it imports no framework."""
    module, _, name = path.partition(":")
    found: type[Backend] = getattr(importlib.import_module(module), name)
    return found


@lru_cache(maxsize=64)
def _named(name: str) -> type[Backend] | None:
    path = registry.backends().get(name)
    return backend_class(path) if path else None


def module_of(backend: str) -> str:
    """The module whose version is that of the backend."""
    found = _named(backend)
    return found.requires[0] if found is not None and found.requires else "onnx"


def opening_rung(backend: str) -> str:
    """The rung that a model passed which that backend runs."""
    found = _named(backend)
    return found.open_stage if found is not None else "load"
