"""The identity of a conversion failure, on reports as the worker gives them. No TensorFlow."""

from __future__ import annotations

from typing import Any

import pytest

from reducer.oracles.conversion_signature import UNSUPPORTED, died_signature, signature_of
from reducer.signature import Vocabulary
from reducer.worker.protocol import DIED, TIMED_OUT, Answer

NAMES = Vocabulary(frozenset({"block/erf", "block/pool"}), frozenset({"Erfc", "Relu", "SegmentMax"}))


def report(failure: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """A report with what differs from a good one."""
    log = {"unsupported": more.get("unsupported", []), "raised": more.get("raised", []), "other": []}
    return {"failure": failure, "difference": more.get("difference"), "log": log, "rungs": []}


def load(message: str) -> dict[str, str]:
    return {"stage": "load", "backend": "onnxruntime", "error": "InvalidGraph", "message": message, "frame": ""}


def test_a_logged_error_alone_is_no_failure() -> None:
    logged = {"node": "a", "error": "KeyError", "message": "x", "frame": "tf2onnx/a.py:f"}
    assert signature_of(report(raised=[logged], unsupported=[{"node": "n", "op": "Erfc"}]), NAMES) is None


def test_an_operator_without_handler_that_the_runtime_names() -> None:
    found = signature_of(report(load("No Op registered for Erfc with domain_version of 15"), unsupported=[
        {"node": "n", "op": "Betainc"}, {"node": "block/erf", "op": "Erfc"}]), NAMES)  # fmt: skip
    assert found is not None
    assert (found.kind, found.detail) == (UNSUPPORTED, "tf2onnx has no handler for Erfc")


def test_one_of_several_such_operators_is_enough() -> None:
    both = [{"node": "n", "op": "Betainc"}, {"node": "m", "op": "Erfc"}]
    message = "No Op registered for Betainc; Erfc is not a registered function/op"
    first = signature_of(report(load(message), unsupported=both[1:]), NAMES)
    assert signature_of(report(load(message), unsupported=both), NAMES, first) == first


def test_an_operator_that_the_runtime_does_not_name_is_not_the_cause() -> None:
    found = signature_of(report(load("Type Error in Relu"), unsupported=[{"node": "n", "op": "Erfc"}]), NAMES)
    assert found is not None
    assert found.kind == "InvalidGraph"


@pytest.mark.parametrize("stage", ["load", "convert"])
def test_the_first_handler_exception_is_the_cause_logged_or_raised(stage: str) -> None:
    raised = [
        {
            "node": "block/pool",
            "error": "AttributeError",
            "message": "'int' has no 'tolist'",
            "frame": "tf2onnx/r.py:any",
        },
        {"node": "q", "error": "KeyError", "message": "later", "frame": "tf2onnx/z.py:f"},
    ]
    last = {"stage": stage, "backend": "x", "error": "ValueError", "message": "make_model fails", "frame": ""}
    found = signature_of(report(last, raised=raised), NAMES)
    assert found is not None
    assert (found.stage, found.kind) == (stage, "AttributeError")
    assert found.detail.startswith("tf2onnx/r.py:any: ")


def test_names_that_count_up_are_masked() -> None:
    def of(number: int) -> Any:
        text = f"'keras_tensor_{number}' of Transpose__{number}:0 and dense_{number}/kernel"
        error = {
            "stage": "convert",
            "backend": "tf2onnx",
            "error": "KeyError",
            "message": text,
            "frame": "tf2onnx/c.py:f",
        }
        return signature_of(report(error), NAMES)

    assert of(12) == of(311)


def test_other_kinds_of_wrong_output_are_other_failures() -> None:
    def of(kind: str) -> Any:
        difference = {"kind": kind, "output": "y", "excess": 9.0, "abs": 1.0, "rel": 1.0}
        return signature_of(report(difference=difference), NAMES)

    assert of("value") == of("value")
    assert of("value") != of("shape")
    assert of("value").stage == "compare"


def test_a_death_and_a_hang_are_told_by_their_stage() -> None:
    died = died_signature(Answer(DIED, "load", signal="SIGSEGV"))
    assert (died.stage, died.backend, died.kind) == ("load", "onnxruntime", "SIGSEGV")
    assert died_signature(Answer(TIMED_OUT, "convert")).kind == "hang"
