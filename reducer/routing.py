"""Whose bug it is: the project, its tracker, and the rule that decided (step 10 of the data path).

Rules in order, the first that fits; each states what it saw. docs/localization.md tells them to users. Trackers and
producer names are those that the exporters write and the repositories that take their issues (as of 2026-09).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from reducer.finding import Suspect
from reducer.observation import DIED, FAILED, HUNG, OUT_OF_MEMORY, PASSED

CONVERTER = "converter"
TRACKERS: Mapping[str, str] = {
    "onnx": "onnx/onnx",
    "onnxruntime": "microsoft/onnxruntime",
    "torch": "pytorch/pytorch",
    "onnxscript": "microsoft/onnxscript",
    "tf2onnx": "onnx/tensorflow-onnx",
    "onnxslim": "inisis/OnnxSlim",
    "onnxsim": "onnxsim/onnxsim",
    "onnxoptimizer": "onnx/optimizer",
    "openvino": "openvinotoolkit/openvino",
    "sklearn-onnx": "onnx/sklearn-onnx",
    "onnxmltools": "onnx/onnxmltools",
    "tensorrt": "NVIDIA/TensorRT",
    "paddle2onnx": "PaddlePaddle/Paddle2ONNX",
    "onnx-ir": "onnx/ir-py",
    "spox": "Quantco/spox",
    "pnnx": "pnnx/pnnx",
}
# What a producer_name begins with, in lower case -> project.
PRODUCERS: Mapping[str, str] = {
    "pytorch": "torch",
    "torch": "torch",
    "onnxscript": "onnxscript",
    "tf2onnx": "tf2onnx",
    "keras2onnx": "tf2onnx",
    "skl2onnx": "sklearn-onnx",
    "onnxmltools": "onnxmltools",
    "onnx.quantize": "onnxruntime",
    "onnxruntime": "onnxruntime",
    "onnx-simplifier": "onnxsim",
    "onnxsim": "onnxsim",
    "onnxslim": "onnxslim",
    "onnx-optimizer": "onnxoptimizer",
    "onnxoptimizer": "onnxoptimizer",
    "onnx-graphsurgeon": "tensorrt",
    "paddle": "paddle2onnx",
    "onnx-ir": "onnx-ir",
    "spox": "spox",
    "pnnx": "pnnx",
}
INSPECTORS = ("onnx-checker", "onnx-shape-inference", "onnx-inliner")
REWRITERS: Mapping[str, str] = {
    "onnxslim": "onnxslim",
    "onnxsim": "onnxsim",
    "onnxoptimizer": "onnxoptimizer",
    "version-converter": "onnx",
    "onnxscript-optimizer": "onnxscript",
    "openvino": "openvino",
}
VIOLENT = (DIED, HUNG, OUT_OF_MEMORY)


@dataclass(frozen=True)
class Symptoms:
    """What the rules look at. `outcome` is that of the failing run; `odd` the witness that stands alone in a
    comparison; `agreed` what all witnesses compute alike although it is wrong; `opinions` what each inspector says of
    the source AND of the reduced model alike (absent: they do not agree or were not asked); `decisive` the suspect of
    a localizer that knows whose fault it is."""

    backend: str
    outcome: str = FAILED
    stage: str = ""
    odd: str = ""
    agreed: str = ""
    by_optimizer: bool = False
    producer: str = ""
    opinions: Mapping[str, str] | None = None
    decisive: Suspect | None = None

    def says(self, backend: str) -> str:
        """What that inspector or the reference says of both models; "" when unknown."""
        return (self.opinions or {}).get(backend, "")


@dataclass(frozen=True)
class Routing:
    """`project` as in Suspect.project, `tracker` as owner/name (None when nobody can tell), and why."""

    project: str | None
    tracker: str | None
    why: str


Rule = Callable[[Symptoms], tuple[str, str] | None]


def route(seen: Symptoms) -> Routing:
    """The first rule that fits."""
    for rule in (_own_command, _rewriter, _optimizer, _agreed, _reference, _inspector, _violent, _known, _legal, _run):
        found = rule(seen)
        if found is not None:
            return _to(seen, *found)
    return _to(seen, "onnxruntime", "the model is legal as far as the checker and strict inference can tell")


def producing_project(producer: str) -> str | None:
    """The project whose exporter wrote the model ("pytorch 2.9.0" -> torch); None for a name that is not known."""
    name = producer.lower().strip()
    return next((project for prefix, project in PRODUCERS.items() if name.startswith(prefix)), None)


def _to(seen: Symptoms, project: str, why: str) -> Routing:
    if project == "":
        return Routing(None, None, why)
    if project == CONVERTER:
        known = producing_project(seen.producer)
        told = f"; producer: {seen.producer}" if seen.producer else "; the model names no producer"
        return Routing(known or CONVERTER, TRACKERS.get(known or ""), why + told)
    return Routing(project, TRACKERS.get(project), why)


def _own_command(seen: Symptoms) -> tuple[str, str] | None:
    return ("", "the user's own command decides what fails") if not seen.backend else None


def _rewriter(seen: Symptoms) -> tuple[str, str] | None:
    project = REWRITERS.get(seen.backend)
    return (
        (project, f"the original model runs; what {seen.backend} makes of it does not, or not alike")
        if project
        else None
    )


def _optimizer(seen: Symptoms) -> tuple[str, str] | None:
    if seen.by_optimizer:
        return "onnxruntime", "it fails only when ONNX Runtime optimizes the graph"
    return None


def _reference(seen: Symptoms) -> tuple[str, str] | None:
    if seen.odd.startswith("reference"):
        return "onnx", "the reference evaluator stands alone against all other witnesses"
    if not seen.odd and seen.backend == "reference":
        return "onnx", "the reference evaluator fails"
    return None


def _agreed(seen: Symptoms) -> tuple[str, str] | None:
    return (CONVERTER, f"all witnesses compute {seen.agreed}: the model says so") if seen.agreed else None


def _inspector(seen: Symptoms) -> tuple[str, str] | None:
    if seen.backend not in INSPECTORS:
        return None
    if seen.outcome in VIOLENT:
        return "onnx", f"{seen.backend} must refuse a model, not {'hang' if seen.outcome == HUNG else 'die'}"
    return CONVERTER, f"{seen.backend} refuses the model"


def _violent(seen: Symptoms) -> tuple[str, str] | None:
    if seen.outcome in VIOLENT:
        return "onnxruntime", "whatever the model is, a runtime must refuse it, not die or hang"
    if seen.odd:
        return "onnxruntime", f"{seen.odd} stands alone against the other witnesses"
    return None


def _known(seen: Symptoms) -> tuple[str, str] | None:
    if seen.decisive is not None and seen.decisive.project:
        return seen.decisive.project, seen.decisive.evidence
    return None


def _legal(seen: Symptoms) -> tuple[str, str] | None:
    for backend in INSPECTORS:
        if seen.says(backend) == FAILED:
            return CONVERTER, f"{backend} refuses the model as well"
    return None


def _run(seen: Symptoms) -> tuple[str, str] | None:
    if seen.stage != "run":
        return None
    if seen.says("reference") == FAILED:
        return CONVERTER, "the reference evaluator cannot run it with these inputs either"
    if seen.says("reference") == PASSED:
        return "onnxruntime", "the reference evaluator runs it with the same inputs"
    return None
