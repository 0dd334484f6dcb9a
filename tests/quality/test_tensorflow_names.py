"""Names of a TensorFlow source stay with its owner."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from reducer.delivery import Place, deliver
from reducer.worker.host import Host
from tests.quality.test_tensorflow import session

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tf2onnx") is None, reason="the extra tensorflow is not installed"
)

SECRET = """
import numpy as np
import tensorflow as tf

def get_function():
    hidden = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)

    def model(planted_input):
        with tf.name_scope("planted_scope"):
            x = tf.nn.relu(tf.matmul(planted_input, hidden), name="planted_relu")
            return tf.nn.softmax(tf.math.erfc(x, name="planted_erfc"), name="planted_out")

    return model, [tf.TensorSpec([2, 3], tf.float32, name="planted_input")]
"""


@pytest.mark.parametrize("keep_names", [False, True])
def test_names_of_the_source_stay_here(keep_names: bool, tf_host: Host, tmp_path: Path) -> None:
    case = tmp_path / "case.py"
    case.write_text(SECRET)
    run = session(case, tf_host, tmp_path, keep_names=keep_names)
    finding = run.run()
    assert finding.suspects[0].node == "planted_scope/planted_erfc"
    assert run.workspace is not None
    assert finding.reduced is not None
    assert finding.reduced.reproduced == "3/3"
    finding = deliver(finding, run.workspace, Place(tf_host.folder, tf_host.options.python))
    private = ("private/", "finding.json", "log.jsonl", "report.html", "ci/", "also_found/", "filing.md")
    shared = [a.path for a in finding.artifacts if not a.path.startswith(private)]
    assert {"issue.md", "repro.py", "reduced.pb", "converted.onnx"} <= set(shared)
    telling = [path for path in shared if b"planted" in (tmp_path / "out" / path).read_bytes()]
    assert ("reduced.pb" in telling) == keep_names
    assert keep_names or telling == []
