"""repro.py of a TFLite model: valid Python in every form, under forty lines, no verdict on another failure."""

from __future__ import annotations

import base64
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from reducer.finding import Feed, Probe, Reproduction
from tests.reporters.builders import run_text, script_of

# What is left of the flatbuffer of one operator with one input, compressed, has about 300 letters, as this has.
HELD = bytes(range(200)) + bytes(300)
BASE = Reproduction(
    form="tflite",
    stage="compare",
    probes=(Probe("tf2onnx", {"entry": "from_tflite"}),),
    mismatch="value",
    model_code=base64.b64encode(zlib.compress(HELD)).decode(),
    feeds=(Feed("x0", "int8", (1, 2), [[-1, 0]]),),
    expected_text="zeros",
)
LOAD = replace(BASE, stage="load", mismatch="", fragments=("ValueError", "invalid literal for int()"))
FORMS = {
    "compare": BASE,
    "load": LOAD,
    "run": replace(LOAD, stage="run"),
    "convert": replace(LOAD, stage="convert"),
    "options": replace(BASE, probes=(Probe("tf2onnx", {"opset": "18", "opt_level": "none", "nchw": "x0"}),)),
    "beside": replace(BASE, model_code=None),
    "saved": replace(BASE, feeds=(Feed("x0", "float32", (100, 2)),)),
}

# Packages that stand in for the real ones: what the two sides say is written into them.
STAND_INS = """
import sys, types
import numpy as np
tf, ort, t2o = (types.ModuleType(name) for name in ("tensorflow", "onnxruntime", "tf2onnx.convert"))
class Interpreter:
    def __init__(self, path): self.held = open(path, "rb").read()
    def get_signature_runner(self): return lambda **feeds: {"y0": np.array(EXPECTED)}
tf.lite = types.SimpleNamespace(Interpreter=Interpreter)
class Session:
    def __init__(self, *_, **__): LOAD()
    def get_inputs(self): return []
    def run(self, *_): RUN(); return [np.array(ACTUAL)]
ort.InferenceSession = Session
def from_tflite(path):
    assert open(path, "rb").read() == HELD
    CONVERT()
    return types.SimpleNamespace(SerializeToString=lambda: b""), None
t2o.from_tflite = from_tflite
package = types.ModuleType("tf2onnx"); package.convert = t2o
sys.modules.update({"tensorflow": tf, "onnxruntime": ort, "tf2onnx": package, "tf2onnx.convert": t2o})
CONVERT = LOAD = RUN = lambda: None
"""
STAND_INS += f"HELD = {HELD!r}\n"


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_python_of_its_own(form: str) -> None:
    text = script_of(FORMS[form])  # compiles it
    assert "tf2onnx.convert.from_tflite(" in text
    assert "125" in text
    assert ("inputs.npz" in text) == (form == "saved")
    assert ("reduced.tflite" in text) == (form == "beside")


@pytest.mark.parametrize("form", FORMS)
def test_the_script_of_one_operator_has_less_than_forty_lines(form: str) -> None:
    if form not in ("options", "saved"):
        assert len(script_of(FORMS[form]).splitlines()) < 40


def test_options_stand_in_the_calls() -> None:
    text = script_of(FORMS["options"])
    assert "from_tflite(file.name, opset=18, inputs_as_nchw=['x0'])" in text
    assert "GraphOptimizationLevel.ORT_DISABLE_ALL" in text


@pytest.mark.parametrize(
    ("expected", "actual", "code"),
    [("[3, 4]", "[3, 4]", 0), ("[3, 4]", "[3, 6]", 1), ("[3, 4]", "[3, 5]", 0), ("[3, 4]", "[[3, 4]]", 125)],
)
def test_a_difference_beyond_a_step_is_the_bug(expected: str, actual: str, code: int, tmp_path: Path) -> None:
    quantized = replace(BASE, rtol=0.0, atol=1.0)
    text = STAND_INS + f"EXPECTED, ACTUAL = {expected}, {actual}\n" + script_of(quantized)
    ended = run_text(text, tmp_path)
    assert ended.returncode == code, ended.stdout + ended.stderr


@pytest.mark.parametrize("stage", ["convert", "load", "run"])
@pytest.mark.parametrize(
    ("does", "code"), [("None", 0), ("1 / 0", 125), ("int('no number')", 1), ("__import__('no_such_module')", 125)]
)
def test_another_error_is_no_verdict(stage: str, does: str, code: int, tmp_path: Path) -> None:
    text = f"{STAND_INS}\nACTUAL = 1\n{stage.upper()} = lambda: {does}\n" + script_of(FORMS[stage])
    ended = run_text(text, tmp_path)
    assert ended.returncode == code, ended.stdout + ended.stderr


def test_what_goes_wrong_before_is_no_verdict(tmp_path: Path) -> None:
    text = f"{STAND_INS}\nACTUAL = 1\nCONVERT = lambda: int('no number')\n" + script_of(LOAD)
    assert run_text(text, tmp_path).returncode == 125


@pytest.mark.parametrize(("kind", "signal"), [("SIGSEGV", "SIGSEGV"), ("hang", "")])
def test_what_ends_or_blocks_its_process_gets_one_of_its_own(kind: str, signal: str) -> None:
    repro = replace(LOAD, stage="convert", error_class=kind, signal=signal, timeout_seconds=5.0)
    text = script_of(repro)
    assert 'subprocess.run([sys.executable, __file__, "child"]' in text
    assert ("-signal.SIGSEGV" in text) == bool(signal)
