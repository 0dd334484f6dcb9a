"""What stands in repro.py: feeds of every kind, models of every form, and how it reads."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx.parser
import pytest

from reducer.delivery import WORDS
from reducer.finding import Feed, Reproduction
from reporters.literals import expression, literal
from tests.reporters.builders import (
    GONE,
    HEAD,
    LOAD,
    NO_KERNEL,
    ORT,
    PLAIN,
    REFERENCE,
    THERE,
    finding_of,
    run_here,
    script_of,
    vector,
)


def run_differs(repro: Reproduction, folder: Path, expected: Any) -> int:
    """The exit code of a comparison with `expected`, which is saved as output y."""
    np.savez(folder / "expected.npz", y=expected)
    return run_here(replace(repro, form="mismatch", stage="compare", mismatch="value"), folder)


def identity(dtype: str, shape: str, feed: Feed) -> Reproduction:
    text = f'<ir_version: 9, opset_import: ["" : 19]> g ({dtype}{shape} x) => ({dtype}{shape} y) {{ y = Identity(x) }}'
    return Reproduction("mismatch", "compare", (ORT,), feeds=(feed,), model_text=text)


@pytest.mark.parametrize(
    ("dtype", "shape", "feed", "same"),
    [
        ("float16", "[2]", vector([0.1, math.inf], "float16"), np.array([0.1, math.inf], np.float16)),
        ("bool", "[2]", Feed("x", "bool", (2,), [True, False]), np.array([True, False])),
        ("string", "[2]", Feed("x", "string", (2,), ["a'\"\\", "ü"]), np.array(["a'\"\\", "ü"])),
        ("float", "", Feed("x", "float32", (), 1.5), np.array(1.5, np.float32)),
        ("string", "", Feed("x", "string", (), "one"), np.array("one")),
        ("double", "[3]", vector([math.nan, -math.inf, 1e300], "float64"), np.array([math.nan, -math.inf, 1e300])),
        ("float", "[0,3]", Feed("x", "float32", (0, 3), []), np.zeros((0, 3), np.float32)),
    ],
)
def test_literals_arrive_as_they_were(tmp_path: Path, dtype: str, shape: str, feed: Feed, same: Any) -> None:
    assert run_differs(identity(dtype, shape, feed), tmp_path, same) == GONE


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_narrow_floats_come_as_raw_bits(tmp_path: Path, name: str) -> None:
    dtype = getattr(ml_dtypes, name)
    value = np.array([1.5, -2.0], dtype)
    bits = value.view(f"u{value.itemsize}")
    np.savez(tmp_path / "inputs.npz", x=bits)
    repro = identity(name.replace("_", ""), "[2]", Feed("x", name, (2,)))
    other = np.array([1.5, 2.0], dtype).view(bits.dtype)
    assert run_differs(repro, tmp_path, bits) == GONE
    assert run_differs(repro, tmp_path, other) == THERE
    assert run_differs(replace(repro, probes=(REFERENCE,)), tmp_path, bits) == GONE


def test_a_narrow_output_of_a_plain_input(tmp_path: Path) -> None:
    text = HEAD + "g (float[2] x) => (bfloat16[2] y) { y = Cast<to = 16>(x) }"
    repro = Reproduction(
        "mismatch", "compare", (ORT, PLAIN), mismatch="value", feeds=(vector([1.0, 2.0]),), model_text=text
    )
    assert run_here(repro, tmp_path) == GONE


def test_sequences_lie_item_by_item(tmp_path: Path) -> None:
    text = HEAD + "g (seq(float[2]) x) => (float[N] y) { y = ConcatFromSequence<axis = 0>(x) }"
    np.savez(tmp_path / "inputs.npz", **{f"x.{i}": np.full(2, i, np.float32) for i in range(12)})
    feed = Feed("x", "sequence(float32)", None)
    repro = Reproduction("mismatch", "compare", (ORT,), feeds=(feed,), model_text=text)
    assert run_differs(repro, tmp_path, np.repeat(np.arange(12, dtype=np.float32), 2)) == GONE
    assert run_differs(replace(repro, probes=(REFERENCE,)), tmp_path, np.zeros(24, np.float32)) == THERE


def test_sequences_as_outputs(tmp_path: Path) -> None:
    text = (
        HEAD + "g (float[3] x) => (seq(float[N]) y) { n = Constant<value_ints = [1, 2]>() y = SplitToSequence(x, n) }"
    )
    repro = Reproduction(
        "mismatch", "compare", (ORT, REFERENCE), mismatch="value", feeds=(vector([1.0, 2.0, 3.0]),), model_text=text
    )
    assert run_here(repro, tmp_path) == GONE
    assert run_here(replace(repro, form="nan", stage="run", probes=(ORT,)), tmp_path) == GONE


def test_an_empty_optional_is_fed_none(tmp_path: Path) -> None:
    text = HEAD + "g (optional(float[2]) x) => (bool y) { y = OptionalHasElement(x) }"
    feed = Feed("x", "optional(none)", None)
    assert expression(feed) == "None"
    repro = Reproduction("mismatch", "compare", (ORT,), feeds=(feed,), model_text=text)
    assert run_differs(repro, tmp_path, np.array(False)) == GONE


def test_a_model_and_inputs_beside_the_script(tmp_path: Path) -> None:
    text = HEAD + "g (float[4] x, int64[1] s) => (float[M] y) { y = Reshape(x, s) }"
    onnx.save(onnx.parser.parse_model(text), str(tmp_path / "reduced.onnx"))
    repro = Reproduction(
        "exception", "run", (ORT,), error_class="Fail", fragments=("Reshape",),
        feeds=(Feed("x", "float32", (4,)), Feed("s", "int64", (1,))),
    )  # fmt: skip
    np.savez(tmp_path / "inputs.npz", x=np.ones(4, np.float32), s=np.array([3]))
    assert run_here(repro, tmp_path) == THERE
    np.savez(tmp_path / "inputs.npz", x=np.ones(4, np.float32), s=np.array([4]))
    assert run_here(repro, tmp_path) == GONE


CODE = """
from onnx import TensorProto

