"""test_regression.cc: a C++ test as ONNX Runtime has them, beside the Python one.

OpTester runs one operator with optimizations off: it is written where that fails and a witness gave the right outputs.
TransformerTester compares a graph at two optimization levels: it is written where a pass is to blame and the model
passes without optimizations. Both state what the model text states, or nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from reducer.finding import Feed, Finding, OptimizerFacts, Reproduction
from reporters import cpp_literals as cpp
from reporters.base import Document, Reporter
from reporters.cpp_graph import Graph, graph_of
from reporters.regression import can_write, test_name
from reporters.rendering import one_line, render
from reporters.routing import tracker_of
from reporters.shareable import shareable
from reporters.trackers.base import Facts, facts_of
from reporters.wording import title_of

LEVELS = {
    "none": "Default",
    "basic": "Level1",
    "extended": "Level2",
    "layout": "Level3",
    "all": "MaxLevel",
}


class CppRegressionTest(Reporter):
    """One C++ file for microsoft/onnxruntime; none where nothing honest can be said."""

    name: ClassVar[str] = "test_regression.cc"

    def render(self, finding: Finding) -> Sequence[Document]:
        """The test, else nothing."""
        whole, facts = facts_of(finding), facts_of(shareable(finding))
        if whole is None or facts is None or tracker_of(whole).regression != "onnxruntime" or not can_write(facts):
            return []
        repro = facts.finding.reproduction
        assert repro is not None
        assert repro.model_text is not None
        graph = graph_of(repro.model_text)
        if graph is None or repro.probes[0].backend != "onnxruntime" or facts.provider != "CPU":
            return []
        made = _operator(facts, repro, graph) or _transformer(facts, repro, graph)
        return [Document("regression_test", "test_regression.cc", render(*made[:1], **made[1]))] if made else []


@dataclass(frozen=True)
class Argument:
    """One tensor of a test: how C++ names it, its type, shape and elements."""

    name: str
    kind: str = ""
    shape: str = ""
    values: str = ""
    constant: bool = False

    @property
    def literal(self) -> str:
        """The name in quotes."""
        return cpp.text(self.name) or ""

    @property
    def floating(self) -> bool:
        """Whether it is compared with a tolerance."""
        return self.kind in ("float", "double", "MLFloat16")


def _operator(facts: Facts, repro: Reproduction, graph: Graph) -> tuple[str, dict[str, Any]] | None:
    """An OpTester test of a single node."""
    if len(graph.nodes) != 1 or not _fails_plain(facts, repro):
        return None
    node = graph.nodes[0]
    inputs = [_tensor(graph, repro, name) if name else Argument("") for name in node.inputs]
    right = {feed.name: feed for feed in repro.expected}
    outputs = [_argument(right.get(name), False) if name else Argument("") for name in node.outputs]
    named = [name for name in node.inputs if name]
    fits = len(set(named)) == len(named) and set(graph.inputs) <= set(named)
    # An operator that gives an output back unnamed, or an input twice, is another test.
    if not fits or None in inputs or None in outputs or not any(node.outputs):
        return None
    values = {"node": node, "inputs": inputs, "outputs": outputs, "opset": graph.opset}
    return "regression/onnxruntime_op.cc.j2", _common(facts, repro, graph) | values


def _transformer(facts: Facts, repro: Reproduction, graph: Graph) -> tuple[str, dict[str, Any]] | None:
    """A TransformerTester test of a graph that a pass breaks."""
    blamed = _blamed(facts)
    level = _lowest(blamed) if blamed else None
    if blamed is None or level is None:
        return None
    arguments = [_tensor(graph, repro, name) for name in (*graph.inputs, *graph.constants)]
    # std::vector<bool> is no array: the builder has no inputs of given truth values.
    if any(argument is None or argument.kind == "bool" for argument in arguments):
        return None
    names = {name: f"t{number}" for number, name in enumerate(graph.names())}
    made = [(names[name], _declared(graph, name)) for node in graph.nodes for name in node.outputs if name]
    nodes = [(node, [names.get(n, "") for n in node.inputs], [names.get(n, "") for n in node.outputs])
             for node in graph.nodes]  # fmt: skip
    values = {
        "arguments": [(names[a.name], a) for a in arguments if a],
        "made": made,
        "nodes": nodes,
        "level": LEVELS[level],
        "opset": graph.opset,
        "culprits": ", ".join(blamed.culprits),
        "optional": any("" in (*node.inputs, *node.outputs) for node in graph.nodes),
    }
    return "regression/onnxruntime_transformer.cc.j2", _common(facts, repro, graph) | values


def _common(facts: Facts, repro: Reproduction, graph: Graph) -> dict[str, Any]:
    name = "".join(part.capitalize() for part in test_name(facts, repro).split("_"))
    what = one_line(title_of(facts), 100).replace("\\", "/")
    return {
        "what": what,
        "name": name,
        "op": graph.nodes[0].op_type,
        "rtol": float(repro.rtol),
        "atol": float(repro.atol),
    }


def _fails_plain(facts: Facts, repro: Reproduction) -> bool:
    """Whether it was seen to fail with optimizations off, as OpTester runs it."""
    if repro.probes[0].options.get("opt_level", "all") == "none":
        return True
    seen = [o.levels.get("none") for o in facts.finding.optimizers if o.tool == "onnxruntime"]
    seen += [n.outcome for n in facts.finding.neighbours if (n.axis, n.change) == ("level", "opt_level: none")]
    return "fails" in seen


def _blamed(facts: Facts) -> OptimizerFacts | None:
    """What names a pass of ONNX Runtime as the cause."""
    found = (o for o in facts.finding.optimizers if o.tool == "onnxruntime" and o.culprits)
    return next((o for o in found if o.levels.get("none") == "passes"), None)


def _lowest(facts: OptimizerFacts) -> str | None:
    return next((level for level in LEVELS if facts.levels.get(level) == "fails"), None)


def _tensor(graph: Graph, repro: Reproduction, name: str) -> Argument | None:
    """An input of the model with its values, as the model declares it, or a constant."""
    if name in graph.constants:
        return _argument(graph.constants[name], True)
    feed = next((feed for feed in repro.feeds if feed.name == name), None)
    # The test's input has the shape of its values: a symbolic one would be another model.
    if feed is None or graph.declared.get(name) != (feed.dtype, feed.shape):
        return None
    return _argument(feed, False)


def _argument(feed: Feed | None, constant: bool) -> Argument | None:
    if feed is None or feed.values is None or feed.shape is None or cpp.text(feed.name) is None:
        return None
    values = cpp.elements(feed.values, feed.dtype)
    return (
        None if values is None else Argument(feed.name, cpp.TYPES[feed.dtype], cpp.shape(feed.shape), values, constant)
    )


def _declared(graph: Graph, name: str) -> str:
    """The call of ModelTestBuilder that makes a value, with its type where the model states it in full."""
    call = "MakeOutput" if name in graph.outputs else "MakeIntermediate"
    dtype, dims = graph.declared.get(name, ("", None))
    if dims is None or dtype not in cpp.TYPES:
        return f"{call}()"
    return f"{call}<{cpp.TYPES[dtype]}>(std::vector<int64_t>{cpp.shape(dims)})"
