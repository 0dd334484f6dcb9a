"""Runs on models that stumble over broken handlers: what kills or never ends, two faults at once, functions inside."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from reducer.finding import Finding
from reducer.progress import Progress
from reducer.sessions.tensorflow import TensorFlowSession
from reducer.settings import Settings
from reducer.worker.host import Host

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tf2onnx") is None, reason="the extra tensorflow is not installed"
)

MODULE = """
import numpy as np
import tensorflow as tf

def get_function():
{body}
    return model, [tf.TensorSpec([None, 3], tf.float32, name="x")]

def get_inputs():
    return [np.linspace(-3, 3, 6, dtype=np.float32).reshape(2, 3) * 1.4]
"""


def run(body: str, host: Host, tmp_path: Path, **more: object) -> Finding:
    tmp_path.mkdir(exist_ok=True)
    case = tmp_path / "case.py"
    case.write_text(MODULE.format(body="\n".join(f"    {line}" for line in body.strip("\n").splitlines())))
    quiet = Progress()
    settings = Settings(output=tmp_path / "out", **more)  # type: ignore[arg-type]
    return TensorFlowSession(settings, str(case), quiet, quiet.say, host).run()


def ends_at(finding: Finding, op_type: str) -> None:
    assert finding.status == "reduced"
    assert finding.reduced is not None
    assert dict(finding.reduced.op_types) == {op_type: 1}
    assert finding.reduced.reproduced == "3/3"
    assert finding.suspects[0].name == op_type


CHAIN = """
def model(x):
    y = tf.nn.relu(x) + tf.tanh(x)
    y = tf.nn.softmax(y + {call})
    return y * 2.0 + x
"""


def test_a_conversion_that_kills_its_process_is_reduced(faulty_tf_host: Host, tmp_path: Path) -> None:
    finding = run(CHAIN.format(call="tf.sinh(x)"), faulty_tf_host, tmp_path)
    ends_at(finding, "Sinh")
    assert finding.failure is not None
    assert (finding.failure.stage, finding.failure.signature.kind) == ("convert", "SIGKILL")
    assert finding.ladder[-1].outcome == "died"
    assert next(tmp_path.glob("out*/reduced.pb")).stat().st_size > 0
    assert finding.reproduction is not None
    assert finding.reproduction.signal == "SIGKILL"


@pytest.mark.slow
def test_a_conversion_that_never_ends_is_reduced(faulty_tf_host: Host, tmp_path: Path) -> None:
    finding = run(CHAIN.format(call="tf.cosh(x)"), faulty_tf_host, tmp_path, timeout=12.0)
    ends_at(finding, "Cosh")
    assert finding.failure is not None
    assert (finding.failure.stage, finding.failure.symptom) == ("convert", "hang")


TWO = """
def model(x):
    first = tf.raw_ops.{first}(x=tf.tanh(x) * 3.0) + 1.0
    second = tf.raw_ops.{second}(x=tf.nn.relu(x) - 2.0) * 3.0
    return {given}
"""


@pytest.mark.parametrize(
    ("first", "second", "given"),
    [
        ("Rint", "Asinh", "first, second"),
        ("Asinh", "Rint", "first, second"),
        ("Rint", "Asinh", "tf.nn.relu(first + second)"),
        ("Rint", "Asinh", "tf.tanh(first), tf.nn.relu(second * first)"),
    ],
)
def test_of_two_faults_one_is_followed_to_its_end(
    first: str, second: str, given: str, faulty_tf_host: Host, tmp_path: Path
) -> None:
    finding = run(TWO.format(first=first, second=second, given=given), faulty_tf_host, tmp_path)
    assert finding.suspects[0].name in (first, second)
    ends_at(finding, finding.suspects[0].name)


def test_a_fault_behind_another_has_another_identity(faulty_tf_host: Host, tmp_path: Path) -> None:
    bodies = {"Rint": TWO.format(first="Rint", second="Exp", given="first, second"),
              "Asinh": TWO.format(first="Exp", second="Asinh", given="first, second")}  # fmt: skip
    found = {name: run(body, faulty_tf_host, tmp_path / name) for name, body in bodies.items()}
    identities = [finding.failure.signature.id for finding in found.values() if finding.failure]
    assert len(set(identities)) == 2


IN_BRANCH = """
def model(x):
    y = tf.nn.relu(x) + tf.tanh(x)
    a, b = tf.cond(tf.reduce_sum(x) < 1.0,
                   lambda: (tf.raw_ops.{op}(x=y * 0.3) + 1.0, y * y), lambda: (y - 1.0, y + x))
    return tf.nn.softmax(a), b * 2.0
"""
IN_LOOP = """
def model(x):
    def body(i, y):
        return i + 1, tf.nn.relu(y) - tf.raw_ops.{op}(x=y * 0.3 + 0.1)

    _, y = tf.while_loop(lambda i, _: i < 2, body, [0, tf.tanh(x)])
    return tf.nn.softmax(y), y + x
"""
IN_LOOP_IN_BRANCH = """
def model(x):
    def body(i, y):
        return i + 1, tf.nn.relu(y) - tf.raw_ops.{op}(x=y * 0.3 + 0.1)

    def looped():
        return tf.while_loop(lambda i, _: i < tf.shape(x)[0], body, [0, tf.tanh(x)])[1]

    y = tf.cond(tf.reduce_sum(x) < 1.0, looped, lambda: x - 1.0)
    return tf.nn.softmax(y), y + x
"""
IN_CONDITION = """
def model(x):
    def condition(i, y):
        return tf.logical_and(i < 3, tf.reduce_sum(tf.raw_ops.{op}(x=y * 0.3)) < 100.0)

    _, y = tf.while_loop(condition, lambda i, y: (i + 1, tf.nn.relu(y) + 0.5), [0, tf.tanh(x)])
    return tf.nn.softmax(y), y + x
"""
PLACES = {"branch": IN_BRANCH, "loop": IN_LOOP, "loop in a branch": IN_LOOP_IN_BRANCH}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("op", ["Rint", "Log1p", "Erfinv"])
def test_what_lies_in_a_function_is_taken_out_of_it(place: str, op: str, faulty_tf_host: Host, tmp_path: Path) -> None:
    finding = run(PLACES[place].format(op=op), faulty_tf_host, tmp_path)
    ends_at(finding, op)


@pytest.mark.parametrize("op", ["Log1p", "Erfinv"])
def test_what_lies_in_the_condition_of_a_loop_is_taken_out_of_it(op: str, faulty_tf_host: Host, tmp_path: Path) -> None:
    ends_at(run(IN_CONDITION.format(op=op), faulty_tf_host, tmp_path), op)
