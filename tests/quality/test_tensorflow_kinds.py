"""Wrong outputs whose kind changes on the way: an infinity becomes a NaN, and another output shows it as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from reducer.worker.host import Host
from tests.quality.test_tensorflow_faults import ends_at, pytestmark, run

__all__ = ["pytestmark"]

# tf2onnx gives -inf where TensorFlow gives the lowest number to a segment without members.
SEGMENTS = """
def model(x):
    y = tf.raw_ops.UnsortedSegmentMax(data=tf.tanh(x) + 1.0, segment_ids=tf.constant([0, 2]), num_segments=3)
    finite = y * 1e-38
    return {given}
"""


@pytest.mark.parametrize(
    "given",
    ["finite - finite, y", "y, finite - finite", "tf.nn.relu(finite - finite) + 1.0", "tf.nn.softmax(finite)"],
)
def test_it_is_followed_to_where_it_begins(given: str, tf_host: Host, tmp_path: Path) -> None:
    finding = run(SEGMENTS.format(given=given), tf_host, tmp_path)
    ends_at(finding, "UnsortedSegmentMax")
    assert finding.reproduction is not None
    assert finding.reproduction.mismatch == "inf"
