"""What old wheels need beside them and do not say: one table, each line with its reason.

A wheel is not mended when a later release of what it depends on breaks it; `--with onnxruntime==1.17.3` would
install, and fail to import. What a wheel's own metadata says needs no line here (onnx 1.13 and protobuf), nor what
was tried and works (onnx 1.14 to 1.16 with numpy 2 and protobuf 7).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version


@dataclass(frozen=True)
class Bound:
    """Releases of `package` older than `below` work with `needs` only."""

    package: str
    below: str
    needs: str
    reason: str


BOUNDS = (
    Bound("onnxruntime", "1.19", "numpy<2", "built against the C API of numpy 1: the import fails under numpy 2"),
    Bound("tf2onnx", "1.17", "numpy<2", "uses np.cast and np.product, which numpy 2 has removed"),
    Bound("onnxslim", "0.1.42", "sympy", "imports it without asking for it (seen in 0.1.2 to 0.1.16)"),
)


def bounds_for(requirements: Iterable[Requirement]) -> tuple[str, ...]:
    """The requirements that the table adds to these."""
    asked = list(requirements)
    found = [bound.needs for bound in BOUNDS for requirement in asked if _is_old(requirement, bound)]
    return tuple(dict.fromkeys(found))


def _is_old(requirement: Requirement, bound: Bound) -> bool:
    """Whether the requirement admits no release that is new enough."""
    name = canonicalize_name(requirement.name)
    # onnxruntime-gpu and its like are the same code as onnxruntime.
    if name != bound.package and not (bound.package == "onnxruntime" and name.startswith("onnxruntime-")):
        return False
    return any(_caps(part.operator, part.version, Version(bound.below)) for part in requirement.specifier)


def _caps(operator: str, text: str, below: Version) -> bool:
    try:
        version = Version(text.removesuffix(".*"))
    except InvalidVersion:
        return False
    return version < below if operator in ("==", "===", "<=", "~=") else operator == "<" and version <= below
