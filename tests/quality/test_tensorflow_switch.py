"""Branches and loops: switches whose other side has no value, lists that only the loop around them converts."""

from __future__ import annotations

from pathlib import Path

import pytest

from reducer.worker.host import Host
from tests.quality.test_tensorflow_faults import ends_at, pytestmark, run

__all__ = ["pytestmark"]

SWITCHED = """
def model(x):
    place = tf.cast(tf.argmax(tf.reduce_sum(x, axis=0)[:2]), tf.int32)
    y = tf.nn.relu(x) + tf.tanh(x)
    y = tf.switch_case(place, [lambda: y * 3.0 + x, lambda: tf.nn.elu(tf.sin(y)) - 1.0, lambda: {other}])
    return tf.nn.softmax(y)
"""


@pytest.mark.parametrize("other", ["tf.exp(y) * y", "y"])
def test_a_switch_is_cut_out_of_its_branches(other: str, tf_host: Host, tmp_path: Path) -> None:
    finding = run(SWITCHED.format(other=other), tf_host, tmp_path)
    ends_at(finding, "_SwitchN")
    assert finding.reproduction is not None
    text = str(finding.reproduction.model_code)
    assert "text_format.Parse" in text  # there is no function of TensorFlow's for it
    assert len(text.splitlines()) < 20


MAPPED = """
def model(x):
    y = tf.map_fn(lambda row: row + tf.cast(tf.cast(row * 4.0 - 7.0, tf.int32) // 3, tf.float32), tf.tanh(x))
    return tf.nn.softmax(y)
"""


def test_a_wrong_operator_is_taken_out_of_the_loop_that_fills_a_list(tf_host: Host, tmp_path: Path) -> None:
    finding = run(MAPPED, tf_host, tmp_path)
    ends_at(finding, "FloorDiv")
    assert finding.failure is not None
    assert finding.failure.stage == "compare"
