"""Small frozen TensorFlow graphs, made in the worker: each shows one thing that cutting a GraphDef stumbles over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from reducer.values import append_values
from reducer.worker.main import Context

Reply = tuple[dict[str, Any], tuple[bytes, ...]]


def scalars(tf: Any, x: Any) -> Any:
    """A value of rank 0 in the middle: Session.run gives a numpy scalar for it."""
    return tf.tanh(tf.reduce_sum(x)) * x


def controlled(tf: Any, x: Any) -> Any:
    """A control input on an Assert."""
    check = tf.raw_ops.Assert(condition=tf.reduce_all(x < 100.0), data=[x])
    with tf.control_dependencies([check]):
        return tf.tanh(tf.raw_ops.Abs(x=x))


def looped(tf: Any, x: Any) -> Any:
    """A While over a TensorList, and something after it."""

    def body(i: Any, made: Any) -> Any:
        return i + 1, made.write(i, x[i] * 2.0)

    array = tf.TensorArray(tf.float32, size=tf.shape(x)[0], element_shape=[3])
    _, array = tf.while_loop(lambda i, _: i < tf.shape(x)[0], body, [0, array])
    return tf.nn.relu(array.stack())


def two_outputs(tf: Any, x: Any) -> Any:
    """The second output of a node is read."""
    parts = tf.split(x, [1, 2], axis=1)
    return tf.tanh(parts[1]) + parts[0]


def random(tf: Any, x: Any) -> Any:
    """A tensor that is another one in every run."""
    return tf.raw_ops.Abs(x=tf.random.uniform(tf.shape(x))) + tf.tanh(x)


def shaped(tf: Any, x: Any) -> Any:
    """A Reshape whose shape is computed from the shape of the input."""
    size = tf.shape(x)
    return tf.tanh(tf.reshape(x, tf.stack([size[1], size[0]])))


def two_faults(tf: Any, x: Any) -> Any:
    """Two operators that tests.fakes.tf_faults converts wrongly, on ways of their own to one output."""
    first = tf.tanh(tf.raw_ops.Rint(x=x * 3.0))
    second = tf.nn.relu(tf.raw_ops.Asinh(x=x - 2.0) + 3.0)
    return first + second


GRAPHS: dict[str, Callable[[Any, Any], Any]] = {
    f.__name__: f for f in (scalars, controlled, looped, two_outputs, random, shaped, two_faults)
}


def make(
    context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]
) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """{"name", "folder"} -> {"path", "inputs", "outputs", "feeds"}: the frozen graph in a file."""
    import tensorflow as tf
    from tf2onnx import tf_loader

    build = GRAPHS[arguments["name"]]
    traced = tf.function(lambda x: build(tf, x), input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
    concrete = traced.get_concrete_function()
    inputs, outputs = [t.name for t in concrete.inputs], [t.name for t in concrete.outputs]
    graph = tf_loader.from_function(concrete, inputs, outputs)
    path = Path(arguments["folder"]) / f"{arguments['name']}.pb"
    path.write_bytes(graph.SerializeToString())
    value = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    feeds = [append_values(path.with_suffix(".bin"), {"x": value})["x"].to_wire()]
    return {"path": str(path), "inputs": inputs, "outputs": outputs, "feeds": feeds}, ()


def facts(
    context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]
) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """What is in a GraphDef: {"nodes": {name: [op, inputs, attributes]}, "functions": n}."""
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef.FromString(blobs[0])
    nodes = {node.name: [node.op, list(node.input), sorted(node.attr)] for node in graph.node}
    return {"nodes": nodes, "functions": len(graph.library.function)}, ()
