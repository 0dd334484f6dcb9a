"""Where what a node refuses comes from: the producer that first departs, upstream of the symptom.

A type or shape that is wrong at one node was decided at another. From the tensor that is refused the way leads up
through nodes that pass their input's type (or shape) on, to the one that decides it. What that node's attributes
have to do with it is tried: each is set back to its default, one at a time (engine.md section 3, counterfactual
repair).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from onnx import NodeProto, helper

from reducer.errors import EditConflict
from reducer.finding import Suspect
from reducer.localizers.base import Evidence, Localizer, called
from reducer.observation import FAILED
from reducer.oracles.trial import FAILS, PASSES
from reducer.programs.base import NodeId
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_source import NodeRecord, rebuilt
from reducer.programs.onnx_tensors import read_type
from reducer.routing import CONVERTER
from reducer.schemas import bound_types, schema_of, short, split_type, type_string

FARTHEST = 200
MOST_ATTRIBUTES = 6
_SHAPE_WORDS = ("ShapeInferenceError", "shape inference", "Dimension")


class OriginLocalizer(Localizer):
    """Names the node that decides a refused type or shape, when it is another one than the node that refuses it."""

    name: ClassVar[str] = "origin"
    rank: ClassVar[int] = 25
    calls: ClassVar[int] = 24
    seconds: ClassVar[float] = 2.0

    def locate(self, evidence: Evidence) -> Iterable[Suspect]:
        seen = evidence.aim.observation
        if seen is None or seen.outcome != FAILED or seen.stage not in ("load", "check", "shape_inference"):
            return
        for symptom in evidence.reduced.records[-2:]:
            yield from self._of_types(evidence, symptom)
        if any(word in evidence.message for word in _SHAPE_WORDS):
            for symptom in evidence.reduced.records[-1:]:
                yield from self._of_shapes(evidence, symptom)

    def _of_types(self, evidence: Evidence, symptom: NodeRecord) -> Iterable[Suspect]:
        domain, _ = split_type(symptom.ref.op_type)
        bound = bound_types(evidence.reduced, symptom, evidence.opsets.get(domain, 0))
        parameter = bound.violated() if bound else None
        if parameter is None:
            return
        for tensor in parameter.wrong or list(parameter.bound):
            origin = decides_type(evidence, tensor)
            if origin is None or origin.ref.id == symptom.ref.id:
                continue
            kind = parameter.bound.get(tensor, "")
            text = f"{symptom.ref.op_type} reads {tensor!r} as {short([kind])}; {_how(origin, evidence, kind)}"
            yield Suspect("type", origin.ref.op_type, text, called(origin.ref, origin.name), CONVERTER)

    def _of_shapes(self, evidence: Evidence, symptom: NodeRecord) -> Iterable[Suspect]:
        for tensor in symptom.inputs[:1]:
            path = decides_shape(evidence.whole, tensor)
            if not path:
                continue
            origin = path[0]
            text = f"{symptom.ref.op_type} refuses the shape of {tensor!r}; this node decides it"
            cures = list(_cures(evidence, path, symptom))
            if cures:
                text += f": with {cures[0]} (its default) {symptom.ref.op_type} no longer fails in this way"
            yield Suspect("shape", origin.ref.op_type, text, called(origin.ref, origin.name))


def decides_type(evidence: Evidence, tensor: str) -> NodeRecord | None:
    """The node at which that tensor's type is not that of any input of the node; None for a graph input."""
    program = evidence.whole
    for _ in range(FARTHEST):
        maker = _maker(program, tensor)
        if maker is None:
            return None
        kind = type_string(program, tensor)
        domain, bare = split_type(maker.ref.op_type)
        schema = schema_of(bare, domain, evidence.opsets.get(domain, 0))
        onward = _passed_on(program, maker, schema, tensor, kind)
        if onward is None:
            return maker
        tensor = onward
    return None


