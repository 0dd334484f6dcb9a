"""repro.py of a conversion: valid Python in every form, nothing of this project in it, no TensorFlow needed here."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from reducer.finding import Feed, Probe, Reproduction
from tests.reporters.builders import run_text, script_of

CODE = """@tf.function(input_signature=[
    tf.TensorSpec([None, 2], tf.int32, name="ids"),
])
def model(ids):
    return tf.raw_ops.OneHot(indices=ids, depth=tf.constant(3), on_value=1.0, off_value=0.0)"""
BASE = Reproduction(
    form="tf2onnx",
    stage="compare",
    probes=(Probe("tf2onnx", {"entry": "from_function", "opset": "15"}),),
    mismatch="value",
    model_code=CODE,
    feeds=(Feed("ids", "int32", (1, 2), [[-1, 0]]),),
    expected_text="zeros",
)


@pytest.mark.parametrize(
    "repro",
    [
        BASE,
        replace(BASE, stage="load", fragments=(": Erfc] is not supported",), mismatch=""),
        replace(BASE, stage="run", fragments=('it says "no"',), mismatch=""),
        replace(BASE, stage="convert", probes=(Probe("tf2onnx", {"entry": "saved_model"}),), mismatch=""),
        replace(BASE, stage="load", probes=(Probe("tf2onnx", {"entry": "saved_model", "opt_level": "none"}),)),
        replace(BASE, stage="convert", probes=(Probe("tf2onnx", {"entry": "from_keras"}),), feeds=(),
                model_code="model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])"),
        replace(BASE, feeds=(Feed("ids", "int32", (100, 2)),)),
        replace(BASE, probes=(Probe("tf2onnx", {"entry": "from_function", "nchw": "ids"}),)),
    ],
)  # fmt: skip
def test_every_form_is_python_of_its_own(repro: Reproduction) -> None:
    text = script_of(repro)  # compiles it
    assert "import tf2onnx.convert" in text
    assert "sys.exit(1" in text
    assert "125" in text


def test_literals_and_options_stand_in_the_script_of() -> None:
    text = script_of(BASE)
    assert 'np.array([[-1, 0]], dtype="int32")' in text
    assert "from_function(model, input_signature=model.input_signature, opset=15)" in text
    assert "inputs.npz" not in text
    assert "inputs.npz" in script_of(replace(BASE, feeds=(Feed("ids", "int32", (100, 2)),)))


def test_a_load_failure_needs_no_feeds_and_looks_at_the_log() -> None:
    text = script_of(replace(BASE, stage="load", fragments=(": Erfc] is not supported",), mismatch=""))
    assert "FEEDS" not in text
    assert '": Erfc] is not supported",' in text
    assert "log.getvalue()" in text


def test_what_breaks_before_the_conversion_is_no_verdict(tmp_path: Path) -> None:
    text = script_of(replace(BASE, stage="convert", model_code="model = 1 / 0", mismatch=""))
    # The packages are stood in for: this is about the exit code alone.
    text = re.sub(r"^import (onnxruntime as ort|tensorflow as tf|tf2onnx.convert)$", "", text, flags=re.M)
    ended = run_text(text, tmp_path)
    assert ended.returncode == 125
    assert "cannot tell: ZeroDivisionError" in ended.stdout


def without_packages(text: str) -> str:
    """The packages are stood in for: this is about what the script makes of what its child does."""
    return re.sub(r"^import (onnxruntime as ort|tensorflow as tf|tf2onnx.convert)$", "", text, flags=re.M)


KILLED = replace(BASE, stage="convert", mismatch="", feeds=(), error_class="SIGKILL", signal="SIGKILL")
HUNG = replace(KILLED, error_class="hang", signal="")
DIES = "import signal\nos.kill(os.getpid(), signal.SIGKILL)"


@pytest.mark.parametrize(
    ("repro", "code", "ends", "says"),
    [
        (KILLED, DIES, 1, "the process dies: the bug is there"),
        (KILLED, "os._exit(0)", 0, "the bug is gone"),
        (KILLED, "1 / 0", 125, "cannot tell"),
        (HUNG, "import time\ntime.sleep(60)", 1, "still busy after 3 seconds: the bug is there"),
        (HUNG, "os._exit(0)", 0, "the bug is gone"),
        (HUNG, DIES, 125, "cannot tell"),
    ],
)
def test_what_kills_or_hangs_is_tried_in_a_process_of_its_own(
    repro: Reproduction, code: str, ends: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reporters.repro_tf2onnx.IMPORT_SECONDS", 0.0)
    ended = run_text(without_packages(script_of(replace(repro, model_code=code, timeout_seconds=3.0))), tmp_path)
    assert ended.returncode == ends, ended.stdout + ended.stderr
    assert says in ended.stdout
