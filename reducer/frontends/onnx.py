"""An ONNX file (or bytes) as an OnnxSource: unique node names, weights spilled, nothing mended.

Step 2 of the data path. Only protobuf parsing happens here; checker, inference and runtimes run in the worker.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from reducer.errors import UsageError
from reducer.frontends.external import ExternalWeights
from reducer.frontends.skeleton import WORTH_FROM_BYTES, skeleton_of
from reducer.frontends.text import refuse_bad_text
from reducer.programs import wire
from reducer.programs.base import NodeRef
from reducer.programs.onnx_source import (
    FunctionKey,
    FunctionRecord,
    NodeRecord,
    OnnxSource,
    WeightRecord,
    captured_names,
    constant_names,
    encode_node,
    qualified,
    walk,
)

PROTOBUF_LIMIT = (1 << 31) - 1
# In bodies and functions too. A record is about 3 KB: more would not be a model but a way to fill our memory.
MOST_NODES = 500_000


def read_model(path: Path) -> onnx.ModelProto:
    """The parsed file, external data not loaded. Raises UsageError with one clear line."""
    if not path.exists():
        raise UsageError(f"no such file: {path}", "name an ONNX file: onnx-reduce model.onnx")
    if path.is_dir():
        raise UsageError(f"{path} is a folder", "name the ONNX file inside it")
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path} is no regular file", "name an ONNX file: onnx-reduce model.onnx")
        if status.st_size > PROTOBUF_LIMIT:
            raise UsageError(
                f"{path} has {status.st_size / 1e9:.1f} GB, and nothing reads a protobuf of more than 2 GB",
                "save its weights as external data: onnx.save(model, FILE, save_as_external_data=True)",
            )
        # Big weights stay in the file; a small file is not worth the walk.
        raw = skeleton_of(path) if status.st_size >= WORTH_FROM_BYTES else path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if not raw:
        raise UsageError(f"{path} is empty (0 bytes)", "export or download the model again")
    return parse_model(raw, str(path))


def parse_model(raw: bytes, origin: str) -> onnx.ModelProto:
    """A ModelProto from its serialized bytes; `origin` is named in the UsageError when they are none."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(raw)
    except DecodeError as error:
        raise _unreadable(origin, str(error)) from error
    if not model.HasField("graph") or not (model.graph.node or model.graph.output or model.graph.input):
        raise UsageError(f"{origin} is not an ONNX model: it holds no graph", "name a file made by an ONNX exporter")
    refuse_bad_text(model, origin)
    return model


def _unreadable(origin: str, reason: str) -> UsageError:
    """What to say of bytes that protobuf refuses; the reasons are those of its upb parser."""
    if "MaxDepth" in reason:
        return UsageError(
            f"{origin} is nested deeper than protobuf reads (100 messages, about 33 bodies in one another)",
            "no runtime can open it either",
        )
    if "alloc" in reason:
        return UsageError(
            f"{origin} names more than can be held in memory", "is it a model? Its parts are far more than its bytes"
        )
    return UsageError(
        f"{origin} is not a complete ONNX model: the protobuf is truncated or of another kind",
        "check the file's size against the original; git-lfs pointers and half downloads look like this",
    )


def load_source(model: onnx.ModelProto, base_folder: Path | None, spill: Path | None) -> OnnxSource:
    """The records of a model. External data is read from `base_folder`; big weights go to the folder `spill`, or
    stay inside without one."""
    externals = ExternalWeights(base_folder, spill)
    externals.inline_rest(model)
    model_functions = {(f.domain, f.name) for f in model.functions}
    used = Counter(node.name for node, _ in walk(model.graph.node))
    functions = {(f.domain, f.name): _function(f, model_functions) for f in model.functions}
    nodes = _records(model.graph.node, used, functions, _opsets(model))
    weights = _weights(model.graph, externals)
    inputs = {v.name: v.type.SerializeToString() for v in model.graph.input}
    fixed = [name for name in weights if name not in inputs]
    return OnnxSource(
        nodes=nodes,
        inputs=inputs,
        outputs={v.name: v.type.SerializeToString() for v in model.graph.output},
        weights=weights,
        functions=functions,
        value_info={v.name: v.type.SerializeToString() for v in model.graph.value_info if v.HasField("type")},
        header=_header(model),
        bare_header=_bare_header(model),
        graph_rest=_graph_rest(model.graph),
        constants=constant_names(nodes, fixed),
        folder=externals.folder,
    )


def _opsets(model: onnx.ModelProto) -> dict[str, int]:
    return {"" if o.domain == "ai.onnx" else o.domain: o.version for o in model.opset_import}


def _records(
    nodes: Iterable[onnx.NodeProto],
    used: Counter[str],
    functions: dict[FunctionKey, FunctionRecord],
    opsets: dict[str, int],
) -> tuple[NodeRecord, ...]:
    taken = set(used)
    records = []
    for index, node in enumerate(nodes):
        body: list[NodeRef] = []
        source_name = node.name
        if not node.name or used[node.name] > 1:
            node.name = _fresh(f"{node.op_type}_{index}", taken)
        for inner, path in walk([node]):
            if inner is not node:
                body.append(_body_ref(index, inner, path, (used, taken, len(body))))
        ref = NodeRef(index, qualified(node.domain, node.op_type), source_name, (), node.name)
        encoded, bare = encode_node(node)
        captures = captured_names(node)
        calls = frozenset((n.domain, n.op_type) for n, _ in walk([node]) if (n.domain, n.op_type) in functions)
        steady = _deterministic(node, opsets) and all(functions[key].deterministic for key in calls)
        records.append(
            NodeRecord(
                ref,
                node.name,
                tuple(node.input),
                captures,
                tuple(node.output),
                encoded,
                bare,
                tuple(body),
                calls,
                steady,
            )
        )
    return tuple(records)