def make_model():
    x, y = (helper.make_tensor_value_info(name, TensorProto.DOUBLE, [2]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Elu", ["x"], ["y"])], "g", [x], [y])
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
"""


def test_a_model_as_code(tmp_path: Path) -> None:
    repro = replace(LOAD, model_text=None, model_code=CODE)
    assert run_here(repro, tmp_path) == THERE
    assert run_here(replace(repro, model_code=CODE.replace("DOUBLE", "FLOAT")), tmp_path) == GONE


@pytest.mark.parametrize("value", [1.5, math.inf, -math.inf, True, "a'b\n", 'a"b', "'\"", [[1], []], math.nan])
def test_literals_are_python(value: Any) -> None:
    again = eval(literal(value))
    assert again == value or (isinstance(value, float) and math.isnan(value) and math.isnan(again))


def test_long_arrays_are_wrapped_and_short_in_their_dtype() -> None:
    values = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    code = expression(Feed("x", "float32", (8, 8), values.tolist()))
    assert max(map(len, code.splitlines())) <= 110
    assert max(map(len, re.findall(r"0\.\d+", code))) <= 12
    assert np.array_equal(eval(code, {"np": np}), values)


def forms() -> dict[str, Reproduction]:
    """One script of each form around one node."""
    run = replace(LOAD, stage="run", feeds=(vector([1.0, 2.0], "float64"),))
    return {
        "exception": LOAD,
        "run": run,
        "pieces": replace(run, fragments=("Could not find", "an implementation")),
        "file": replace(run, model_text=None, feeds=(Feed("x", "float64", (2,)),)),
        "code": replace(LOAD, model_text=None, model_code=CODE),
        "checker": replace(LOAD, probes=(replace(ORT, backend="onnx-checker"),)),
        "nan": replace(run, form="nan"),
        "shape": replace(run, form="mismatch", mismatch="shape", probes=(ORT, PLAIN)),
        "value": replace(run, form="mismatch", mismatch="value", probes=(REFERENCE, PLAIN)),
        "expected": replace(run, form="mismatch", mismatch="value"),
        "narrow": replace(run, form="mismatch", mismatch="value", feeds=(Feed("x", "bfloat16", (2,)),)),
        "death": replace(run, form="death", signal="SIGSEGV"),
        "hang": replace(run, form="hang", timeout_seconds=2.5),
        "command": replace(LOAD, form="command", command=("sh", "check.sh", "{}"), fail_codes=(1, 2)),
        "command_file": replace(LOAD, form="command", command=("sh",), model_text=None, fail_regex="x"),
    }


def test_scripts_are_formatted(tmp_path: Path) -> None:
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or shutil.which("ruff")
    if ruff is None:
        pytest.skip("needs ruff")
    for name, repro in forms().items():
        (tmp_path / f"{name}.py").write_text(script_of(repro))
    for arguments in (["format", "--diff"], ["check", "--select", "E9,F"]):
        ended = subprocess.run(
            [ruff, *arguments, "--isolated", "--line-length", "120", str(tmp_path)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("form", "most"), [("exception", 40), ("checker", 40), ("nan", 45), ("death", 44), ("value", 70)]
)
def test_a_script_of_one_node_is_short(form: str, most: int) -> None:
    assert len(script_of(forms()[form]).splitlines()) < most


def test_the_head_says_what_was_seen_and_no_path() -> None:
    message = 'bad "model" \\ """ \x00 in /home/planted/deep/net.onnx'
    from reporters.repro import ReproScript

    (document,) = ReproScript().render(finding_of(replace(LOAD, actual_text=message)))
    compile(document.text, "repro.py", "exec")
    head = document.text.split('"""')[1]
    for piece in ("onnxruntime 1.3", "python 3.11", "Linux x86_64", "Expected: the model passes load", "net.onnx"):
        assert piece in head
    assert "planted" not in document.text


def test_a_path_of_this_machine_is_no_fragment() -> None:
    assert "planted" not in script_of(replace(LOAD, fragments=("cannot open /home/planted/net.onnx", "no kernel")))


def test_the_model_stands_as_text_in_one_header_line() -> None:
    printed = onnx.printer.to_text(onnx.parser.parse_model(NO_KERNEL))
    assert HEAD.strip() in script_of(replace(LOAD, model_text=printed))


@pytest.mark.parametrize("form", forms())
def test_every_form_says_that_the_bug_is_there(form: str) -> None:
    """Its runs are counted by these words."""
    assert WORDS.decode() in script_of(forms()[form])
