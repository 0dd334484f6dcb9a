"""A candidate as Python: operators whose arguments have another name in Python than in the operator's definition."""

from __future__ import annotations

import importlib.util
import inspect
from typing import Any

import numpy as np
import pytest

from reducer.worker.tf_code import code_of, names_in_python

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tf2onnx") is None, reason="the extra tensorflow is not installed"
)


class Cut:
    """As much of a Candidate as is written down."""

    captured: tuple[str, ...] = ()

    def __init__(self, graph: Any, inputs: list[str], outputs: list[str]) -> None:
        self.graph, self.inputs, self.outputs = graph, inputs, outputs


def test_every_operator_with_a_python_function_has_all_its_names_there() -> None:
    import tensorflow as tf
    from tensorflow.python.framework import op_def_registry

    for op in dir(tf.raw_ops):
        definition = op_def_registry.get(op)
        if definition is not None:
            parameters = list(inspect.signature(getattr(tf.raw_ops, op)).parameters)
            called = names_in_python(definition, parameters)
            assert set(called.values()) == set(parameters) - {"name"}, op


def test_what_is_renamed_in_python_is_written_and_runs() -> None:
    import tensorflow as tf

    def plain(x: Any) -> Any:
        first, second = tf.raw_ops.SplitV(value=x, size_splits=[1, 2], axis=1, num_split=2)
        thin = tf.raw_ops.Squeeze(input=tf.raw_ops.Max(input=first, axis=[0], keep_dims=True), axis=[0])
        chosen = tf.raw_ops.Select(condition=second > 0.0, x=second, y=-second)
        return tf.raw_ops.Sum(input=chosen, axis=[1], keep_dims=False) * thin

    spec = tf.TensorSpec([2, 3], tf.float32, name="x")
    concrete = tf.function(plain, input_signature=[spec]).get_concrete_function()
    graph = concrete.graph.as_graph_def()
    code, parameters, saved = code_of(Cut(graph, ["x:0"], [concrete.outputs[0].name]))  # type: ignore[arg-type]
    assert (parameters, saved) == (["x"], {})
    assert code.count("axis=") == 4
    made: dict[str, Any] = {"tf": tf}
    exec(code, made)
    value = np.array([[1, -2, 3], [4, 5, -6]], np.float32)
    np.testing.assert_array_equal(made["model"](value), plain(value))


def test_the_right_outputs_of_a_graph_as_text_are_those_of_its_loops() -> None:
    import tensorflow as tf
    from google.protobuf import text_format

    from reducer.worker.tf_code import graph_code
    from reporters.rendering import render

    def looped(x: Any) -> Any:
        return tf.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, y * 2.0 + 1.0), [0, x])[1]

    concrete = tf.function(looped, input_signature=[tf.TensorSpec([2], tf.float32, name="x")]).get_concrete_function()
    graph = concrete.graph.as_graph_def()
    code = graph_code(Cut(graph, ["x:0"], [concrete.outputs[0].name]))  # type: ignore[arg-type]
    made: dict[str, Any] = {"tf": tf, "text_format": text_format, "np": np, "feeds": {"x": np.float32([1, -1])}}
    exec(code, made)
    probe = type("Probe", (), {"options": {}})
    repro = type("Repro", (), {"stage": "compare", "probes": (probe,)})
    script = render("repro/tf2onnx.py.j2", repro=repro, code="", as_text=True, head=[], imports=[], feeds=[], signal="",
                    feeds_row="", nchw=[], nchw_out=[], nchw_argument="", compared="", level="ORT_ENABLE_ALL",
                    provider="p", child=False, captures=False, ordered=True, uses_saved=False, verdict="",
                    seconds="1")  # fmt: skip
    exec(script[script.index("with tf.Graph()") : script.index("onnx_model, _")], made)
    np.testing.assert_array_equal(made["expected"], [looped(np.float32([1, -1]))])
