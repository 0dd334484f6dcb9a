"""Symptom, cause and location in the terms of Jajal et al. (arXiv 2303.17708), with the rule that decided.

Step 10 of the data path. A table of rules in order; a failure that none of them knows is "other".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reducer.finding import DifferenceFacts, Failure, Suspect
from reducer.observation import FAILED
from reducer.routing import INSPECTORS, REWRITERS, Symptoms

_SYMPTOMS = {
    "hang": "hang",
    "exception": "crash",
    "signal": "crash",
    "out_of_memory": "bad_performance",
    "wrong_output": "wrong_model",
    "wrong_shape": "wrong_model",
    "wrong_type": "wrong_model",
    "nan_or_inf": "wrong_model",
}
_SHAPE_WORDS = ("ShapeInferenceError", "shape inference", "Dimension")


@dataclass(frozen=True)
class Known:
    """What the rules look at besides the symptoms."""

    failure: Failure
    suspects: tuple[Suspect, ...]
    seen: Symptoms
    difference: DifferenceFacts | None = None


def classify(known: Known) -> Mapping[str, str]:
    """symptom, cause, location and rule."""
    cause, rule = _cause(known)
    symptom = _SYMPTOMS.get(known.failure.symptom, "unreported")
    return {"symptom": symptom, "cause": cause, "location": _location(known), "rule": rule}


def _cause(known: Known) -> tuple[str, str]:
    failure, seen = known.failure, known.seen
    if not seen.backend:
        return "other", "the user's own command says nothing of a cause"
    if seen.by_optimizer or seen.backend in REWRITERS:
        return "algorithmic_error/optimization", "it fails only after the graph was rewritten"
    if seen.decisive is not None:
        if seen.decisive.kind == "type":
            return "type_problem/node", seen.decisive.evidence
        return "incompatibility/external", seen.decisive.evidence
    if failure.symptom == "wrong_type":
        return "type_problem/tensor", "an output has another element type than it should"
    if failure.symptom == "wrong_shape":
        return "shape_problem/inference", "an output has another shape than it should"
    if any(word in failure.message for word in _SHAPE_WORDS):
        return "shape_problem/inference", "the message speaks of a shape that does not fit"
    return _by_symptom(known)


def _by_symptom(known: Known) -> tuple[str, str]:
    failure, seen = known.failure, known.seen
    if failure.symptom in ("wrong_output", "nan_or_inf"):
        if known.difference is not None and known.difference.nature == "precision":
            return "other/numerical_computation", known.difference.why
        return "algorithmic_error/non_optimization", "wrong values, with the graph as it stands"
    if failure.symptom in ("signal", "hang", "out_of_memory"):
        return "other/exception_handling", f"{failure.symptom} where an error message was due"
    if any(seen.says(name) == FAILED for name in INSPECTORS) or seen.backend in INSPECTORS:
        return "algorithmic_error/non_optimization", "the graph breaks a rule of ONNX that is not about types or shapes"
    if seen.stage == "run" and seen.says("reference") == FAILED:
        return "other/input_values", "the reference evaluator cannot run it with these inputs either"
    return "other", "no rule fits"


def _location(known: Known) -> str:
    seen = known.seen
    if seen.by_optimizer or seen.backend in REWRITERS:
        return "optimization"
    if seen.backend in INSPECTORS:
        return "validation"
    return {"convert": "node_conversion", "load": "model_loading"}.get(known.failure.stage, "runtime")
