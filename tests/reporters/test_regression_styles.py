"""Tests in the style of pytorch, tensorflow-onnx and onnxscript: red while the bug is there, green once it is gone."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from reducer.finding import Feed, Probe, Reproduction
from reporters.regression import RegressionTest
from tests.reporters.builders import FINE, HEAD, PLAIN, finding_of, vector

OPTIMIZER = Probe("onnxscript-optimizer", {"opt_level": "none"})
WRONG_MODULE = """import torch


class Reduced(torch.nn.Module):
    def forward(self, x):
        return (torch.ops.aten.avg_pool2d.default(x, [1, 1], divisor_override=2),)"""
TORCH = Reproduction(
    "torch-mismatch", "compare", (Probe("torch.onnx", {"exporter": "dynamo"}), Probe("onnxruntime", {})),
    mismatch="value", model_code=WRONG_MODULE, inputs_code=(("x", "torch.ones(1, 1, 1, 1)"),),
    feeds=(Feed("x", "float32", (1, 1, 1, 1)),),
)  # fmt: skip
TF = Reproduction(
    "tf2onnx", "compare", (Probe("tf2onnx", {"entry": "from_function", "opset": "15"}),), mismatch="value",
    model_code="""@tf.function(input_signature=[
    tf.TensorSpec([2], tf.int32, name="x"),
])
def model(x):
    y = tf.constant(3, tf.int32)
    return tf.raw_ops.FloorDiv(x=x, y=y)""",
    feeds=(Feed("x", "int32", (2,), [1, -1]),),
)  # fmt: skip
OPTIMIZED = Reproduction(
    "mismatch", "compare", (OPTIMIZER, PLAIN), mismatch="value", model_text=FINE, feeds=(vector([1.0, -2.0]),)
)
STYLES = {"pytorch": TORCH, "tensorflow-onnx": TF, "onnxscript": OPTIMIZED}
# The base class is no part of the wheel of tf2onnx: this one does the same with public calls.
BASE = """
import unittest
import numpy as np
import onnxruntime as ort
import tensorflow as tf
import tf2onnx


class Tf2OnnxBackendTestBase(unittest.TestCase):
    def run_test_case(self, func, feed_dict, input_names, output_names, rtol=1e-07, atol=1e-5):
        specs = [tf.TensorSpec(v.shape, v.dtype, k.split(":")[0]) for k, v in feed_dict.items()]
        expected = [v.numpy() for v in tf.nest.flatten(func(*map(tf.constant, feed_dict.values())))]
        model, _ = tf2onnx.convert.from_function(tf.function(func, input_signature=specs), specs, opset=15)
        session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        names = [i.name for i in session.get_inputs()]
        actual = session.run(None, dict(zip(names, feed_dict.values(), strict=True)))
        for right, wrong in zip(expected, actual, strict=True):
            np.testing.assert_allclose(right, wrong, rtol=rtol, atol=atol)
            self.assertEqual((right.dtype, right.shape), (wrong.dtype, wrong.shape))
"""
COMMON = """
import unittest

unittest_main = unittest.main


def check_opset_min_version(least, why):
    return lambda test: unittest.skipIf(15 < least, why)(test)
"""


def written(tracker: str, repro: Reproduction) -> str | None:
    documents = RegressionTest().render(finding_of(repro, tracker=tracker))
    for document in documents:
        compile(document.text, "test_regression.py", "exec")
        return document.text
    return None


def outcome(text: str | None, folder: Path) -> tuple[int, str]:
    assert text is not None
    (folder / "test_regression.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_regression.py"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    return ended.returncode, ended.stdout


@pytest.mark.slow
def test_pytorch(tmp_path: Path) -> None:
    # PyTorch's own base class wants expecttest, which only its developers have.
    (tmp_path / "expecttest.py").write_text("import unittest\n\nTestCase = unittest.TestCase\n")
    code, said = outcome(written("pytorch", TORCH), tmp_path)
    assert (code, "AssertionError" in said) == (1, True), said
    fine = WRONG_MODULE.replace(", divisor_override=2", "")
    code, said = outcome(written("pytorch", replace(TORCH, model_code=fine)), tmp_path)
    assert (code, "1 passed" in said) == (0, True), said


@pytest.mark.slow
def test_tf2onnx(tmp_path: Path) -> None:
    (tmp_path / "backend_test_base.py").write_text(BASE)
    (tmp_path / "common.py").write_text(COMMON)
    code, said = outcome(written("tensorflow-onnx", TF), tmp_path)
    assert (code, "AssertionError" in said) == (1, True), said
    fine = replace(TF, feeds=(Feed("x", "int32", (2,), [3, 6]),))
    code, said = outcome(written("tensorflow-onnx", fine), tmp_path)
    assert (code, "1 passed" in said) == (0, True), said


def test_onnxscript(tmp_path: Path) -> None:
    wrong = replace(OPTIMIZED, probes=(OPTIMIZER,), expected=(Feed("y", "float32", (2,), [1.0, 3.0]),))
    code, said = outcome(written("onnxscript", wrong), tmp_path)
    assert (code, "AssertionError" in said) == (1, True), said
    code, said = outcome(written("onnxscript", OPTIMIZED), tmp_path)
    assert (code, "1 passed" in said) == (0, True), said
    broken = replace(OPTIMIZED, form="exception", stage="load", mismatch="",
                     model_text=HEAD + "g (float[2] x) => (float[2] y) { y = NoSuchOperator(x) }")  # fmt: skip
    assert outcome(written("onnxscript", broken), tmp_path)[0] == 1


@pytest.mark.parametrize(
    ("tracker", "repro"),
    [
        ("pytorch", replace(TORCH, form="torch-death")),
        ("pytorch", replace(TORCH, probes=(Probe("torch.onnx", {"exporter": "legacy"}), TORCH.probes[1]))),
        ("pytorch", replace(TORCH, inputs_code=(("x", 'torch.from_numpy(saved["x"])'),))),
        ("pytorch", OPTIMIZED),
        ("tensorflow-onnx", replace(TF, probes=(Probe("tf2onnx", {"entry": "saved_model"}),))),
        ("tensorflow-onnx", replace(TF, probes=(Probe("tf2onnx", {"entry": "from_function", "nchw": "x"}),))),
        ("tensorflow-onnx", replace(TF, model_code=(TF.model_code or "").replace("[2]", "[None]"))),
        ("tensorflow-onnx", replace(TF, feeds=(Feed("x", "int32", (2,)),))),
        ("tensorflow-onnx", replace(TF, model_code="model = keras.Sequential([])")),
        ("onnxscript", replace(OPTIMIZED, probes=(PLAIN,))),
        ("onnxscript", replace(OPTIMIZED, probes=(OPTIMIZER,))),
        ("onnxscript", replace(OPTIMIZED, form="death")),
    ],
)
def test_nothing_is_written_that_would_be_another_test(tracker: str, repro: Reproduction) -> None:
    assert written(tracker, repro) is None
