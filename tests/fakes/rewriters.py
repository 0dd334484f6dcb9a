"""Rewriters named by what they do to models that hold an Elu; they leave others alone."""

from __future__ import annotations

from typing import Any, ClassVar

from reducer.backends.base import Options
from reducer.backends.rewriting import Rewriter, switched_off


class FakeRewriter(Rewriter):
    requires: ClassVar[tuple[str, ...]] = ("onnx",)

    def rewrite(self, model: Any, options: Options) -> Any:
        for node in model.graph.node:
            if node.op_type == "Elu" and "the_pass" not in switched_off(options):
                self.spoil(node)
        return model

    def switches(self) -> list[str]:
        return ["another", "the_pass", "a_third"]

    def spoil(self, node: Any) -> None:
        """What the fake is named for."""


class RewriterRaises(FakeRewriter):
    name: ClassVar[str] = "rewriter_raises"

    def spoil(self, node: Any) -> None:
        raise ValueError("cannot rewrite an Elu")


class BreaksTheGraph(FakeRewriter):
    name: ClassVar[str] = "breaks_the_graph"

    def spoil(self, node: Any) -> None:
        node.input[0] = "nobody_makes_this"


class ChangesTheMeaning(FakeRewriter):
    name: ClassVar[str] = "changes_the_meaning"

    def spoil(self, node: Any) -> None:
        node.op_type = "Neg"
        del node.attribute[:]


ALL = {kind.name: f"{__name__}:{kind.__qualname__}" for kind in (RewriterRaises, BreaksTheGraph, ChangesTheMeaning)}