def _passed_on(program: OnnxProgram, maker: NodeRecord, schema: Any, tensor: str, kind: str | None) -> str | None:
    """The input whose type this output takes over by the schema; None when the node decides for itself."""
    if schema is None or tensor not in maker.outputs or not schema.outputs:
        return None
    position = maker.outputs.index(tensor)
    wanted = schema.outputs[min(position, len(schema.outputs) - 1)].type_str
    for i, name in enumerate(maker.inputs):
        formal = schema.inputs[min(i, len(schema.inputs) - 1)] if schema.inputs else None
        if name and formal is not None and formal.type_str == wanted and type_string(program, name) in (kind, None):
            return name
    return None


def decides_shape(program: OnnxProgram, tensor: str) -> tuple[NodeRecord, ...]:
    """The node at which that tensor's shape is not the shape of an input of the node, then those that pass it on;
    empty for a graph input."""
    path: list[NodeRecord] = []
    for _ in range(FARTHEST):
        maker = _maker(program, tensor)
        if maker is None:
            return ()
        path.insert(0, maker)
        shape = _shape(program, tensor)
        onward = next((n for n in maker.inputs if n and shape is not None and _shape(program, n) == shape), None)
        if onward is None:
            return tuple(path)
        tensor = onward
    return ()


def _maker(program: OnnxProgram, tensor: str) -> NodeRecord | None:
    makers: tuple[NodeId, ...] = tuple(program.source.producers.get(tensor, ()))
    return program.record(makers[-1]) if makers else None


def _shape(program: OnnxProgram, tensor: str) -> tuple[Any, ...] | None:
    wire = program.type_of(tensor)
    kind = read_type(wire).tensor_type if wire else None
    if kind is None or not kind.HasField("shape"):
        return None
    return tuple(d.dim_value if d.HasField("dim_value") else d.dim_param for d in kind.shape.dim)


def _how(origin: NodeRecord, evidence: Evidence, kind: str) -> str:
    """How the node comes to that type."""
    node = origin.proto()
    told = [f"{a.name}={helper.get_attribute_value(a)}" for a in node.attribute if a.name in ("to", "dtype")]
    reads = ", ".join(filter(None, (type_string(evidence.whole, name) for name in origin.inputs if name)))
    source = f" from {short(reads.split(', '))}" if reads else ""
    return f"{short([kind])} begins here{source}{' by ' + told[0] if told else ''}"


def _cures(evidence: Evidence, path: tuple[NodeRecord, ...], symptom: NodeRecord) -> Iterator[str]:
    """Attributes of the path's first node that, set back to their default, make the failure at `symptom` go away."""
    trials = evidence.trials
    if trials is None:
        return
    try:
        way = evidence.whole.restrict(frozenset({record.ref.id for record in (*path, symptom)}), {})
        if trials.run(way).verdict != FAILS:
            return
    except EditConflict:
        return
    for name, plain in list(_reset(path[0]))[:MOST_ATTRIBUTES]:
        outcome = trials.run(way.patched(rebuilt(path[0], plain)))
        if outcome.verdict == PASSES or (outcome.verdict != FAILS and called(symptom.ref) not in outcome.detail):
            yield name


def _reset(origin: NodeRecord) -> Iterator[tuple[str, NodeProto]]:
    """("layout=0", the node with that attribute at its default), for every attribute that is not."""
    domain, bare = split_type(origin.ref.op_type)
    schema = schema_of(bare, domain, 0)
    node = origin.proto()
    for position, attribute in enumerate(node.attribute):
        formal = schema.attributes.get(attribute.name) if schema is not None else None
        if formal is None or formal.required or not formal.default_value.name:
            continue
        default = helper.get_attribute_value(formal.default_value)
        if default == helper.get_attribute_value(attribute):
            continue
        plain = NodeProto()
        plain.CopyFrom(node)
        del plain.attribute[position]
        yield f"{attribute.name}={default.decode() if isinstance(default, bytes) else default}", plain
