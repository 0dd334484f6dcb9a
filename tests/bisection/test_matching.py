"""The same bug in other words is the same bug; another failure, or a release that cannot read the model, is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reducer.bisection.matching import Known, Seen, classify
from reducer.bisection.search import Verdict
from reducer.observation import DIED, FAILED, HUNG, PASSED, Comparison, Difference, Observation, Probe
from reducer.signature import Vocabulary

ALL, NONE = Probe("onnxruntime", {"opt_level": "all"}), Probe("onnxruntime", {"opt_level": "none"})
# Two releases of onnxruntime on onnxruntime#6470.
BOUND = "Type Error: Type parameter (T) bound to different types (tensor(float) and tensor(int64) in node (Mul_11)."
REWORDED = (
    "Type Error: Type parameter (T) of Optype (Mul) bound to different types "
    "(tensor(float) and tensor(int64) in node (Mul_11)."
)
NO_KERNEL = "[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation for EyeLike(9) node 'eye'"
TOO_NEW = "ONNX Runtime only *guarantees* support for models stamped with opset versions; opset 20 is under development"
PASS = Observation(ALL, "run", PASSED)


def failed(message: str, error: str = "Fail", probe: Probe = ALL) -> Observation:
    return Observation(probe, "load", FAILED, error, message)


def verdict(known: Known, *observations: Observation, control: bool = True, differs: bool = False) -> Verdict:
    difference = (Difference(ALL, NONE, "value", "y", 9.0, 1.0),) if differs else ()
    seen = Seen(observations, Comparison((), difference), 2 if known.form == "mismatch" else 1, lambda: control)
    return classify(known, seen, Vocabulary(frozenset({"Mul_11"})))[0]


@pytest.mark.parametrize(
    ("message", "control", "expected"),
    [
        (BOUND, True, Verdict.FAILS),
        (REWORDED, True, Verdict.FAILS),
        (NO_KERNEL, True, Verdict.DIFFERS),
        (TOO_NEW, False, Verdict.UNKNOWN),
        (REWORDED, False, Verdict.UNKNOWN),
        # Word for word: that a model of one Identity fails alike does not make it another bug.
        (BOUND, False, Verdict.FAILS),
    ],
)
def test_exceptions(message: str, control: bool, expected: Verdict) -> None:
    known = Known("exception", ("bound to different types", "Type parameter (T) bound"), BOUND, "Fail")
    assert verdict(known, failed(message), control=control) is expected
    assert verdict(known, PASS) is Verdict.PASSES
    assert verdict(known, replace(PASS, outcome=DIED, signal="SIGSEGV")) is Verdict.DIFFERS


def test_a_missing_module_is_never_a_match() -> None:
    known = Known("exception", (), "No module named 'scipy'", "ModuleNotFoundError")
    assert verdict(known, failed("No module named 'scipy'", "ModuleNotFoundError")) is Verdict.UNKNOWN


@pytest.mark.parametrize(("form", "outcome"), [("death", DIED), ("hang", HUNG)])
def test_a_clean_error_in_place_of_a_death_or_a_hang_is_a_rejection(form: str, outcome: str) -> None:
    known = Known(form)
    assert verdict(known, replace(PASS, outcome=outcome, signal="SIGABRT")) is Verdict.FAILS
    assert verdict(known, failed("invalid k")) is Verdict.REJECTS
    assert verdict(known, failed(TOO_NEW), control=False) is Verdict.UNKNOWN
    assert verdict(known, replace(PASS, outcome=HUNG if form == "death" else DIED)) is Verdict.DIFFERS
    assert verdict(known, PASS) is Verdict.PASSES


def test_a_wrong_output_may_change_its_face_but_needs_its_witness() -> None:
    known = Known("mismatch")
    well = replace(PASS, probe=NONE)
    assert verdict(known, PASS, well, differs=True) is Verdict.FAILS
    assert verdict(known, PASS, well) is Verdict.PASSES
    assert verdict(known, failed("invalid graph after fusion"), well) is Verdict.FAILS
    assert verdict(known, failed("x"), failed("x", probe=NONE)) is Verdict.DIFFERS
    assert verdict(known, failed("x"), failed("x", probe=NONE), control=False) is Verdict.UNKNOWN
    assert verdict(known, replace(PASS, outcome=DIED)) is Verdict.DIFFERS


def test_nan() -> None:
    assert verdict(Known("nan"), replace(PASS, nan_outputs=("y",))) is Verdict.FAILS
    assert verdict(Known("nan"), PASS) is Verdict.PASSES
    assert verdict(Known("nan"), failed("x")) is Verdict.DIFFERS
