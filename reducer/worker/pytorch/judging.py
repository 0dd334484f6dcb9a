"""One candidate on the ladder: eager, convert, load, run, compare (child side, step 8; in a process of its own).

A report says where it failed: {"step", "error", "message", "frame", "target", ...} with step "" when all passed, or
{"invalid": reason} for what is no legal program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from reducer.difference import excerpt, measured
from reducer.worker.pytorch import adapter, failures
from reducer.worker.pytorch.candidate import Built, build
from reducer.worker.pytorch.cutting import Uncuttable
from reducer.worker.pytorch.graph import Level, copied, record
from reducer.worker.pytorch.isolation import note
from reducer.worker.pytorch.ties import is_tie

Report = dict[str, Any]
LOAD, RUN, COMPARE = "load", "run", "compare"


def judge(level: Level, order: Mapping[str, Any], options: Mapping[str, Any]) -> Report:
    """What the candidate does. options: exporter, opset, through (direct | public), decomposed (is the level the
    prepared one?), upto (the last step of interest), opt_level, provider, tolerances."""
    try:
        built = build(level, order)
        values = record(built.cut.module, built.cut.values)
    except Uncuttable as error:
        return {"invalid": str(error)}
    except Exception as error:  # noqa: BLE001 - edits may ask torch for what it cannot do
        return {"invalid": f"{type(error).__name__}: {error}"[:300]}
    expected = list(values[_output(built.cut.module).name])
    note(failures.first_step(options))
    try:
        model = convert(built, values, options)
    except adapter.StepFailed as failed:
        return failures.describe(failed.error, failed.step)
    if options.get("upto") in failures.CONVERT_STEPS:
        return {"step": ""}
    inputs = [
        built.cut.inputs[str(node.target)] for node in built.cut.placeholders if str(node.target) in built.cut.inputs
    ]
    report = run_onnx(model, inputs, expected, options)
    if report["step"] == COMPARE and report["kind"] == "value" and is_tie(built.cut.module, values, report["outputs"]):
        return {"step": "", "tie": True}
    report.pop("outputs", None)
    return report


def convert(built: Built, values: Mapping[str, Any], options: Mapping[str, Any]) -> bytes:
    """The candidate as an ONNX model. Raises StepFailed."""
    cut = built.cut
    inputs = tuple(copied(cut.inputs[str(n.target)]) for n in cut.placeholders if str(n.target) in cut.inputs)
    opset = options.get("opset")
    legacy = options.get("exporter") == "legacy"
    if not legacy and options.get("through") == "direct" and options.get("decomposed"):
        _describe_values(cut.module, values)
        return adapter.translate(cut.module, _signature(built), cut.constants, opset)
    model = _bound(built)
    if not legacy and options.get("through") == "direct":
        program = adapter.capture(model, inputs, {})
        if options.get("upto") == failures.CAPTURE:
            return b""
        adapter.prepare(program, opset)
        if options.get("upto") == failures.DECOMPOSE:
            return b""
    with adapter.known_functions(opset):
        return adapter.export(model, inputs, {}, {"exporter": options.get("exporter"), "opset": opset})


def _bound(built: Built) -> Any:
    """The cut as a module whose constants are buffers."""
    import torch

    cut = built.cut
    if not cut.constants:
        return cut.module.eval()
    order = [str(node.target) for node in cut.placeholders]

    class Bound(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = cut.module
            for name, value in cut.constants.items():
                self.register_buffer(name, copied(value))

        def forward(self, *inputs: Any) -> Any:
            rest = iter(inputs)
            return self.inner(*[getattr(self, name) if name in cut.constants else next(rest) for name in order])

    return Bound().eval()


def _describe_values(module: Any, values: Mapping[str, Any]) -> None:
    """Give every node the fake value that the translator reads, made from its real one: static shapes."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.symbolic_shapes import ShapeEnv
    from torch.utils import _pytree

    mode = FakeTensorMode(shape_env=ShapeEnv(), allow_non_fake_inputs=True)

    def fake(leaf: Any) -> Any:
        return mode.from_tensor(leaf, static_shapes=True) if isinstance(leaf, torch.Tensor) else leaf

    for node in module.graph.nodes:
        if node.op != "output" and node.name in values:
            node.meta["val"] = _pytree.tree_map(fake, values[node.name])


def _signature(built: Built) -> Any:
    from torch.export import graph_signature as gs

    inputs = []
    for node in built.cut.placeholders:
        name = str(node.target)
        constant = name in built.cut.constants
        kind = gs.InputKind.BUFFER if constant else gs.InputKind.USER_INPUT
        arg = gs.TensorArgument(name=node.name)
        inputs.append(gs.InputSpec(kind, arg, name if constant else None, persistent=True if constant else None))
    leaving = _output(built.cut.module).args[0]
    outputs = [gs.OutputSpec(gs.OutputKind.USER_OUTPUT, gs.TensorArgument(name=n.name), None) for n in leaving]
    return gs.ExportGraphSignature(inputs, outputs)


