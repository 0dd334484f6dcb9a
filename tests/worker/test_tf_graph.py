"""Frozen graphs are recorded and cut as TensorFlow needs it: the traps of GraphDef, each on a real graph."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reducer.errors import EditConflict
from reducer.frontends.tensorflow import record
from reducer.oracles.conversion import JUDGE_LAYERS, ConversionOracle, How, Seen
from reducer.oracles.conversion_signature import signature_of
from reducer.oracles.limits import Limits
from reducer.programs.base import CutMode
from reducer.programs.graphdef import GraphProgram
from reducer.programs.graphdef_source import GraphSource
from reducer.programs.layers import LayersProgram
from reducer.signature import FailureSignature, Vocabulary
from reducer.testcase import Tolerance
from reducer.values import append_values
from reducer.worker.host import Host
from reducer.worker.protocol import Call

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tf2onnx") is None, reason="the extra tensorflow is not installed"
)


def whole(name: str, host: Host) -> GraphProgram:
    made = host.call(Call("tests.fakes.tf_graphs:make", {"name": name, "folder": str(host.folder)})).value
    graph = {"path": made["path"], "inputs": made["inputs"]}
    return GraphProgram.whole(GraphSource.from_table(made["path"], record(host, graph, made["feeds"]), made["outputs"]))


def only(program: GraphProgram, *types: str) -> GraphProgram:
    """The units that hold a node of these types."""
    wanted = {r.ref.id for r in program.records if r.ref.op_type in types}
    units = {unit for unit in program.keep if wanted & set(program.source.groups[unit])}
    return program.restrict(frozenset(units), {})


def judged(program: GraphProgram, host: Host, **more: Any) -> Seen:
    target = FailureSignature("compare", "tf2onnx", "value", "")
    oracle = ConversionOracle(host, (target, Vocabulary()), How(opset=15), Limits(), Tolerance())
    return oracle.see(program, How(opset=15), 120.0, **more)


def passes(seen: Seen) -> bool:
    return signature_of(seen.reply["report"], Vocabulary()) is None


def facts(seen: Seen, host: Host) -> dict[str, Any]:
    return dict(host.call(Call("tests.fakes.tf_graphs:facts", {}, (seen.blobs[0],))).value)


def test_scalars_are_recorded_as_arrays_of_rank_0(tf_host: Host) -> None:
    program = whole("scalars", tf_host)
    scalar = next(t for r in program.records for t in r.outputs if r.ref.op_type == "Sum")
    assert scalar.value is not None
    assert scalar.value.summary == ("float32", ())
    assert passes(judged(only(program, "Tanh"), tf_host))


def test_a_control_input_goes_with_its_node(tf_host: Host) -> None:
    program = whole("controlled", tf_host)
    assert any(text.startswith("^") for _, inputs, _ in facts(judged(program, tf_host), tf_host)["nodes"].values()
               for text in inputs)  # fmt: skip
    cut = facts(judged(only(program, "Abs"), tf_host), tf_host)["nodes"]
    assert {op for op, _, _ in cut.values()} == {"Abs", "Placeholder"}
    assert not any(text.startswith("^") for _, inputs, _ in cut.values() for text in inputs)


def test_stale_attributes_are_stripped(tf_host: Host) -> None:
    nodes = facts(judged(whole("scalars", tf_host), tf_host), tf_host)["nodes"]
    assert not any(name.startswith("_") for _, _, attributes in nodes.values() for name in attributes)


def test_tensor_lists_stay_with_their_loop(tf_host: Host) -> None:
    program = whole("looped", tf_host)
    unit = only(program, "TensorListReserve")
    assert {"TensorListReserve", "TensorListStack"} <= {ref.op_type for ref in unit.nodes()}
    assert any(ref.op_type in ("While", "StatelessWhile") for ref in unit.nodes())
    assert passes(judged(unit, tf_host))


def test_functions_that_nobody_calls_any_more_are_dropped(tf_host: Host) -> None:
    program = whole("looped", tf_host)
    assert facts(judged(program, tf_host), tf_host)["functions"] >= 2
    assert facts(judged(only(program, "Relu"), tf_host), tf_host)["functions"] == 0


def test_the_second_output_of_a_node_can_be_cut(tf_host: Host) -> None:
    program = only(whole("two_outputs", tf_host), "Tanh")
    assert [name.rpartition(":")[2] for name in program.inputs] == ["1"]
    assert passes(judged(program, tf_host))


def test_what_is_random_is_not_recorded(tf_host: Host) -> None:
    program = whole("random", tf_host)
    values = {r.ref.op_type: r.outputs[0].value for r in program.records}
    assert values["Abs"] is None
    assert values["Tanh"] is not None
    with pytest.raises(EditConflict):
        only(program, "Abs").order()


@pytest.mark.parametrize("mode", list(CutMode))
def test_a_computed_shape_is_cut_either_way(mode: CutMode, tf_host: Host) -> None:
    program = only(whole("shaped", tf_host), "Reshape")
    shape = next(name for name in program.boundary if program.tensor(name).dtype == "int32")
    assert program.mode(shape) is CutMode.CONSTANT
    cut = program.restrict(program.keep, {shape: mode})
    assert passes(judged(cut, tf_host))
    ops = [op for op, _, _ in facts(judged(cut, tf_host), tf_host)["nodes"].values()]
    assert ops.count("Placeholder") == (2 if mode is CutMode.INPUT else 1)


def test_changed_values_are_computed_anew(tf_host: Host, tmp_path: Path) -> None:
    from reducer.passes.graphdef_shrink import ShortenAxes

    program = ShortenAxes(3, 1).apply(only(whole("scalars", tf_host), "Sum"))
    seen = judged(program, tf_host, keep=str(tmp_path / "kept.bin"))
    assert passes(seen)
    assert np.asarray(program.all_values["x:0"].read()).shape == (2, 1)


def test_the_public_entry_point_gives_the_same(tf_host: Host) -> None:
    assert passes(judged(whole("shaped", tf_host), tf_host, public=True))


@pytest.mark.parametrize("name", ["scalars", "controlled", "looped", "two_outputs", "shaped"])
def test_names_that_tell_nothing_change_nothing_else(name: str, tf_host: Host) -> None:
    program = whole(name, tf_host)
    before, after = judged(program, tf_host), judged(replace(program, renamed=True), tf_host, public=True)
    assert passes(after)
    table = after.reply["names"]
    nodes = facts(before, tf_host)["nodes"]
    assert {table[node]: op for node, (op, _, _) in nodes.items()} == {
        node: op for node, (op, _, _) in facts(after, tf_host)["nodes"].items()
    }
    functions = [old for old, new in table.items() if new.startswith("function_")]
    assert (functions != []) == (name == "looped")
    assert [old for old in functions if old.encode() in after.blobs[0]] == []


MODEL = """
import keras
import numpy as np

