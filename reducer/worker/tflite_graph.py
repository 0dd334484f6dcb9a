"""Candidates of a TFLite model (child side): some of its operators as a flatbuffer of their own.

Kept tensors keep their types, quantization and names; tensors, buffers and operator codes that nobody needs are gone.
Other graphs of the model (bodies of loops, branches) stay as they are while an operator that runs any is kept.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from reducer.values import ValueRef
from reducer.worker.tf_ladder import as_array
from reducer.worker.tflite_model import (
    ABSENT,
    IDENTIFIER,
    called_subgraphs,
    declared_shape,
    dtype_of,
    feed_and_invoke,
    ids,
    load_model,
    op_type,
    opened,
    operator_name,
    options_of,
    own_name,
    scale_of,
    steps_of,
    tensor_names,
)

# More attributes than that are no use to a reader.
MOST_SHOWN = 8


class TfliteCandidate:
    """A model cut out of another, with its inputs, outputs, feeds and right outputs."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.model = load_model(order["graph"])
        self.source = self.model.subgraphs[0]
        self.labels = tensor_names(self.source)
        self.values = {name: ValueRef.from_wire(wire) for name, wire in order["values"].items()}
        self._inputs = [name for name, cut in order["cuts"].items() if cut["mode"] == "input"]
        self._outputs: list[str] = list(order["outputs"])
        self.feeds = [np.asarray(self.values[name].read()) for name in self._inputs]
        self.places: dict[int, int] = {}
        self.made = self._build()
        self.content = packed(self.made)
        if order["recompute"]:
            self._take_shapes()

    @property
    def graph(self) -> Any:
        """The main graph of the candidate."""
        return self.made.subgraphs[0]

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs in the order of `feeds`."""
        return [own_name(self.graph.tensors[i]) for i in ids(self.graph.inputs)]

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs in the order of `expected`."""
        return [own_name(self.graph.tensors[i]) for i in ids(self.graph.outputs)]

    def tensor_labels(self) -> dict[str, str]:
        """What the source calls the tensors, by the name that they have here."""
        return {own_name(self.graph.tensors[new]): self.labels[old] for old, new in self.places.items()}

    @property
    def names(self) -> dict[str, str]:
        """What tensors of the source are called here, where names tell nothing."""
        renamed = self.order.get("renamed")
        return {label: here for here, label in self.tensor_labels().items()} if renamed else {}

    def called_here(self, names: Sequence[str]) -> list[str]:
        """The names that tensors of the source have here, of those that are kept."""
        return [here for here, label in self.tensor_labels().items() if label in names]

    def steps(self) -> dict[str, list[float]]:
        """tflite_model.steps_of."""
        return steps_of(self.made, self.graph)

    def expected(self) -> list[Any]:
        """The right outputs: recorded, or what TFLite makes of changed feeds. Raises ValueError, RuntimeError."""
        if not self.order["recompute"]:
            recorded = [self.order["expected"].get(name) for name in self._outputs]
            return [ValueRef.from_wire(wire).read() if wire else None for wire in recorded]
        interpreter = opened(self.content)
        feed_and_invoke(interpreter, self.feeds)
        return [as_array(np.array(interpreter.get_tensor(d["index"]))) for d in interpreter.get_output_details()]

    # --- building --------------------------------------------------------------------------------------------
    def _build(self) -> Any:
        from tensorflow.lite.python.schema_py_generated import BufferT, ModelT

        kept = set(self.order["keep"])
        operators = [
            operator
            for number, operator in enumerate(self.source.operators)
            if operator_name(self.labels, operator, number) in kept
        ]
        made = ModelT()
        made.version, made.buffers, made.operatorCodes = self.model.version, [BufferT()], []
        main = copy.copy(self.source)
        used = {i for o in operators for field in _tensors_of(o) for i in ids(field)} - {ABSENT}
        self.places = {old: new for new, old in enumerate(sorted(used))}
        main.tensors = [self._tensor(made, old) for old in self.places]
        main.operators = [_operator(self.model, made, o, self.places) for o in operators]
        number = {label: self.places[old] for old, label in enumerate(self.labels) if old in self.places}
        main.inputs, main.outputs = [number[n] for n in self._inputs], [number[n] for n in self._outputs]
        made.subgraphs = [main]
        if any(called_subgraphs(o) for o in operators):
            made.subgraphs += [_whole(self.model, made, graph) for graph in self.model.subgraphs[1:]]
        if self.order.get("renamed"):
            _rename(main)
            for other, graph in enumerate(made.subgraphs[1:], 1):
                graph.name = f"graph{other}".encode()
                for place, tensor in enumerate(graph.tensors):
                    tensor.name = f"g{other}_t{place}".encode()
        made.signatureDefs = [_signature(main)]
        return made

    def _tensor(self, made: Any, old: int) -> Any:
        """The tensor as an input, a constant or an edge, with its quantization."""
        tensor = copy.copy(self.source.tensors[old])
        name = self.labels[old]
        cut = self.order["cuts"].get(name)
        if name not in self.values:
            tensor.buffer = _buffer(self.model, made, tensor.buffer)
            return tensor
        value = np.asarray(self.values[name].read())
        tensor.shape, tensor.shapeSignature, tensor.sparsity = list(value.shape), None, None
        tensor.isVariable, tensor.buffer = False, 0
        _fit_quantization(tensor, value.shape)
        if cut is not None and cut["mode"] == "input":
            if cut["shape"] is None or None in cut["shape"]:
                tensor.shapeSignature = [-1 if d is None else d for d in cut["shape"] or [None] * value.ndim]
            return tensor
        if value.dtype.kind in "OUS":
            raise ValueError("a constant of strings cannot be written")
        tensor.buffer = _add_buffer(made, np.frombuffer(value.tobytes(), np.uint8))
        return tensor

    def _take_shapes(self) -> None:
        """Declared shapes of what is computed from changed values: those that the interpreter finds."""
        interpreter = opened(self.content)
        fed = {*ids(self.graph.inputs)}
        details = {d["index"]: d for d in interpreter.get_tensor_details()}
        for number in {i for o in self.graph.operators for i in ids(o.outputs)} - fed - {ABSENT}:
            tensor = self.graph.tensors[number]
            tensor.shape, tensor.shapeSignature = ids(details[number]["shape"]), None
        self.content = packed(self.made)

    # --- telling ---------------------------------------------------------------------------------------------
    def text(self) -> str:
        """The main graph for a reader, one operator a line."""
        tensors = self.graph.tensors

        def typed(i: int) -> str:
            shape = ["?" if n is None else n for n in declared_shape(tensors[i])]
            step = scale_of(tensors[i])
            quantized = f" {step[0]:g} * (q - {step[1]:g})" if step else ""
            return f"{own_name(tensors[i])}: {dtype_of(tensors[i])}[{', '.join(map(str, shape))}]{quantized}"

        def shown(operator: Any) -> str:
            read = ["None" if i == ABSENT else typed(i) for i in ids(operator.inputs)]
            made = ", ".join(typed(i) for i in ids(operator.outputs))
            return f"{op_type(self.made, operator)}({', '.join([*read, *_options(operator)])}) -> {made}".rstrip("-> ")

        return "\n".join(map(shown, self.graph.operators))