def _output(module: Any) -> Any:
    return next(node for node in reversed(module.graph.nodes) if node.op == "output")


def run_onnx(model: bytes, inputs: Sequence[Any], expected: Sequence[Any], options: Mapping[str, Any]) -> Report:
    """Load, run, compare in ONNX Runtime; `inputs` and `expected` are torch tensors, in order.

    A failure carries the names in the model, so that the parent can mask them; a difference its kind and size.
    """
    from reducer.backends.onnxruntime import OnnxRuntime

    step = LOAD
    note(step)
    try:
        backend = OnnxRuntime()
        run = backend.open(model, {k: options[k] for k in ("opt_level", "provider") if options.get(k)})
        step = RUN
        note(step)
        made = list(run(feeds_of(model, inputs)).values())
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the runtime raises is what we observe
        text = str(error)[: failures.MESSAGE_LIMIT]
        told = {"step": step, "error": type(error).__name__, "message": text}
        return {**told, **blamed_node(model, text), **names_of(model)}
    return compare(made, expected, options)


def compare(made: Sequence[Any], expected: Sequence[Any], options: Mapping[str, Any]) -> Report:
    """Outputs as numpy against torch tensors, by position. The tolerance decides; `relative` is told as well, and with
    options["measure"] all that is known of the difference, as DifferenceFacts."""
    from reducer.worker.comparison import worst_difference

    table, default = options["tolerances"], options["default"]
    right = {str(number): numpy_of(value) for number, value in enumerate(expected)}
    left = {str(number): value for number, value in enumerate(made)}
    if len(left) != len(right):
        detail = f"{len(left)} outputs, not {len(right)}"
        return {"step": COMPARE, "kind": "count", "error": "count", "message": detail, "target": ""}
    found = worst_difference(left, right, list(right), lambda dtype: tuple(table.get(dtype, default)))
    worst = found["worst"]
    if worst is None:
        return {"step": "", "seen": found["seen"]}
    name = worst["output"]
    size = f" by up to {worst['abs']:.4g}" if worst["abs"] is not None else ""
    more = f" (relative {worst['rel']:.3g})" if worst.get("rel") is not None else f" {worst.get('detail', '')}".rstrip()
    return {
        "step": COMPARE,
        "error": worst["kind"],
        "kind": worst["kind"],
        "excess": worst["excess"],
        "max_abs": worst["abs"],
        "max_rel": worst["rel"],
        "output": int(name),
        "message": f"output {name} differs in {worst['kind']}{size}{more}",
        "target": "",
        "expected": excerpt(right[name]),
        "actual": excerpt(left[name]),
        "outputs": list(left.values()),
        **({"measured": asdict(measured(name, right[name], left[name]))} if options.get("measure") else {}),
    }


def numpy_of(value: Any) -> Any:
    """A torch tensor as numpy has it; complex as ONNX has it: floats with a last dimension of two."""
    import torch

    value = value.detach()
    if value.is_complex():
        value = torch.view_as_real(value.resolve_conj()).contiguous()
    if value.dtype == torch.bfloat16:
        import ml_dtypes

        return value.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return value.resolve_neg().contiguous().numpy()


def feeds_of(model: bytes, inputs: Sequence[Any]) -> dict[str, Any]:
    """Feeds by the names that the model gives its inputs, bound by position (by name for ours of the legacy one)."""
    import onnx

    graph = onnx.ModelProto.FromString(model).graph
    weights = {item.name for item in graph.initializer}
    names = [item.name for item in graph.input if item.name not in weights]
    arrays = [numpy_of(value) for value in inputs]
    numbered = {f"in_{number}": array for number, array in enumerate(arrays)}
    if names and all(name in numbered for name in names):
        return {name: numbered[name] for name in names}
    return dict(zip(names, arrays, strict=False))


def blamed_node(model: bytes, message: str) -> dict[str, str]:
    """{node, target}: the FX node behind the ONNX node that a message names, by the exporter's metadata."""
    import onnx

    from reducer.signature import words

    said = set(words(message))
    proto = onnx.ModelProto.FromString(model)
    for node in [*proto.graph.node, *(inner for function in proto.functions for inner in function.node)]:
        if node.name and node.name in said:
            origin = next((p.value for p in node.metadata_props if p.key == "pkg.torch.onnx.fx_node"), "")
            found = failures.node_in(origin)
            if found["target"]:
                return found
    return {"node": "", "target": ""}


def names_of(model: bytes) -> dict[str, Any]:
    """{names, op_types} that messages about the model may hold, functions included."""
    import onnx

    proto = onnx.ModelProto.FromString(model)
    nodes = [*proto.graph.node, *(node for function in proto.functions for node in function.node)]
    names = {name for node in nodes for name in (node.name, *node.input, *node.output) if name}
    names |= {item.name for item in (*proto.graph.input, *proto.graph.output, *proto.graph.initializer)}
    return {"names": sorted(names)[:4000], "op_types": sorted({node.op_type for node in nodes})}