def get_keras_model():
    keras.utils.set_random_seed(1)
    given = keras.Input((6,))
    left = keras.layers.Dense(4, activation="tanh", name="left")(given)
    right = keras.layers.Dense(4, name="right")(given)
    both = keras.layers.Concatenate(name="both")([left, right])
    return keras.Model(given, keras.layers.Dense(2, name="last")(keras.layers.LayerNormalization(name="norm")(both)))
"""


@pytest.mark.parametrize("keep", [("both",), ("left", "norm"), ("right", "both", "last")])
def test_any_layers_of_a_functional_model_are_a_model(keep: tuple[str, ...], tf_host: Host, tmp_path: Path) -> None:
    case = tmp_path / "case.py"
    case.write_text(MODEL)
    opened = {"path": str(case), "form": "case", "folder": str(tf_host.folder)}
    value = append_values(tmp_path / "x.bin", {"x": np.ones((3, 6), np.float32)})["x"].to_wire()
    table = tf_host.call(Call("reducer.worker.tf_layer_tasks:layers", opened)).value["layers"]
    whole = LayersProgram.whole(table, {**opened, "feeds": [value]})
    wanted = frozenset(ref.id for ref in whole.nodes() if ref.source_name in keep)
    target = FailureSignature("compare", "tf2onnx", "value", "")
    oracle = ConversionOracle(tf_host, (target, Vocabulary()), How(opset=15), Limits(), Tolerance())
    oracle.task = JUDGE_LAYERS
    seen = oracle.see(whole.restrict(wanted, {}), How(opset=15), 120.0, entry="from_function")
    assert passes(seen)
    assert seen.reply["report"]["rungs"][-1]["stage"] == "compare"


def test_text_with_one_node_a_line_is_the_same_graph() -> None:
    import tensorflow as tf
    from google.protobuf import text_format

    from reducer.worker.tf_text import graph_text

    @tf.function(input_signature=[tf.TensorSpec([2], tf.float32)])
    def looped(x):  # type: ignore[no-untyped-def]
        return tf.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, tf.nn.relu(y) + 0.1), [0, x])[1]

    graph = looped.get_concrete_function().graph.as_graph_def()
    text = graph_text(graph)
    assert text_format.Parse(text, tf.compat.v1.GraphDef()) == graph
    inside = sum(len(f.node_def) for f in graph.library.function)
    assert inside > 3
    assert len(text.splitlines()) == len(graph.node) + inside + 4 * len(graph.library.function) + 3
