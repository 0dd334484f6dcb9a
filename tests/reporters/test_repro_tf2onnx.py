"""repro.py of a conversion: valid Python in every form, nothing of this project in it, no TensorFlow needed here."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from reducer.delivery import WORDS
from reducer.finding import Feed, Probe, Reproduction, Suspect
from reporters.shareable import shareable
from tests.reporters.builders import finding_of, run_text, script_of

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
    assert re.search(r"sys\.exit\((0 if same else )?1 ?(\)|if )", text)
    assert "125" in text


def test_outputs_that_tf2onnx_turns_are_turned() -> None:
    text = script_of(FORMS["nchw_out"])
    assert "outputs_as_nchw=['Identity:0', 'Identity_2:0'])" in text
    assert "transpose(0, 3, 1, 2) if n in [0, 2] else v" in text


def test_literals_and_options_stand_in_the_script_of() -> None:
    text = script_of(BASE)
    assert 'np.array([[-1, 0]], dtype="int32")' in text
    assert "from_function(model, input_signature=model.input_signature, opset=15)" in text
    assert "inputs.npz" not in text
    assert "inputs.npz" in script_of(replace(BASE, feeds=(Feed("ids", "int32", (100, 2)),)))


def test_a_load_failure_needs_no_feeds_and_looks_at_the_log() -> None:
    text = script_of(replace(BASE, stage="load", fragments=(": Erfc] is not supported",), mismatch=""))
    assert "feeds" not in text
    assert 'known = ": Erfc] is not supported" in said' in text
    assert "log.getvalue()" in text


def test_what_breaks_before_the_conversion_is_no_verdict(tmp_path: Path) -> None:
    text = script_of(replace(BASE, stage="convert", model_code="model = 1 / 0", mismatch=""))
    # The packages are stood in for: this is about the exit code alone.
    text = re.sub(r"^import (onnxruntime as ort|tensorflow as tf|tf2onnx.convert)$", "", text, flags=re.M)
    ended = run_text(text, tmp_path)
    assert ended.returncode == 125
    assert "cannot tell: ZeroDivisionError" in ended.stdout


FORMS = {
    "raised": replace(BASE, stage="convert", mismatch="", fragments=("ValueError", "in version_13", "not in the list")),
    "unsupported": replace(BASE, stage="load", mismatch="", fragments=(": Erfc] is not supported",)),
    "refused": replace(BASE, stage="load", mismatch="", fragments=("a" * 90, "b" * 90)),
    "run": replace(BASE, stage="run", mismatch="", fragments=("out of data bounds",)),
    "command": replace(
        BASE,
        stage="convert",
        mismatch="",
        fragments=("KeyError",),
        probes=(Probe("tf2onnx", {"entry": "saved_model"}),),
    ),
    "nchw": replace(BASE, probes=(Probe("tf2onnx", {"entry": "from_function", "nchw": "ids", "opt_level": "none"}),)),
    "nchw_out": replace(BASE, probes=(Probe("tf2onnx", {"entry": "from_function", "nchw_out": "0,2"}),)),
    **{kind: replace(BASE, mismatch=kind) for kind in ("value", "shape", "dtype", "nan", "inf", "strings")},
}


@pytest.mark.parametrize("form", FORMS)
def test_the_script_of_one_node_has_less_than_forty_lines(form: str) -> None:
    text = script_of(FORMS[form])
    assert len(text.splitlines()) < 40
    assert WORDS.decode() in text


# Packages that stand in for the real ones: what the two sides say is written into them.
STAND_INS = """
import sys, types
import numpy as np
tf, ort, t2o = (types.ModuleType(name) for name in ("tensorflow", "onnxruntime", "tf2onnx.convert"))
class Tensor:
    def __init__(self, array): self.array = array
    def numpy(self): return self.array
tf.function = lambda **_: (lambda f: Model())
class Model:
    input_signature = ()
    def __call__(self, *_): return EXPECTED
