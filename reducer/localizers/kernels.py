"""Types that no kernel takes or that the specification forbids, from ONNX Runtime tables and onnx schemas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from reducer.finding import Suspect
from reducer.localizers.base import Evidence, Localizer, called
from reducer.oracles.ladder import RUNTIME
from reducer.programs.onnx_source import NodeRecord
from reducer.routing import CONVERTER
from reducer.schemas import Bound, Parameter, allowed_since, bound_types, schema_of, short, split_type
from reducer.worker.protocol import RETURNED, Call

KERNELS = "reducer.worker.knowledge:kernel_table"
MISSING = "NOT_IMPLEMENTED"
MOST_NODES = 8
SECONDS = 20.0


class KernelLocalizer(Localizer):
    """Explains a failure to load: operator unknown, type outside the schema, or kernel missing."""

    name: ClassVar[str] = "kernels"
    rank: ClassVar[int] = 10
    decides: ClassVar[bool] = True

    def locate(self, evidence: Evidence) -> Iterable[Suspect]:
        seen = evidence.aim.observation
        if seen is None or seen.stage not in ("load", "check", "shape_inference"):
            return
        for record in evidence.reduced.records[:MOST_NODES]:
            if record.calls:
                continue  # a model-local function needs no kernel of its own
            domain = split_type(record.ref.op_type)[0]
            bound = bound_types(evidence.reduced, record, evidence.opsets.get(domain, 0))
            parameter = bound.violated() if bound else None
            name = called(record.ref, record.name)
            if bound is not None and parameter is not None:
                yield Suspect("type", record.ref.op_type, violation(bound, parameter), name, CONVERTER)
            elif seen.probe.backend == RUNTIME and seen.stage == "load":
                yield from self._runtime(evidence, record, bound)

    def _runtime(self, evidence: Evidence, record: NodeRecord, bound: Bound | None) -> Iterable[Suspect]:
        """What the runtime lacks: the operator, or a kernel for these types."""
        if bound is not None and not any(word in evidence.message for word in (MISSING, "registered")):
            return  # the runtime complains of something else
        domain, bare = split_type(record.ref.op_type)
        answer = evidence.prober.host.call(Call(KERNELS, {"domain": domain, "op_type": bare}, (), SECONDS))
        if answer.outcome != RETURNED:
            return
        table, name = dict(answer.value), called(record.ref, record.name)
        # A schema without a kernel may be a function: only a domain that nobody knows is the model's own.
        if table["known"] is False and not table["kernels"]:
            yield unknown(evidence, record, name, domain)
        elif MISSING in evidence.message:
            text = missing_kernel(table, bound, record.ref.op_type, evidence.plan.provider)
            if text:
                yield Suspect("type", record.ref.op_type, text, name, "onnxruntime")


def unknown(evidence: Evidence, record: NodeRecord, name: str, domain: str) -> Suspect:
    """The suspect of an operator that the runtime has never heard of."""
    bare = split_type(record.ref.op_type)[1]
    ours, where = schema_of(bare, domain, 0), f"{bare} in domain {domain or 'ai.onnx'}"
    if ours is not None:
        text = f"onnx defines {where} since opset {ours.since_version}; this onnxruntime does not know it"
        return Suspect("op", record.ref.op_type, text, name, "onnxruntime")
    text = (
        f"neither onnx nor this onnxruntime knows {where}, and the model has no function of that name: whoever writes "
        "it must bring it (a custom operator library, or a function)"
    )
    return Suspect("op", record.ref.op_type, text, name, CONVERTER)


def violation(bound: Bound, parameter: Parameter) -> str:
    """ "IsInf(10) takes double, float as X (T1); vg_h is float16; allowed since IsInf(20)"."""
    op = f"{bound.op_type}({bound.since})"
    if not parameter.wrong:
        given = ", ".join(f"{name!r} is {short([kind])}" for name, kind in parameter.bound.items())
        return f"{op} wants one type for {parameter.name}; {given}"
    name = parameter.wrong[0]
    kind = parameter.bound[name]
    takes = f"{op} takes {short(parameter.allowed)} as {parameter.formal} ({parameter.name})"
    text = f"{takes}; the model gives {short([kind])}"
    later = allowed_since(bound.op_type, bound.domain, parameter.name, kind, bound.since)
    return f"{text}, which {bound.op_type}({later}) allows" if later else text


def missing_kernel(table: dict[str, Any], bound: Bound | None, op_type: str, provider: str) -> str:
    """ "no CPU kernel for Max(13) with T=int16; kernels exist for float, double, ..."; "" when one exists."""
    brief = provider.removesuffix("ExecutionProvider")
    kernels = [k for k in table["kernels"] if k["provider"] == provider]
    since = bound.since if bound else 0
    if not table["kernels"]:
        return f"{brief} has no kernel for {op_type} at all" if table["known"] is not None else ""
    fitting = [k for k in kernels if k["since"] <= since <= k["until"]]
    if not fitting:
        versions = ", ".join(sorted({f"{k['since']}" for k in kernels}, key=int)) or "none"
        return f"no {brief} kernel for {op_type}({since}); versions that have one: {versions}"
    bindings = [(p.name, p.types) for p in bound.parameters.values()] if bound else []
    for name, types in bindings:
        offered = {t for k in fitting for t in k["types"].get(name, [])}
        missing = sorted(types - offered)
        if offered and missing:
            text = f"no {brief} kernel for {op_type}({since}) with {name}={short(missing)}"
            text += f"; kernels exist for {short(offered)}"
            elsewhere = sorted({k["since"] for k in kernels if set(missing) <= set(k["types"].get(name, []))} - {since})
            return text + (f"; version {', '.join(map(str, elsewhere))} has one" if elsewhere else "")
    return _combination(fitting, bindings, f"{op_type}({since})", brief)


def _combination(fitting: list[dict[str, Any]], bindings: list[tuple[str, set[str]]], op: str, brief: str) -> str:
    """Every type alone has a kernel; all of them together may not."""

    def misfits(kernel: dict[str, Any]) -> list[str]:
        return [name for name, types in bindings if not types <= set(kernel["types"].get(name, types))]

    nearest = min(fitting, key=lambda k: len(misfits(k)))
    if not misfits(nearest):
        return ""
    given = ", ".join(f"{name}={short(types)}" for name, types in bindings)
    wanted = ", ".join(f"{name}={short(nearest['types'][name])}" for name in misfits(nearest))
    return f"no {brief} kernel for {op} with {given} together; the nearest one needs {wanted}"
