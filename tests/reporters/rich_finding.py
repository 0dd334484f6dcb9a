"""A finding in which every field is filled, for the views that show them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reducer.finding import (
    Contrast,
    DifferenceFacts,
    Failure,
    Finding,
    GraphNode,
    Neighbour,
    OptimizerFacts,
    Rung,
    SearchFacts,
    ShapeFact,
    SignatureFacts,
    VersionFact,
)
from tests.reporters.builders import HEAD, ORT, PLAIN, finding_of
from tests.reporters.builders import LOAD as LOADED

MODEL = HEAD + "g (float[2] x) => (float[2] y) { y = Elu(x) }"
WRONG = replace(
    LOADED, form="mismatch", stage="compare", probes=(ORT, PLAIN), mismatch="value", model_text=MODEL,
    expected_text="y: float32 [2] [1. 2.]", actual_text="y: float32 [2] [1. 3.]",
)  # fmt: skip


def rich(**changes: Any) -> Finding:
    """A wrong output of one Elu, with facts from every localizer."""
    failure = Failure(
        "compare", "wrong_output", SignatureFacts("fedcba9876543210", "value", "value differs"), "y differs by 1",
        "onnxruntime (all)", "y", 1.0, 0.5, "onnxruntime (all)", "rtol 0.001, atol 0.001 (float32)",
    )  # fmt: skip
    base = finding_of(WRONG)
    assert base.reduced is not None
    graph = (GraphNode("act", "Elu", ("x",), ("y",), True),)
    around = (
        GraphNode("secret_conv", "Conv", ("image",), ("secret_t",), False, 99),
        GraphNode("secret_act", "Elu", ("secret_t",), ("secret_u",), True, 100),
        GraphNode("secret_add", "Add", ("secret_u", "secret_t"), ("out",), False, 101),
    )
    facts: dict[str, Any] = {
        "failure": failure,
        "reduced": replace(base.reduced, text=MODEL, graph=graph, original_values={"w": "the failure needs them"}),
        "search": SearchFacts(7, 0.4, 0.2, True, passes=({"pass": "prefix", "calls": 3, "successes": 1},),
                              also_found=({"signature": "00", "detail": "another one", "path": "also_found/00.onnx"},),
                              curve=((0, 303), (2, 9), (5, 1))),
        "ladder": (Rung("check", "onnx-checker 1.2", "passed", None, 0.01),
                   Rung("compare", "all witnesses that ran", "differs", "in 'secret_u'")),
        "suspects": (replace(base.suspects[0], node="secret_act", evidence="secret_act differs first"),),
        "taxonomy": {"symptom": "wrong_model", "cause": "algorithmic_error"},
        "neighbours": (Neighbour("type", "T: float -> double", "passes"), Neighbour("shape", "x: [2] -> [1]", "fails"),
                       Neighbour("level", "opt_level: none", "passes")),
        "contrast": Contrast("passing.onnx", "alpha: 1 -> 0"),
        "optimizers": (OptimizerFacts("onnxruntime", {"none": "passes", "all": "fails"}, ("EluFusion", "Other"),
                                      ("EluFusion",), True, "before text", "after text"),),
        "versions": (VersionFact("onnxruntime", "1.2", "passes"), VersionFact("onnxruntime", "1.3", "fails", "y")),
        "window": "fails since 1.3, last good 1.2",
        "shapes": (ShapeFact("y", "act", "float[2]", "float[2]", "float[3]"),),
        "difference": DifferenceFacts("y", "float32", (2,), 1, 2, (((1,), "2.0", "3.0"),), ((-3.0, 4), (0.0, 1)),
                                      "logic", "one of two elements is off by half", 4.0),
        "neighbourhood": around,
        "flaky": "9/10",
    }  # fmt: skip
    return replace(base, **(facts | changes))