def _options(operator: Any) -> list[str]:
    told = {name: value for name, value in options_of(operator).items() if isinstance(value, int | float) and value}
    return [f"{name}={value}" for name, value in told.items()][:MOST_SHOWN]


def _tensors_of(operator: Any) -> Iterable[Any]:
    return (operator.inputs, operator.outputs, operator.intermediates)


def _operator(source: Any, made: Any, operator: Any, places: dict[int, int]) -> Any:
    """The operator in another model: its code is there, too."""
    changed = copy.copy(operator)
    changed.opcodeIndex = _code(source, made, operator.opcodeIndex)
    for field in ("inputs", "outputs", "intermediates"):
        numbers = getattr(operator, field)
        setattr(changed, field, None if numbers is None else [places.get(i, ABSENT) for i in ids(numbers)])
    return changed


def _code(source: Any, made: Any, number: int) -> int:
    code = source.operatorCodes[number]
    if code not in made.operatorCodes:  # by identity: these objects have no equality
        made.operatorCodes.append(code)
    return int(made.operatorCodes.index(code))


def _buffer(source: Any, made: Any, number: int) -> int:
    data = source.buffers[number].data if number else None
    return 0 if data is None else _add_buffer(made, data)


def _add_buffer(made: Any, data: Any) -> int:
    from tensorflow.lite.python.schema_py_generated import BufferT

    buffer = BufferT()
    buffer.data = data
    made.buffers.append(buffer)
    return len(made.buffers) - 1


def _whole(source: Any, made: Any, graph: Any) -> Any:
    """Another graph of the source as it is."""
    changed = copy.copy(graph)
    changed.tensors = [copy.copy(tensor) for tensor in graph.tensors or []]
    for tensor in changed.tensors:
        tensor.buffer = _buffer(source, made, tensor.buffer)
    places = {i: i for i in range(len(changed.tensors))}
    changed.operators = [_operator(source, made, operator, places) for operator in graph.operators or []]
    return changed


def _fit_quantization(tensor: Any, shape: tuple[int, ...]) -> None:
    """Scales per channel for the channels that are left."""
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None or len(quantization.scale) < 2:
        return
    axis = quantization.quantizedDimension
    if axis >= len(shape):
        raise ValueError("the quantized axis is gone")
    fitted = copy.copy(quantization)
    for field in ("scale", "zeroPoint", "min", "max"):
        numbers = getattr(quantization, field)
        setattr(fitted, field, None if numbers is None else numbers[: shape[axis]])
    tensor.quantization = fitted


def _rename(graph: Any) -> None:
    graph.name = b"main"
    ins, outs = ids(graph.inputs), ids(graph.outputs)
    for number, tensor in enumerate(graph.tensors):
        kind, place = ("t", number)
        if number in ins:
            kind, place = "x", ins.index(number)
        elif number in outs:
            kind, place = "y", outs.index(number)
        tensor.name = f"{kind}{place}".encode()


def _signature(graph: Any) -> Any:
    """So that one call runs it by names (Interpreter.get_signature_runner); tf2onnx does not look at it."""
    from tensorflow.lite.python.schema_py_generated import SignatureDefT, TensorMapT

    def named(numbers: Any) -> list[Any]:
        found = []
        for number in ids(numbers):
            place = TensorMapT()
            place.name, place.tensorIndex = graph.tensors[number].name, number
            found.append(place)
        return found

    signature = SignatureDefT()
    signature.inputs, signature.outputs = named(graph.inputs), named(graph.outputs)
    signature.signatureKey, signature.subgraphIndex = b"run", 0
    return signature


def packed(model: Any) -> bytes:
    """The flatbuffer."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())