tf.TensorSpec = lambda *_, **__: None
tf.int32 = "int32"
tf.constant = lambda *_: None
tf.nest = types.SimpleNamespace(flatten=lambda values: [Tensor(np.array(v)) for v in values])
class Session:
    def __init__(self, *_, **__): LOAD()
    def get_inputs(self): return []
    def run(self, *_): return [np.array(v) for v in ACTUAL]
ort.InferenceSession = Session
t2o.from_function = lambda *_, **__: (types.SimpleNamespace(SerializeToString=lambda: b""), None)
package = types.ModuleType("tf2onnx"); package.convert = t2o
sys.modules.update({"tensorflow": tf, "onnxruntime": ort, "tf2onnx": package, "tf2onnx.convert": t2o})
LOAD = lambda: None
"""
NAN, INF = "float('nan')", "float('inf')"


@pytest.mark.parametrize(
    ("kind", "expected", "actual", "code"),
    [
        ("value", "[[1.0, 2.0]]", "[[1.0, 2.0]]", 0),
        ("value", "[[1.0, 2.0]]", "[[1.0, 2.5]]", 1),
        ("value", "[[1.0, 2.0]]", "[[[1.0, 2.5]]]", 125),
        ("value", "[[1.0, 2.0]]", f"[[1.0, {NAN}]]", 125),
        ("value", "[[1.0, 2.0]]", "[[1, 3]]", 125),
        ("shape", "[[1.0, 2.0]]", "[[[1.0, 2.0]]]", 1),
        ("shape", "[[1.0, 2.0]]", "[[1.0, 2.0]]", 0),
        ("shape", "[[1.0, 2.0]]", "[[1.0, 3.0]]", 125),
        ("dtype", "[[1.0, 2.0]]", "[[1, 2]]", 1),
        ("dtype", "[[1.0, 2.0]]", "[[1.0, 2.0]]", 0),
        ("dtype", "[[1.0, 2.0]]", "[[[1, 2]]]", 125),
        ("nan", "[[1.0, 2.0]]", f"[[1.0, {NAN}]]", 1),
        ("nan", "[[1.0, 2.0]]", "[[1.0, 2.0]]", 0),
        ("nan", "[[1.0, 2.0]]", "[[1.0, 9.0]]", 125),
        ("inf", "[[1.0, 2.0]]", f"[[1.0, {INF}]]", 1),
        ("inf", "[[1.0, 2.0]]", f"[[1.0, {NAN}]]", 125),
        ("strings", "[[b'a', b'b']]", "[['a', 'b']]", 0),
        ("strings", "[[b'a', b'b']]", "[['a', 'c']]", 1),
        ("strings", "[[b'a', b'b']]", "[[['a', 'c']]]", 125),
    ],
)
def test_another_difference_is_no_verdict(kind: str, expected: str, actual: str, code: int, tmp_path: Path) -> None:
    text = STAND_INS + f"EXPECTED, ACTUAL = {expected}, {actual}\n" + script_of(replace(BASE, mismatch=kind))
    ended = run_text(text, tmp_path)
    assert ended.returncode == code, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("does", "code"), [("None", 0), ("1 / 0", 125), ("int('no number')", 1), ("__import__('no_such_module')", 125)]
)
def test_another_error_is_no_verdict(does: str, code: int, tmp_path: Path) -> None:
    repro = replace(BASE, stage="load", mismatch="", fragments=("ValueError", "invalid literal for int()"))
    ended = run_text(f"{STAND_INS}\nLOAD = lambda: {does}\n" + script_of(repro), tmp_path)
    assert ended.returncode == code, ended.stdout + ended.stderr


def test_names_that_stand_in_the_graph_alone_are_not_shared_unless_it_is_the_script() -> None:
    graph = f"{CODE}\n# planted/one_hot"
    suspect = Suspect("op", "OneHot", "made of OneHot (node planted/one_hot)", "planted/one_hot")
    finding = finding_of(replace(BASE, model_text=graph), suspects=(suspect,))
    assert shareable(finding).suspects[0].evidence == "made of OneHot (node <name>)"
    shown = replace(finding, reproduction=replace(BASE, model_code=graph))
    assert shareable(shown).suspects[0].evidence == suspect.evidence


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
