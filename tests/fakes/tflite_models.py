"""Small TFLite models, made in the worker by TensorFlow's converter: each shows one thing that cutting meets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from reducer.worker.main import Context

Reply = tuple[dict[str, Any], tuple[bytes, ...]]
IMAGE, MATRIX, NUMBERS = ((1, 8, 8, 3), "float32"), ((2, 6), "float32"), ((2, 6), "int32")


def weights(tf: Any, *shape: int) -> Any:
    """The same ones every time."""
    return tf.constant(np.random.default_rng(0).normal(size=shape).astype("float32") * 0.3)


def cnn(tf: Any, x: Any, middle: Callable[[Any], Any]) -> Any:
    """Fifteen operators and something in the middle."""
    y = tf.nn.relu(tf.nn.conv2d(x, weights(tf, 3, 3, 3, 8), 1, "SAME"))
    y = tf.nn.max_pool2d(y, 2, 2, "SAME")
    z = tf.nn.relu(tf.nn.conv2d(y, weights(tf, 3, 3, 8, 8), 1, "SAME"))
    y = middle(y + z)
    left, right = tf.split(y, 2, axis=-1)
    y = tf.concat([tf.tanh(left), tf.sigmoid(right)], -1)
    y = tf.reduce_mean(y, [1, 2])
    y = tf.concat([y, y * 2.0], -1)
    found, places = tf.math.top_k(y, 4)
    return tf.nn.softmax(y), tf.cast(places, tf.float32) + found


def chain(tf: Any, x: Any, middle: Callable[[Any], Any]) -> Any:
    """Seven operators around something."""
    y = middle(tf.nn.relu(x) * 3.0 + tf.tanh(x))
    return tf.nn.softmax(y * 2.0), y + x


def loop(tf: Any, x: Any) -> Any:
    """An operator without a handler in the body of a loop."""
    _, y = tf.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, tf.nn.gelu(y) * 0.5), [0, tf.nn.relu(x)])
    return tf.tanh(y) + x


def branch(tf: Any, x: Any) -> Any:
    """The same in a branch."""
    y = tf.cond(tf.reduce_sum(x) < 1e6, lambda: tf.nn.gelu(x * 2.0) + 1.0, lambda: x - 1.0)
    return tf.tanh(y) + x


def loop_in_branch(tf: Any, x: Any) -> Any:
    """The same in a loop in a branch."""
    y = tf.cond(tf.reduce_sum(x) < 1e6, lambda: loop(tf, x), lambda: x - 1.0)
    return tf.tanh(y) * x


def kept_loop(tf: Any, x: Any) -> Any:
    """A loop with a constant in its body."""
    factors = weights(tf, 2, 6)
    _, y = tf.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, tf.tanh(y) * factors), [0, tf.nn.relu(x)])
    return y + 1.0


def dead_loop(tf: Any, x: Any) -> Any:
    """The same operator after a loop that has nothing to do with it."""
    _, y = tf.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, tf.tanh(y) * 0.5), [0, tf.nn.relu(x)])
    return tf.nn.gelu(y) + x


def two_inputs(tf: Any, b: Any, a: Any) -> Any:
    """Names that sort otherwise than the inputs stand."""
    return tf.nn.gelu(tf.matmul(b, a) - 1.0)


MODELS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "unsupported": (lambda tf, x: cnn(tf, x, lambda y: tf.nn.gelu(y, approximate=True)), (IMAGE,)),
    "cnn": (lambda tf, x: cnn(tf, x, lambda y: y), (IMAGE,)),
    "custom": (lambda tf, x: cnn(tf, x, lambda y: tf.math.erfinv(tf.tanh(y) * 0.5)), (IMAGE,)),
    "beside_custom": (lambda tf, x: (tf.math.erfinv(tf.tanh(x) * 0.5) + 1.0, tf.nn.gelu(x * 2.0) * 3.0), (MATRIX,)),
    "turned": (lambda tf, x: (tf.nn.gelu(x), tf.reduce_sum(x) * 2.0), (IMAGE,)),
    "wrong": (lambda tf, x: tf.minimum(tf.math.floordiv(tf.maximum(x - 7, x), -4) * 2 + 1, x), (NUMBERS,)),
    "raises": (lambda tf, x: cnn(tf, x, tf.floor), (IMAGE,)),
    "kills": (lambda tf, x: chain(tf, x, tf.sin), (MATRIX,)),
    "hangs": (lambda tf, x: chain(tf, x, tf.cos), (MATRIX,)),
    "negated": (lambda tf, x: cnn(tf, x, lambda y: tf.round(y * 3.0)), (IMAGE,)),
    "minimum": (lambda tf, x: chain(tf, x, lambda y: tf.minimum(y, x)), (MATRIX,)),
    "two": (lambda tf, x: (tf.round(x * 3.0) + 1.0, tf.math.ceil(tf.nn.relu(x) * 3.0) * 2.0), (MATRIX,)),
    "loop": (loop, (MATRIX,)),
    "branch": (branch, (MATRIX,)),
    "loop_in_branch": (loop_in_branch, (MATRIX,)),
    "kept_loop": (kept_loop, (MATRIX,)),
    "dead_loop": (dead_loop, (MATRIX,)),
    "two_inputs": (two_inputs, (((None, 6), "float32"), ((6, 3), "float32"))),
    "shaped": (lambda tf, x: tf.nn.gelu(tf.reshape(x * 2.0, [tf.shape(x)[0], 2, 3])), (((None, 6), "float32"),)),
    "plain": (lambda tf, x: tf.nn.relu(tf.nn.conv2d(x, weights(tf, 3, 3, 3, 8), 1, "SAME")) * 2.0 + 1.0, (IMAGE,)),
    "quantized": (lambda tf, x: cnn(tf, x, lambda y: tf.nn.gelu(y)), (IMAGE,)),
}


def make(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """{"name", "quantized": also integers inside, "integers": at the edges as well} -> the flatbuffer as a blob."""
    import tensorflow as tf

    function, specs = MODELS[arguments["name"]]
    signature = [tf.TensorSpec(shape, dtype, name=name) for (shape, dtype), name in zip(specs, "xy", strict=False)]
    graph = tf.function(lambda *x: function(tf, *x), input_signature=signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph.get_concrete_function()])
    # What TFLite has no operator for becomes a custom one.
    converter.allow_custom_ops = True
    if arguments.get("quantized"):
        rng = np.random.default_rng(0)
        samples = [[rng.normal(size=specs[0][0]).astype("float32")] for _ in range(8)]
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: iter(samples)
    if arguments.get("integers"):
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return {}, (converter.convert(),)


def renew(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """The model of blobs[0] with Minimum as the newer operator of the same meaning, which tf2onnx has no name for."""
    import flatbuffers
    from tensorflow.lite.python.schema_py_generated import BuiltinOperator, ModelT

    model = ModelT.InitFromPackedBuf(blobs[0], 0)
    for number, code in enumerate(model.operatorCodes):
        if code.builtinCode == BuiltinOperator.MINIMUM:
            code.builtinCode, code.deprecatedBuiltinCode = BuiltinOperator.STABLEHLO_MINIMUM, 127
            for operator in (o for o in model.subgraphs[0].operators if o.opcodeIndex == number):
                operator.builtinOptions, operator.builtinOptionsType = None, 0
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return {}, (bytes(builder.Output()),)


def table(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """What a flatbuffer (blobs[0]) holds: {"ops", "tensors", "buffers", "codes", "graphs"}."""
    from reducer.worker.tflite_model import load_model, op_type

    path = Path(arguments["folder"]) / "held.tflite"
    path.write_bytes(blobs[0])
    load_model.cache_clear()
    model = load_model(str(path))
    main = model.subgraphs[0]
    ops = [op_type(model, operator) for operator in main.operators]
    counts = {"tensors": len(main.tensors), "buffers": len(model.buffers), "codes": len(model.operatorCodes)}
    return {"ops": ops, "graphs": len(model.subgraphs), **counts}, ()
