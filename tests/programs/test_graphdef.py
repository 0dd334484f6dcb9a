"""GraphProgram on a hand-made table: cuts, units, what must stay, the order of sizes. No TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reducer.engine.problem import Problem
from reducer.engine.reducer import Reducer, Seed
from reducer.engine.verdict import Judgement, Verdict
from reducer.errors import EditConflict
from reducer.passes.graphdef_drop import DropGroups, DropNodes, DropNodesOtherCut, DropOutputs
from reducer.passes.graphdef_shrink import FixShapes, PlainValues, ShortenAxes, ShrinkAxes
from reducer.programs.base import CutMode
from reducer.programs.graphdef import GraphProgram
from reducer.programs.graphdef_source import GraphSource
from reducer.values import append_values

FLOATS = np.arange(24, dtype=np.float32).reshape(4, 6) / 7


def node(name: str, op: str, inputs: list[str], value: Any = FLOATS, **more: Any) -> dict[str, Any]:
    """One row of a table; `value` None: it cannot be recorded."""
    dtype = more.get("dtype", "float32" if value is None else str(np.asarray(value).dtype))
    shape = more.get("shape", None if value is None else [None, *np.asarray(value).shape[1:]])
    output = {"name": f"{name}:0", "dtype": dtype, "shape": shape, "value": value, "by_shape": more.get("by", False)}
    return {"name": name, "op": op, "inputs": inputs, "outputs": [output]}


def program_of(nodes: list[dict[str, Any]], ends: list[str], folder: Path) -> GraphProgram:
    """The whole program of a table whose values are still arrays."""
    table: dict[str, Any] = {"nodes": nodes, "constants": {}}
    for row in nodes:
        for output in row["outputs"]:
            if output["value"] is not None:
                ref = append_values(folder / "values.bin", {output["name"]: output["value"]})[output["name"]]
                output["value"] = ref.to_wire()
                if row["op"] == "Const":
                    table["constants"][output["name"]] = output["value"]
    return GraphProgram.whole(GraphSource.from_table("graph.pb", table, ends))


@pytest.fixture
def chain(tmp_path: Path) -> GraphProgram:
    rows = [
        node("x", "Placeholder", []),
        node("w", "Const", []),
        node("a", "Mul", ["x:0", "w:0"]),
        node("s", "Shape", ["a:0"], np.array([4, 6], np.int32), by=True),
        node("b", "Tanh", ["a:0"]),
        node("c", "Reshape", ["b:0", "s:0"]),
        node("d", "Elu", ["c:0"]),
    ]
    return program_of(rows, ["d:0"], tmp_path)


def kept(program: GraphProgram, *names: str) -> GraphProgram:
    ids = frozenset(record.ref.id for record in program.records if record.name in names)
    return program.restrict(ids, {})


def test_leaves_are_no_nodes_and_follow_their_readers(chain: GraphProgram) -> None:
    assert [ref.op_type for ref in chain.nodes()] == ["Mul", "Shape", "Tanh", "Reshape", "Elu"]
    order = kept(chain, "a").order()
    assert order["keep"] == ["w", "a"]
    assert list(order["cuts"]) == ["x:0"]


def test_a_shape_is_cut_as_a_constant_and_data_as_an_input(chain: GraphProgram) -> None:
    alone = kept(chain, "c")
    assert {name: alone.mode(name) for name in alone.boundary} == {"b:0": CutMode.INPUT, "s:0": CutMode.CONSTANT}
    cuts = alone.order()["cuts"]
    assert cuts["b:0"] == {"mode": "input", "dtype": "float32", "shape": (None, 6)}


def test_one_input_remains_whatever_the_cuts_say(chain: GraphProgram) -> None:
    ids = frozenset(r.ref.id for r in chain.records if r.name == "c")
    all_constant = chain.restrict(ids, {"b:0": CutMode.CONSTANT, "s:0": CutMode.CONSTANT})
    assert all_constant.inputs == ("b:0",)


def test_outputs_are_what_others_read(chain: GraphProgram) -> None:
    assert kept(chain, "a", "b").outputs == ("a:0", "b:0")
    muted = next(iter(DropOutputs().propose(kept(chain, "a", "b")))).apply(kept(chain, "a", "b"))
    assert muted.outputs == ("a:0",)


def test_nodes_joined_by_an_edge_without_value_are_one_unit(tmp_path: Path) -> None:
    rows = [
        node("x", "Placeholder", []),
        node("reserve", "TensorListReserve", ["x:0"], None, dtype="variant"),
        node("loop", "While", ["reserve:0", "x:0"], None, dtype="variant"),
        node("stack", "TensorListStack", ["loop:0"]),
        node("after", "Relu", ["stack:0"]),
    ]
    whole = program_of(rows, ["after:0"], tmp_path)
    assert len(whole.units()) == 2
    assert [r.op_type for r in whole.restrict(frozenset(whole.units()[:1]), {}).nodes()] == [
        "TensorListReserve",
        "While",
        "TensorListStack",
    ]


def test_an_edge_without_value_cannot_be_cut(tmp_path: Path) -> None:
    rows = [node("x", "Placeholder", [], None, dtype="float32"), node("y", "Relu", ["x:0"])]
    with pytest.raises(EditConflict, match="no value is known of x:0"):
        program_of(rows, ["y:0"], tmp_path).order()


def test_an_output_that_cannot_be_compared_is_no_candidate(tmp_path: Path) -> None:
    rows = [node("x", "Placeholder", []), node("y", "RandomUniform", ["x:0"], None, dtype="float32")]
    with pytest.raises(EditConflict, match="no output"):
        program_of(rows, ["y:0"], tmp_path).order()


def test_the_key_tells_cuts_values_and_shapes_apart(chain: GraphProgram) -> None:
    one = kept(chain, "c")
    others = [
        chain.restrict(one.keep, {"s:0": CutMode.INPUT}),
        ShortenAxes(6, 2).apply(one),
        next(iter(FixShapes().propose(one))).apply(one),
    ]
    assert len({one.key(), *(other.key() for other in others)}) == 4
    assert kept(chain, "c").key() == one.key()


class Needs:
    """Interesting while the named nodes are all there."""

    def __init__(self, *names: str) -> None:
        self.names, self.calls = set(names), 0

    def judge(self, program: GraphProgram) -> Judgement:
        self.calls += 1
        found = self.names <= {record.name for record in program.records}
        return Judgement(Verdict.INTERESTING if found else Verdict.PASSED)

    def outdated(self, _: Judgement) -> bool:
        return False


def test_the_engine_finds_the_needed_nodes(chain: GraphProgram) -> None:
    oracle = Needs("b", "d")
    problem: Problem[GraphProgram] = Problem(chain, oracle)
    Reducer(problem, [DropNodes(), DropNodesOtherCut(), DropOutputs()]).run([])
    assert [record.name for record in problem.best.records] == ["b", "d"]
    assert oracle.calls <= 16


def test_a_good_seed_costs_one_call(chain: GraphProgram) -> None:
    oracle = Needs("c")
    problem: Problem[GraphProgram] = Problem(chain, oracle)
    Reducer(problem, [DropNodes()]).run([Seed((next(r.ref.id for r in chain.records if r.name == "c"),))])
    assert len(problem.best.records) == 1
    assert oracle.calls == 1


@pytest.mark.parametrize(
    "reduction",
    [DropNodes(), DropNodesOtherCut(), DropOutputs(), ShrinkAxes(), PlainValues(), FixShapes()],
    ids=lambda r: r.name,
)
def test_passes_keep_their_promises(reduction: Any, chain: GraphProgram) -> None:
    for program in (chain, kept(chain, "a", "b"), kept(chain, "c")):
        key, edits = program.key(), list(reduction.propose(program))
        assert edits == list(reduction.propose(program))
        for edit in edits:
            try:
                candidate = edit.apply(program)
                size = candidate.size()
            except EditConflict:
                continue
            # Values may also become longer to write; the engine takes only what is smaller.
            assert size != program.size() or candidate.key() != key
        assert program.key() == key
        problem: Problem[GraphProgram] = Problem(program, Needs())
        Reducer(problem, [reduction]).finish()
        assert problem.best.size() <= program.size()


def test_axes_of_one_length_shrink_together(chain: GraphProgram) -> None:
    shorter = ShortenAxes(6, 1).apply(kept(chain, "a"))
    assert {name: ref.summary[1] for name, ref in shorter.all_values.items()} == {"x:0": (4, 1), "w:0": (4, 1)}
    assert shorter.order()["recompute"]
    assert shorter.declared("x:0") == (None, 1)


def test_dropping_the_last_node_is_a_conflict(chain: GraphProgram) -> None:
    alone = kept(chain, "c")
    with pytest.raises(EditConflict):
        DropGroups(alone.keep).apply(alone)
