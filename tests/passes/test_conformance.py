"""Every registered pass and backend keeps its promises."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from reducer import registry
from reducer.backends.rewriting import Rewriter
from reducer.conformance import check_backend, check_pass
from reducer.systems import backend_class
from reducer.worker.host import Host
from tests.models import chain_text, model_of, program_of

TEXTS = [
    chain_text(6, {2: "Elu"}),
    "g (float[2] x) => (float[2] a, float[2] b) { a = Abs(x) b = Elu(a) c = Tanh(a) }",
    "g (float[2,2] x) => (float[2,2] y) <float[2,2] w = {1,2,3,4}> { q = MatMul(x, w) r = Add(q, x) y = Relu(r) }",
    "g (float[N] x) => (float[N] y) { s = Shape(x) t = Cast<to = 1>(s) u = ReduceSum(t) y = Mul(x, u) }",
    """g (bool c, float[2] x) => (float[2] y) {
         z = Abs(x)
         y = If(c) <then_branch = t () => (float[2] p) { p = Neg(z) },
           else_branch = e () => (float[2] q) { q = Elu(z) }>
    }""",
]


@pytest.mark.parametrize("reduction", registry.passes(), ids=lambda p: p.name)
def test_a_pass_conforms(reduction: object, tmp_path: Path) -> None:
    check_pass(reduction, [program_of(text, tmp_path) for text in TEXTS])  # type: ignore[arg-type]


def test_passes_are_found_and_ordered() -> None:
    found = registry.passes()
    assert len({p.name for p in found}) == len(found) >= 7
    assert [p.stage for p in found] == sorted(p.stage for p in found)


@pytest.mark.parametrize("name", sorted(registry.backends()))
def test_a_backend_conforms(name: str, host: Host) -> None:
    good = model_of(chain_text(2)).SerializeToString()
    broken = model_of("g (float[2] x) => (float[2] y) { y = NoSuchOperator(x) }").SerializeToString()
    path = registry.backends()[name]
    kind = backend_class(path)
    if kind.package and any(find_spec(module) is None for module in kind.requires):
        pytest.skip(f"{kind.package} is not installed")
    # Strict inference, the inliner and rewriters let unknown operators pass; what is no model they do not.
    lenient = name in ("onnx-shape-inference", "onnx-inliner") or issubclass(kind, Rewriter)
    check_backend(path, host, good, b"\x0a\xffno model at all" if lenient else broken)
