"""onnxscript.optimizer: constant folding and rewrite rules, as torch.onnx.export runs them."""

from __future__ import annotations

from typing import Any, ClassVar

from reducer.backends.base import Options
from reducer.backends.rewriting import Rewriter, switched_off

FOLDING, INLINING = "constant_folding", "inline"


class OnnxScriptOptimizer(Rewriter):
    """Switches: the rewrite rules by name, constant folding, inlining."""

    name: ClassVar[str] = "onnxscript-optimizer"
    package: ClassVar[str] = "onnxscript"
    requires: ClassVar[tuple[str, ...]] = ("onnxscript",)

    def rewrite(self, model: Any, options: Options) -> Any:
        import onnxscript.optimizer
        import onnxscript.rewriter as rewriter
        from onnxscript import ir

        off = switched_off(options)
        if not off:
            return onnxscript.optimizer.optimize(model)
        everything = rewriter._DEFAULT_REWRITE_RULES
        kept = tuple(r for i, r in enumerate(everything) if _named(i, r) not in off)
        rewriter._DEFAULT_REWRITE_RULES = kept or (_idle_rule(),)
        graph = ir.from_proto(model)
        try:
            folding = {"should_fold": lambda _: False} if FOLDING in off else {}
            onnxscript.optimizer.optimize_ir(graph, inline=INLINING not in off, **folding)
        finally:
            rewriter._DEFAULT_REWRITE_RULES = everything  # the worker serves other calls after this one
        return ir.to_proto(graph)

    def switches(self) -> list[str]:
        import onnxscript.rewriter as rewriter

        rules = [_named(i, rule) for i, rule in enumerate(getattr(rewriter, "_DEFAULT_REWRITE_RULES", ()))]
        return [*dict.fromkeys(rules), FOLDING, INLINING]


def _named(position: int, rule: Any) -> str:
    """The rule's name; its place in the default list where it has none."""
    return str(getattr(rule, "name", None) or f"rule {position}")


def _idle_rule() -> Any:
    """A rule that no model fits: a set of none is refused."""
    from onnxscript.rewriter import pattern

    def target(op: Any, x: Any) -> Any:
        return op.NoSuchOperator(x, _domain="no.such.domain")

    def replacement(op: Any, x: Any) -> Any:
        return op.Identity(x)

    return pattern.RewriteRule(target, replacement)
