"""Declared, inferred and actual type and shape side by side, at the first place where they part (step 10)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import onnx
from onnx import TensorProto

from reducer.finding import ShapeFact
from reducer.localizers.base import Evidence, Localizer, called, small_model
from reducer.observation import PASSED
from reducer.oracles.prober import Order
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_tensors import read_type
from reducer.values import ValueRef
from reducer.variants import bare
from reducer.worker.protocol import RETURNED, Call

INFER = "reducer.worker.knowledge:infer_types"
SECONDS = 10.0
MOST_BYTES = 4_000_000
MOST_FACTS = 3
WORDS = ("ShapeInferenceError", "shape inference", "Dimension", "inferred", "shape", "rank")
Shape = tuple[str, tuple[Any, ...] | None]


class ShapeLocalizer(Localizer):
    """Only for failures that speak of shapes: elsewhere a stale declaration is no news."""

    name: ClassVar[str] = "shapes"
    rank: ClassVar[int] = 60
    calls: ClassVar[int] = 2
    seconds: ClassVar[float] = 3.0

    def locate(self, evidence: Evidence) -> Iterable[ShapeFact]:
        dispute = evidence.aim.dispute
        about = dispute is not None and dispute.difference.kind == "shape"
        if not about and not any(word in evidence.message for word in WORDS) and evidence.stage != "shape_inference":
            return
        program = evidence.whole
        if small_model(program, MOST_BYTES) is None:
            program = evidence.reduced
        inferred = _inferred(evidence, program)
        actual = {name: _of_value(ref) for name, ref in program.source.values.items()}
        runs = _runs(evidence) if about else {}
        count = 0
        for record in program.records:
            for tensor in (name for name in record.outputs if name):
                declared = _of_wire(_declared(program, tensor))
                sides = [
                    declared,
                    inferred.get(tensor),
                    actual.get(tensor),
                    *(run.get(tensor) for run in runs.values()),
                ]
                if count < MOST_FACTS and _parts(sides):
                    count += 1
                    seen = "; ".join(f"{label} {_text(run[tensor])}" for label, run in runs.items() if tensor in run)
                    yield ShapeFact(
                        tensor,
                        called(record.ref, record.name),
                        _text(declared),
                        _text(inferred.get(tensor)),
                        seen or _text(actual.get(tensor)),
                    )


def _declared(program: OnnxProgram, tensor: str) -> bytes | None:
    source = program.source
    return source.outputs.get(tensor) or source.value_info.get(tensor)


def _inferred(evidence: Evidence, program: OnnxProgram) -> dict[str, Shape]:
    """Lenient inference that sees nothing of what the model declares of inner tensors and outputs."""
    raw = small_model(program, MOST_BYTES)
    if raw is None:
        return {}
    model = bare(onnx.ModelProto.FromString(raw))
    answer = evidence.prober.host.call(Call(INFER, {}, (model.SerializeToString(),), SECONDS))
    if answer.outcome != RETURNED:
        return {}
    graph = onnx.GraphProto.FromString(answer.blobs[0])
    found = {v.name: _of_wire(v.type.SerializeToString()) for v in graph.value_info}
    return {name: shape for name, shape in found.items() if shape is not None}


def _runs(evidence: Evidence) -> dict[str, dict[str, Shape]]:
    """What each side of a dispute makes of the reduced model: label -> output -> type and shape."""
    dispute, trials = evidence.aim.dispute, evidence.trials
    if dispute is None or trials is None:
        return {}
    keep = trials.prober.host.folder / "shapes.bin"
    seen = trials.order(evidence.reduced, Order(dispute.probes, keep=keep))[0]
    return {o.probe.label: {k: _of_value(v) for k, v in o.outputs.items()} for o in seen if o.outcome == PASSED}


def _of_value(ref: ValueRef) -> Shape:
    return ref.summary[0], ref.summary[1]


def _of_wire(wire: bytes | None) -> Shape | None:
    kind = read_type(wire) if wire else None
    if kind is None or not kind.HasField("tensor_type"):
        return None
    tensor = kind.tensor_type
    known = tensor.elem_type in TensorProto.DataType.values() and tensor.elem_type
    name = TensorProto.DataType.Name(tensor.elem_type).lower() if known else ""
    if not tensor.HasField("shape"):
        return name, None
    return name, tuple(d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in tensor.shape.dim)


def _parts(sides: Iterable[Shape | None]) -> bool:
    """Whether two of them cannot both be true; an unknown or symbolic dim fits everything."""
    known = [side[1] for side in sides if side is not None and side[1] is not None]
    for i, left in enumerate(known):
        for right in known[i + 1 :]:
            if len(left) != len(right):
                return True
            if any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(left, right, strict=True)):
                return True
    return False


def _text(side: Shape | None) -> str:
    if side is None:
        return ""
    dims = "" if side[1] is None else f"[{', '.join(map(str, side[1]))}]"
    return f"{side[0]}{dims}" if side[0] else dims
