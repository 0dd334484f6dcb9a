"""Constants that a function captures: tf2onnx's from_function makes inputs of them. They stay captures to the end."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from reducer.delivery import Place, deliver
from reducer.finding import Finding
from reducer.progress import Progress
from reducer.sessions.tensorflow import TensorFlowSession
from reducer.settings import Settings
from reducer.worker.host import Host

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tf2onnx") is None, reason="the extra tensorflow is not installed"
)

MODULE = """
import keras
import numpy as np
import tensorflow as tf

W = np.linspace(-1, 1, 9, dtype=np.float32).reshape(3, 3)

def get_function():
{body}
    return model, [tf.TensorSpec([None, 3], tf.float32, name="x")]

def get_inputs():
    return [np.linspace(-3, 3, 6, dtype=np.float32).reshape(2, 3)]
"""
CLOSURE = """
mean, scale = tf.constant([1.0, 2.0, 3.0]), tf.constant([2.0, 0.5, 1.0])
def model(x):
    y = tf.nn.relu(tf.matmul((x - mean) / scale, W))
    return tf.nn.softmax(y), tf.tanh(y + x)
"""
LAYER = """
given = keras.Input((3,))
y = keras.layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 2.0, 4.0])(given)
for units in (4, 3):
    y = keras.layers.Dense(units, activation="relu", kernel_initializer="ones")(y)
made = keras.Model(given, y)
def model(x):
    return made(x, training=False)
"""
# More numbers than TensorFlow writes into a graph at once.
TABLE = """
table = tf.constant(np.linspace(0, 1, 600, dtype=np.float32).reshape(200, 3))
def model(x):
    y = tf.nn.relu(tf.matmul(x, W)) + tf.gather(table, tf.cast(tf.abs(x[:, 0]), tf.int32))
    return tf.nn.softmax(y)
"""
# Grappler computes the root in advance: the captured tensor is in the graph no more.
FOLDED = """
size = tf.constant(16.0)
def model(x):
    return tf.nn.softmax(tf.matmul(x, W) * tf.math.rsqrt(size)) + tf.tanh(x)
"""
IN_LOOP = """
decay = tf.constant([0.5, 0.25, 0.125])
def model(x):
    _, y = tf.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, tf.nn.elu(y * decay + tf.sin(y))), [0, tf.tanh(x)])
    return tf.nn.softmax(y)
"""
OTHER_FAULT = """
scale = tf.constant([2.0, 0.5, 1.0])
def model(x):
    return tf.nn.softmax(tf.math.erfc(tf.nn.relu(x) * scale)) + tf.tanh(x)
"""


def run(body: str, host: Host, tmp_path: Path) -> tuple[TensorFlowSession, Finding]:
    case = tmp_path / "case.py"
    case.write_text(MODULE.format(body="\n".join(f"    {line}" for line in body.strip("\n").splitlines())))
    quiet = Progress()
    session = TensorFlowSession(Settings(output=tmp_path / "out"), str(case), quiet, quiet.say, host)
    return session, session.run()


@pytest.mark.parametrize(
    ("body", "reader", "nodes"),
    [(CLOSURE, "Sub", 1), (LAYER, "Sub", 1), (TABLE, "GatherV2", 1), (FOLDED, "Rsqrt", 2), (IN_LOOP, "Mul", 1)],
    ids=["closure", "layer", "table", "folded", "loop"],
)
def test_a_captured_constant_stays_one(body: str, reader: str, nodes: int, tf_host: Host, tmp_path: Path) -> None:
    _, finding = run(body, tf_host, tmp_path)
    assert finding.failure is not None
    assert finding.reduced is not None
    assert (finding.status, finding.failure.stage, finding.reduced.reproduced) == ("reduced", "run", "3/3")
    assert finding.reduced.nodes == nodes
    assert finding.suspects[0].name == f"tf2onnx.convert.from_function (captured constant of {reader})"
    assert "made inside of the function, it does not fail" in finding.suspects[0].evidence
    assert finding.neighbours[0].outcome == "passes"
    assert finding.reproduction is not None
    code = finding.reproduction.model_code
    assert code is not None
    before, _, inside = code.partition("def model(")
    assert before.count("tf.constant(") == 1
    assert "tf.TensorSpec(" in before
    compile(code, "repro.py", "exec")
    assert reader.removesuffix("V2").lower() in inside.lower()


def test_another_fault_is_followed_where_constants_are_captured_as_well(tf_host: Host, tmp_path: Path) -> None:
    _, finding = run(OTHER_FAULT, tf_host, tmp_path)
    assert finding.failure is not None
    assert finding.reduced is not None
    assert (finding.failure.stage, dict(finding.reduced.op_types)) == ("load", {"Erfc": 1})
    assert finding.reproduction is not None
    assert "captured" not in str(finding.reproduction.model_code)


@pytest.mark.slow
def test_the_script_of_a_captured_constant_shows_it_in_fresh_processes(tf_host: Host, tmp_path: Path) -> None:
    session, finding = run(CLOSURE, tf_host, tmp_path)
    assert session.workspace is not None
    finding = deliver(finding, session.workspace, Place(tf_host.folder))
    assert next(a.verified for a in finding.artifacts if a.kind == "repro_script") == "3/3"
