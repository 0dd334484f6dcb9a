"""Tasks that find out about a model without judging it (child side)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reducer.worker.comparison import worst_difference
from reducer.worker.main import Context
from reducer.worker.tasks import Reply, load_backend, program_of, read_feeds


def infer_types(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """Lenient shape inference. Reply: a GraphProto whose value_info holds every tensor that got a type."""
    import onnx

    program = program_of(arguments, blobs)
    model = (
        onnx.load(str(program), load_external_data=False)
        if isinstance(program, Path)
        else onnx.ModelProto.FromString(program)
    )
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    found = onnx.GraphProto()
    for values in (inferred.graph.value_info, inferred.graph.output):
        found.value_info.extend(values)
    return {}, (found.SerializeToString(),)


def inline_functions(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """The model with all model-local functions inlined."""
    import onnx
    import onnx.inliner

    program = program_of(arguments, blobs)
    raw = program.read_bytes() if isinstance(program, Path) else program
    inlined = onnx.inliner.inline_local_functions(onnx.ModelProto.FromString(raw))
    return {}, (inlined.SerializeToString(),)


def first_divergence(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """Run two probes and list the outputs, in order, on which they differ: {"outputs": [{output, kind, ...}]}."""
    program, feeds = program_of(arguments, blobs), read_feeds(arguments["feeds"])
    made = []
    for index, probe in enumerate(arguments["probes"]):
        context.stage(f"{index}:run")
        try:
            made.append(dict(load_backend(probe["backend"]).open(program, probe["options"])(feeds)))
        except Exception as error:  # noqa: BLE001 - whatever a system under test raises is what we observe
            return {"outputs": [], "error": f"{type(error).__name__}: {error}"}, ()
    table, default = arguments["compare"]["tolerances"], arguments["compare"]["default"]
    found = []
    for name in made[0]:
        worst = worst_difference(made[0], made[1], [name], lambda dtype: tuple(table.get(dtype, default)))["worst"]
        if worst is not None:
            found.append(worst)
    return {"outputs": found[:20]}, ()


def kernel_table(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """Kernels that ONNX Runtime registers for arguments {domain, op_type}, and whether it knows the op at all.

    Reply: kernels [{provider, since, until, types {parameter: [names]}}], known. Empty where the wheel has no
    such tables.
    """
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    domain, op_type = arguments["domain"], arguments["op_type"]
    if not hasattr(state, "get_all_opkernel_def"):
        return {"kernels": [], "known": None}, ()
    kernels = [
        {
            "provider": k.provider,
            "since": k.version_range[0],
            "until": k.version_range[1],
            "types": k.type_constraints,
        }
        for k in state.get_all_opkernel_def()
        if k.op_name == op_type and k.domain in (domain, {"": "ai.onnx"}.get(domain, domain))
    ]
    schemas = state.get_all_operator_schema() if hasattr(state, "get_all_operator_schema") else []
    known = any(s.name == op_type and s.domain in (domain, domain or "ai.onnx") for s in schemas)
    return {"kernels": kernels, "known": known if schemas else None}, ()


def providers(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """The execution providers of this onnxruntime."""
    import onnxruntime

    return {"providers": list(onnxruntime.get_available_providers())}, ()


def register_custom_ops(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """Whether onnxruntime takes the custom-op libraries in arguments["custom_ops"]: {"error": message or ""}."""
    from reducer.backends.onnxruntime import session_options

    try:
        session_options(arguments)
    except Exception as error:  # noqa: BLE001 - the binding has error types of its own
        return {"error": str(error)[:300] or type(error).__name__}, ()
    return {"error": ""}, ()


def model_text(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """The model in onnx.parser syntax, and whether parsing it gives the same model back."""
    import onnx
    import onnx.parser
    import onnx.printer

    model = onnx.ModelProto.FromString(blobs[0])
    text = onnx.printer.to_text(model)
    try:
        again = onnx.parser.parse_model(text)
        same = _plain(again) == _plain(model)
    except Exception:  # noqa: BLE001 - the parser's own error type: whatever it is, the text is no faithful form
        same = False
    return {"text": text, "same": same}, ()


def parse_text(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """A textual model (.onnxtxt) as serialized protobuf; {"error": ...} when it does not parse."""
    import onnx.parser

    try:
        model = onnx.parser.parse_model(blobs[0].decode())
    except Exception as error:  # noqa: BLE001 - as above
        return {"error": str(error).strip().splitlines()[-1][:300] or type(error).__name__}, ()
    return {}, (model.SerializeToString(),)


def _plain(model: Any) -> bytes:
    """The model without what text cannot carry and no runtime looks at: empty strings, notes, forms of raw data."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for field in ("producer_name", "producer_version", "doc_string", "model_version"):
        copy.ClearField(field)
    _normalise(copy)
    return bytes(copy.SerializeToString(deterministic=True))


def _normalise(message: Any) -> None:
    """Unset empty strings and rewrite tensors into one form, everywhere below; in place."""
    import onnx
    from onnx import numpy_helper

    if isinstance(message, onnx.TensorProto) and message.data_type not in (0, onnx.TensorProto.STRING):
        message.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(message), message.name))
    for descriptor, value in list(message.ListFields()):
        if descriptor.message_type is not None:
            for inner in value if descriptor.is_repeated else [value]:
                _normalise(inner)
        elif not descriptor.is_repeated and value in ("", b""):
            message.ClearField(descriptor.name)