def _body_ref(
    index: int, node: onnx.NodeProto, path: tuple[str, ...], names: tuple[Counter[str], set[str], int]
) -> NodeRef:
    used, taken, position = names
    source_name = node.name
    if not source_name or used[source_name] > 1:
        node.name = _fresh(f"{node.op_type}_{index}_{position}", taken)
    return NodeRef(index, qualified(node.domain, node.op_type), source_name, path, node.name)


def _fresh(wanted: str, taken: set[str]) -> str:
    name, count = wanted, 1
    while name in taken:
        name, count = f"{wanted}_{count}", count + 1
    taken.add(name)
    return name


def _function(function: onnx.FunctionProto, known: set[FunctionKey]) -> FunctionRecord:
    taken = {n.name for n, _ in walk(function.node) if n.name}
    refs, calls, steady = [], set(), True
    versions = {"" if o.domain == "ai.onnx" else o.domain: o.version for o in function.opset_import}
    for index, (node, path) in enumerate(walk(function.node)):
        source_name = node.name
        if not node.name:
            node.name = _fresh(f"{node.op_type}_{index}_in_{function.name}", taken)
        op_type = qualified(node.domain, node.op_type)
        refs.append(NodeRef(-1, op_type, source_name, (function.name, *path), node.name))
        steady = steady and _steady_op(node, versions)
        if (node.domain, node.op_type) in known:
            calls.add((node.domain, node.op_type))
    encoded = function.SerializeToString()
    return FunctionRecord(encoded, tuple(refs), frozenset(calls), steady)


def _deterministic(node: onnx.NodeProto, opsets: dict[str, int]) -> bool:
    """Whether the schemas of the node and its bodies promise the same output every time."""
    return all(_steady_op(inner, opsets) for inner, _ in walk([node]))


def _steady_op(node: onnx.NodeProto, opsets: dict[str, int]) -> bool:
    version = opsets.get("" if node.domain == "ai.onnx" else node.domain)
    try:
        schema = onnx.defs.get_schema(node.op_type, version or onnx.defs.onnx_opset_version(), node.domain)
    except (onnx.defs.SchemaError, TypeError):  # TypeError: a version beyond 32 bits
        return True
    # The schema's own flag also stands on If, Loop and Scan, which are as random as their bodies, and on DepthToSpace
    # and others that are not random at all. What draws numbers takes a seed.
    if not getattr(schema, "non_deterministic", False) or "seed" not in schema.attributes:
        return True
    # Dropout and its like are random only when their training switch is there at all.
    switch = next((i for i, formal in enumerate(schema.inputs) if formal.name == "training_mode"), None)
    return switch is not None and not any(node.input[switch : switch + 1])


def _weights(graph: onnx.GraphProto, externals: ExternalWeights) -> dict[str, tuple[WeightRecord, ...]]:
    found: dict[str, list[WeightRecord]] = {}
    for tensor in graph.initializer:
        found.setdefault(tensor.name, []).append(externals.record(tensor))
    for sparse in graph.sparse_initializer:
        encoded = wire.field(wire.GRAPH_SPARSE_INITIALIZER, sparse.SerializeToString())
        record = WeightRecord(
            sparse.values.name, sparse.values.data_type, tuple(sparse.dims), sparse.ByteSize(), encoded
        )
        found.setdefault(sparse.values.name, []).append(record)
    return {name: tuple(records) for name, records in found.items()}


def _header(model: onnx.ModelProto) -> bytes:
    rest = onnx.ModelProto()
    for descriptor, value in model.ListFields():
        name = descriptor.name
        if name in ("graph", "functions"):
            continue
        if descriptor.is_repeated:
            getattr(rest, name).extend(value)
        elif descriptor.message_type is not None:
            getattr(rest, name).CopyFrom(value)
        else:
            setattr(rest, name, value)
    return bytes(rest.SerializeToString())


def _bare_header(model: onnx.ModelProto) -> bytes:
    bare = onnx.ModelProto(ir_version=model.ir_version)
    bare.opset_import.extend(model.opset_import)
    return bytes(bare.SerializeToString())


def _graph_rest(graph: onnx.GraphProto) -> bytes:
    rest = onnx.GraphProto(name=graph.name, doc_string=graph.doc_string)
    rest.metadata_props.extend(graph.metadata_props)
    rest.quantization_annotation.extend(graph.quantization_annotation)
    return bytes(rest.SerializeToString())


def count_nodes(model: onnx.ModelProto) -> int:
    """All nodes: those of the graph, of subgraph bodies, and of each local function once. Raises UsageError."""
    if len(model.graph.node) > MOST_NODES:
        raise UsageError(f"the model has more than {MOST_NODES:,} nodes", "onnx-reduce cannot hold so many")
    return sum(1 for _ in walk(model.graph.node)) + sum(1 for function in model.functions for _ in walk(function.node))


def model_folder(path: Path) -> Path:
    """The folder that external data of the model must lie in."""
    return Path(os.path.realpath(path)).parent
