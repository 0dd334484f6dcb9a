"""Every form of repro.py: the bug is there (1), it is gone (0), it cannot be told (125)."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reducer.finding import Feed, Probe, Reproduction
from tests.reporters.builders import (
    FINE,
    GONE,
    HEAD,
    LOAD,
    NO_KERNEL,
    ORT,
    OTHER,
    PLAIN,
    REFERENCE,
    THERE,
    UNKNOWN,
    finding_of,
    run_here,
    run_script,
    run_text,
    script_of,
    vector,
)

NEGATIVE = HEAD + "g (float[2] x) => (float[2] y) { y = Neg(x) }"


@pytest.mark.parametrize(
    ("model", "code", "said"),
    [(NO_KERNEL, THERE, "the bug is there"), (FINE, GONE, "gone"), (OTHER, UNKNOWN, "another failure"),
     ("not a model", UNKNOWN, "ParseError")],
)  # fmt: skip
def test_an_exception(tmp_path: Path, model: str, code: int, said: str) -> None:
    ended = run_script(replace(LOAD, model_text=model), tmp_path)
    assert ended.returncode == code
    assert said in ended.stdout
    assert not ended.stderr


def test_an_exception_without_class_is_known_by_its_words(tmp_path: Path) -> None:
    assert run_here(replace(LOAD, error_class=""), tmp_path) == THERE
    assert run_here(replace(LOAD, error_class="", fragments=("other words",)), tmp_path) == UNKNOWN
    assert run_here(replace(LOAD, error_class="RuntimeError"), tmp_path) == UNKNOWN


@pytest.mark.parametrize("missing", ["import onnxruntime as ort", "import onnx.parser"])
def test_a_missing_package_cannot_be_told(tmp_path: Path, missing: str) -> None:
    ended = run_text(script_of(LOAD).replace(missing, "import not_there"), tmp_path)
    assert ended.returncode == UNKNOWN
    assert "not_there" in ended.stdout


def test_a_missing_provider_cannot_be_told(tmp_path: Path) -> None:
    probe = Probe("onnxruntime", {"provider": "NoSuch"})
    ended = run_script(replace(LOAD, probes=(probe,)), tmp_path)
    assert ended.returncode == UNKNOWN
    assert "has no NoSuchExecutionProvider" in ended.stdout


def test_a_missing_model_or_input_cannot_be_told(tmp_path: Path) -> None:
    assert run_here(replace(LOAD, model_text=None), tmp_path) == UNKNOWN
    far = replace(LOAD, stage="run", feeds=(Feed("x", "float64", (2,)),))
    assert run_here(far, tmp_path) == UNKNOWN


@pytest.mark.parametrize(
    ("backend", "stage", "model", "words"),
    [
        ("onnx-checker", "check", "{ y = Abs(x) y = Neg(x) }", "single static assignment"),
        ("onnx-shape-inference", "shape_inference", "{ y = Transpose<perm = [0, 1]>(x) }", "perm"),
        ("reference", "load", "{ y = NoSuchOperator(x) }", "NoSuchOperator"),
        ("reference", "run", "{ s = Constant<value_ints = [3]>() y = Reshape(x, s) }", "reshape"),
    ],
)
def test_exceptions_of_the_other_backends(tmp_path: Path, backend: str, stage: str, model: str, words: str) -> None:
    feeds = (vector([1.0, 2.0]),) if stage == "run" else ()
    repro = Reproduction(
        "exception", stage, (Probe(backend),), fragments=(words,), feeds=feeds,
        model_text=HEAD + "g (float[2] x) => (float[2] y) " + model,
    )  # fmt: skip
    assert run_here(repro, tmp_path) == THERE
    assert run_here(replace(repro, model_text=NEGATIVE), tmp_path) == GONE
    assert run_here(replace(repro, fragments=("quite other words",)), tmp_path) == UNKNOWN


def test_witnesses_that_differ(tmp_path: Path) -> None:
    repro = Reproduction(
        "mismatch", "compare", (REFERENCE, ORT), mismatch="shape",
        model_text=HEAD + "g (float[1,1,3] x) => (float[1,1,1] y) { y = GlobalMaxPool(x) }",
        feeds=(Feed("x", "float32", (1, 1, 3), [[[1.0, 2.0, 3.0]]]),),
    )  # fmt: skip
    ended = run_script(repro, tmp_path)
    assert ended.returncode == THERE
    assert "[array([[[3.]]]" in ended.stdout
    assert "actual:" in ended.stdout
    same = HEAD + "g (float[1,1,3] x) => (float[1,1,3] y) { y = Neg(x) }"
    assert run_script(replace(repro, model_text=same), tmp_path).returncode == GONE
    assert run_script(replace(repro, mismatch="value"), tmp_path).returncode == UNKNOWN
    assert run_script(replace(repro, probes=(ORT, PLAIN)), tmp_path).returncode == GONE


@pytest.mark.parametrize(
    ("mismatch", "known", "code"),
    [
        ("value", [-1.0, -2.0], GONE),
        ("value", [-1.0, -2.0005], GONE),  # within the tolerance
        ("value", [-1.0, 5.0], THERE),
        ("value", [-1.0, math.nan], UNKNOWN),
        ("nan", [-1.0, math.nan], THERE),
        ("inf", [-1.0, math.inf], THERE),
        ("shape", [[-1.0, -2.0]], THERE),
        ("dtype", np.array([-1.0, -2.0]), THERE),
        ("value", np.array([-1.0, -2.0]), UNKNOWN),
    ],
)
def test_a_difference_from_expected_values(tmp_path: Path, mismatch: str, known: Any, code: int) -> None:
    np.savez(tmp_path / "expected.npz", y=np.array(known, np.float32) if isinstance(known, list) else known)
    repro = Reproduction(
        "mismatch", "compare", (ORT,), mismatch=mismatch, feeds=(vector([1.0, 2.0]),), model_text=NEGATIVE
    )
    assert run_here(repro, tmp_path) == code


def test_expected_values_of_the_reference_or_of_no_output(tmp_path: Path) -> None:
    np.savez(tmp_path / "expected.npz", y=np.array([-1, 5], np.float32))
    repro = Reproduction(
        "mismatch", "compare", (REFERENCE,), mismatch="value", feeds=(vector([1.0, 2.0]),), model_text=NEGATIVE
    )
    assert run_here(repro, tmp_path) == THERE
    np.savez(tmp_path / "expected.npz", z=np.array([-1, 5], np.float32))
    assert run_here(repro, tmp_path) == UNKNOWN


def test_nan_that_two_sides_share_is_no_difference(tmp_path: Path) -> None:
    root = HEAD + "g (float[2] x) => (float[2] y) { y = Sqrt(x) }"
    repro = Reproduction(
        "mismatch", "compare", (REFERENCE, ORT), mismatch="nan", feeds=(vector([-1.0, 4.0]),), model_text=root
    )
    assert run_script(repro, tmp_path).returncode == GONE


def test_strings_and_integers_are_compared_exactly(tmp_path: Path) -> None:
    np.savez(tmp_path / "expected.npz", y=np.array(["a", "c"]))
    text = HEAD + "g (string[2] x) => (string[2] y) { y = Identity(x) }"
    feed = Feed("x", "string", (2,), ["a", "b"])
    repro = Reproduction("mismatch", "compare", (ORT,), mismatch="strings", feeds=(feed,), model_text=text)
    assert run_here(repro, tmp_path) == THERE
    np.savez(tmp_path / "expected.npz", y=np.array([1000, 1001]))
    text = HEAD + "g (int64[2] x) => (int64[2] y) { y = Identity(x) }"
    whole = Feed("x", "int64", (2,), [1000, 1000])
    repro = replace(repro, mismatch="value", feeds=(whole,), model_text=text)
    assert run_here(repro, tmp_path) == THERE


@pytest.mark.parametrize("form", ["nan", "mismatch"])
def test_what_goes_wrong_before_is_no_verdict(form: str, tmp_path: Path) -> None:
    repro = Reproduction(form, "run", (ORT, REFERENCE), mismatch="value", model_text=OTHER, feeds=(vector([1.0, 2.0]),))
    if form == "mismatch":
        repro = replace(repro, model_text=OTHER.replace("double", "float"))
    ended = run_script(repro, tmp_path)
    assert ended.returncode == UNKNOWN
    assert "cannot tell: InvalidGraph" in ended.stdout


def test_nan_from_finite_inputs(tmp_path: Path) -> None:
    model = HEAD + "g (float[2] x, string[1] s) => (float[2] y, string[1] t) { y = Sqrt(x) t = Identity(s) }"
    feeds = (vector([-1.0, 2.0]), Feed("s", "string", (1,), ["words are no NaN"]))
    repro = Reproduction("nan", "run", (ORT,), model_text=model, feeds=feeds)
    assert run_script(repro, tmp_path).returncode == THERE
    assert run_here(replace(repro, feeds=(vector([1.0, 2.0]), feeds[1])), tmp_path) == GONE
    assert run_here(replace(repro, model_text=OTHER), tmp_path) == UNKNOWN


def test_a_death(tmp_path: Path) -> None:
    model = HEAD + 'g (float[2] x) => (float[2] y) { y = Max(x, "") }'
    repro = Reproduction("death", "run", (ORT,), signal="SIGSEGV", model_text=model, feeds=(vector([1.0, 2.0]),))
    assert run_script(repro, tmp_path).returncode == THERE
    assert run_script(replace(repro, signal="SIGABRT"), tmp_path).returncode == UNKNOWN
    assert run_script(replace(repro, model_text=FINE), tmp_path).returncode == GONE
    clean_error = run_script(replace(repro, model_text=OTHER), tmp_path)
    assert clean_error.returncode == UNKNOWN
    assert "NoSuchOperator" in clean_error.stderr


def test_a_death_that_is_an_exit_code(tmp_path: Path) -> None:
    repro = replace(LOAD, form="death", signal="exit code 7")
    assert run_text(script_of(repro).replace("import onnx.parser", "import os; os._exit(7)"), tmp_path).returncode == 1
    assert run_script(replace(repro, model_text=FINE), tmp_path).returncode == GONE


def test_a_hang(tmp_path: Path) -> None:
    model = (
        HEAD
        + """g (float[1] x) => (float[1] y) {
      n = Constant<value_int = 4611686018427387904>()
      y = Loop(n, "", x) <body = b (int64 i, bool c, float[1] a) => (bool d, float[1] e) { d = Identity(c) e = Neg(a) }>
    }"""
    )
    repro = Reproduction("hang", "run", (ORT,), timeout_seconds=2.0, model_text=model, feeds=(vector([1.0]),))
    assert run_script(repro, tmp_path).returncode == THERE
    soon = replace(repro, timeout_seconds=30.0, model_text=HEAD + "g (float[1] x) => (float[1] y) { y = Neg(x) }")
    assert run_script(soon, tmp_path).returncode == GONE
    assert run_script(replace(soon, model_text=OTHER), tmp_path).returncode == UNKNOWN


@pytest.mark.parametrize(
    ("options", "code"),
    [({}, THERE), ({"fail_codes": (3,)}, THERE), ({"fail_codes": (4,)}, GONE), ({"ignore_fail_codes": (3,)}, GONE),
     ({"fail_regex": 'bo+m "\\w'}, THERE), ({"fail_regex": "bang"}, GONE), ({"fragments": ("boom",)}, THERE),
     ({"fragments": ("something else",)}, UNKNOWN)],
)  # fmt: skip
def test_a_command(tmp_path: Path, options: dict[str, Any], code: int) -> None:
    command = (sys.executable, "-c", "print('boom \"x'); raise SystemExit(3)", "{}")
    repro = Reproduction("command", "command", (), command=command, **options)
    assert run_script(repro, tmp_path).returncode == code


@pytest.mark.parametrize("place", [(), ("--model={}",)])
def test_a_command_gets_the_model(tmp_path: Path, place: tuple[str, ...]) -> None:
    look = "import onnx, sys; sys.exit(onnx.load(sys.argv[1].partition('=')[2] or sys.argv[1]).graph.node[0].op_type)"
    command = (sys.executable, "-c", look, *place)
    repro = Reproduction("command", "command", (), command=command, fragments=("Elu",), model_text=NO_KERNEL)
    assert run_script(repro, tmp_path).returncode == THERE
    assert run_script(replace(repro, fragments=("Relu",)), tmp_path).returncode == UNKNOWN


def test_a_command_that_cannot_be_started_or_hangs(tmp_path: Path) -> None:
    gone = Reproduction("command", "command", (), command=("/no/such",))
    assert run_script(gone, tmp_path).returncode == UNKNOWN
    assert run_script(replace(gone, command=("sh", "-c", "no-such-command")), tmp_path).returncode == UNKNOWN
    slow = replace(gone, command=(sys.executable, "-c", "import time; time.sleep(60)"), timeout_seconds=1.0)
    assert run_script(slow, tmp_path).returncode == UNKNOWN
    assert run_script(replace(slow, error_class="hang"), tmp_path).returncode == THERE


def test_what_cannot_be_written_down_gets_no_script() -> None:
    from reporters.repro import ReproScript

    for probe in (Probe("somebody-elses"), Probe("onnxruntime", {"opt_level": "unheard-of"})):
        assert ReproScript().render(finding_of(replace(LOAD, probes=(probe,)))) == []
    assert ReproScript().render(finding_of(None)) == []
    assert ReproScript().render(finding_of(replace(LOAD, form="unheard-of"))) == []
