"""Finds what is built in by scanning packages, and what others add by entry points.

Third parties register under `onnx_reduce.passes`, `.backends`, `.oracles`, `.localizers`, `.frontends`,
`.switchboards`, `.reporters`. A new pass or backend is one file: nothing else has to name it.
"""

from __future__ import annotations

from reducer.backends.base import Backend
from reducer.discovery import discover
from reducer.localizers.base import Localizer
from reducer.passes.base import ReductionPass
from reducer.switchboards.base import Switchboard


def passes(kind: str = "onnx") -> list[ReductionPass]:  # type: ignore[type-arg]  # passes of every program kind
    """All reduction passes for programs of that kind in the order in which they run."""
    found = [kind() for kind in discover("reducer.passes", ReductionPass, "onnx_reduce.passes")]  # type: ignore[type-abstract]
    return sorted((p for p in found if kind in p.kinds), key=lambda p: (p.stage, p.rank, p.name))


def backends() -> dict[str, str]:
    """Backend names with the import path of each, for the worker: none of them is opened here."""
    found = discover("reducer.backends", Backend, "onnx_reduce.backends")  # type: ignore[type-abstract]
    return {kind.name: f"{kind.__module__}:{kind.__qualname__}" for kind in found}


def localizers() -> list[Localizer]:
    """All localizers, the most specific evidence first."""
    found = [kind() for kind in discover("reducer.localizers", Localizer, "onnx_reduce.localizers")]  # type: ignore[type-abstract]
    return sorted(found, key=lambda localizer: (localizer.rank, localizer.name))


def switchboards() -> list[Switchboard]:
    """All tools of which something can be switched off."""
    found = discover("reducer.switchboards", Switchboard, "onnx_reduce.switchboards")  # type: ignore[type-abstract]
    return [kind() for kind in found]
