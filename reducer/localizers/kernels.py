"""Types that no kernel takes or that the specification forbids, from ONNX Runtime tables and onnx schemas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import onnx
from onnx import TensorProto

from reducer.finding import Suspect
from reducer.localizers.base import Evidence, Localizer, called
from reducer.oracles.ladder import RUNTIME
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_source import NodeRecord
from reducer.programs.onnx_tensors import read_type
from reducer.worker.protocol import RETURNED, Call

KERNELS = "reducer.worker.knowledge:kernel_table"
MOST_NODES = 8
SECONDS = 20.0


class KernelLocalizer(Localizer):
    """Explains a failure to load: kernel missing, operator unknown, or type outside the schema."""

    name: ClassVar[str] = "kernels"
    rank: ClassVar[int] = 10

    def locate(self, evidence: Evidence) -> Iterable[Suspect]:
        seen = evidence.aim.observation
        if seen is None or seen.stage not in ("load", "check", "shape_inference"):
            return
        for record in evidence.reduced.records[:MOST_NODES]:
            if record.calls:
                continue  # a model-local function needs no kernel of its own
            domain, _, op_type = record.ref.op_type.rpartition(".")
            version = evidence.opsets.get(domain, 0)
            bound = bound_types(evidence.reduced, record, op_type, domain, version)
            text = self._schema(bound, record, version)
            if text:
                yield Suspect("type", record.ref.op_type, text, called(record.ref, record.name), "converter")
            elif seen.probe.backend == RUNTIME and "NOT_IMPLEMENTED" in seen.message:
                text = self._kernel(evidence, record, bound)
                if text:
                    yield Suspect("type", record.ref.op_type, text, called(record.ref, record.name), "onnxruntime")

    def _schema(self, bound: Bound | None, record: NodeRecord, version: int) -> str:
        for parameter, (types, allowed, slot) in (bound.parameters if bound else {}).items():
            wrong = sorted(types - allowed)
            if wrong:
                return (
                    f"{record.ref.op_type}({bound.since if bound else version}) takes {_short(allowed)} as {slot} "
                    f"({parameter}); the model gives {_short(wrong)}"
                )
            if len(types) > 1 and not (bound and bound.heterogeneous):
                return (
                    f"{record.ref.op_type}({bound.since if bound else version}) wants one type for {parameter}; "
                    f"the model gives {_short(types)}"
                )
        return ""

    def _kernel(self, evidence: Evidence, record: NodeRecord, bound: Bound | None) -> str:
        domain, _, op_type = record.ref.op_type.rpartition(".")
        call = Call(KERNELS, {"domain": domain, "op_type": op_type}, (), SECONDS)
        answer = evidence.prober.host.call(call)
        if answer.outcome != RETURNED:
            return ""
        return missing_kernel(dict(answer.value), bound, record.ref.op_type, evidence.plan.provider)


class Bound:
    """The types that a node binds to each type parameter of its schema."""

    def __init__(self, since: int) -> None:
        self.since = since
        self.parameters: dict[str, tuple[set[str], set[str], str]] = {}
        self.heterogeneous = False


def bound_types(program: OnnxProgram, record: NodeRecord, op_type: str, domain: str, version: int) -> Bound | None:
    """What the inputs bind; None for an operator without a schema."""
    try:
        schema = onnx.defs.get_schema(op_type, version or onnx.defs.onnx_opset_version(), domain)
    except (onnx.defs.SchemaError, TypeError):  # TypeError: a version beyond 32 bits
        return None
    allowed = {c.type_param_str: set(c.allowed_type_strs) for c in schema.type_constraints}
    bound = Bound(schema.since_version)
    formals = list(schema.inputs)
    for position, name in enumerate(record.inputs):
        formal: Any = formals[min(position, len(formals) - 1)] if formals else None
        actual = type_string(program, name)
        if formal is None or not name or actual is None:
            continue
        bound.heterogeneous = bound.heterogeneous or not formal.is_homogeneous
        options = allowed.get(formal.type_str, {formal.type_str})
        types, _, _ = bound.parameters.setdefault(formal.type_str, (set(), options, formal.name))
        types.add(actual)
    return bound


def type_string(program: OnnxProgram, name: str) -> str | None:
    """ "tensor(float)" and the like; None when the type is unknown or no tensor."""
    wire = program.type_of(name)
    elem = read_type(wire).tensor_type.elem_type if wire else 0
    if not elem:
        elem = next((w.elem_type for w in program.source.weights.get(name, ())), 0)
    known = elem in TensorProto.DataType.values()
    return f"tensor({TensorProto.DataType.Name(elem).lower()})" if elem and known else None


def missing_kernel(table: dict[str, Any], bound: Bound | None, op_type: str, provider: str) -> str:
    """ "no CPU kernel for Max(13) with T=int16; kernels exist for float, double, ..."; "" when one exists."""
    short = provider.removesuffix("ExecutionProvider")
    kernels = [k for k in table["kernels"] if k["provider"] == provider]
    since = bound.since if bound else 0
    if not table["kernels"]:
        return f"{short} has no kernel for {op_type} at all" if table["known"] is not None else ""
    fitting = [k for k in kernels if k["since"] <= since <= k["until"]]
    if not fitting:
        versions = ", ".join(sorted({f"{k['since']}" for k in kernels}, key=int)) or "none"
        return f"no {short} kernel for {op_type}({since}); versions that have one: {versions}"
    for parameter, (types, _, _) in (bound.parameters if bound else {}).items():
        offered = {t for k in fitting for t in k["types"].get(parameter, [])}
        missing = sorted(types - offered)
        if offered and missing:
            return (
                f"no {short} kernel for {op_type}({since}) with {parameter}={_short(missing)}; "
                f"kernels exist for {_short(offered)}"
            )
    return ""


def _short(types: Iterable[str]) -> str:
    return ", ".join(sorted(t.removeprefix("tensor(").removesuffix(")") for t in types))
