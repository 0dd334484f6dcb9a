"""Models made to hurt: each is refused with one clear line, or loaded without harm."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from reducer.errors import EditConflict, UsageError
from reducer.feeds import FeedBook
from reducer.frontends import external, skeleton
from reducer.frontends import onnx as front
from reducer.frontends.onnx import load_source, parse_model, read_model
from reducer.frontends.room import bounded_memory
from reducer.inlining import can_inline, function_sizes
from reducer.programs import wire
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_source import OnnxSource
from tests.models import model_of, program_of

value = helper.make_tensor_value_info
PLAIN = "g (float[2,3] x) => (float[2,3] y) { y = Abs(x) }"


def nested(depth: int) -> bytes:
    """A model of If nodes in one another, as bytes: the protobuf library refuses to build it."""
    graph = wire.field(wire.GRAPH_NAME, b"g")
    for level in range(depth):
        attribute = wire.field(1, b"then_branch") + wire.field(6, graph) + wire.varint(20 << 3) + wire.varint(5)
        node = wire.field(1, b"x") + wire.field(2, b"y%d" % level) + wire.field(4, b"If") + wire.field(5, attribute)
        graph = wire.field(wire.GRAPH_NODE, node) + wire.field(wire.GRAPH_NAME, b"g")
    return wire.field(wire.MODEL_GRAPH, graph + wire.field(wire.GRAPH_INPUT, wire.field(1, b"x")))


def test_nesting_is_read_as_deep_as_protobuf_goes_and_no_deeper(tmp_path: Path) -> None:
    source = load_source(parse_model(nested(30), "m"), tmp_path, tmp_path)
    assert len(source.nodes[0].body) == 29
    OnnxProgram.of(source).model_bytes()
    with pytest.raises(UsageError, match="nested deeper"):
        parse_model(nested(300), "m")


def with_external(tmp_path: Path, **entries: str) -> onnx.ModelProto:
    model = model_of("g (float[2,3] x) => (float[2,3] y) { y = Add(x, w) }")
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
    for key, text in entries.items():
        tensor.external_data.add(key=key, value=text)
    model.graph.initializer.append(tensor)
    return model


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"location": "/etc/passwd"}, "outside"),
        ({"location": "../secret"}, "outside"),
        ({"location": "link"}, "outside"),
        ({"location": "a\0b"}, "outside"),
        ({"location": ""}, "outside"),
        ({"location": "pipe"}, "no regular file"),
        ({"location": "."}, "no regular file"),
        ({"location": "loop"}, "missing"),
        ({"location": "x" * 5000}, "missing"),
        ({"location": "data", "offset": str(1 << 62)}, "beyond the end"),
        ({"location": "data", "offset": "60", "length": "12"}, "beyond the end"),
        ({"location": "data", "offset": "-4"}, "broken"),
        ({"location": "data", "offset": "9" * 5000}, "broken"),
        ({"location": "data", "length": "\u0663"}, "broken"),
        ({"location": "data", "length": "1_0"}, "broken"),
    ],
)
def test_external_data_is_looked_for_inside_the_folder_only(
    tmp_path: Path, entries: dict[str, str], message: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"secret" * 9)
    (folder / "data").write_bytes(b"\0" * 64)
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")
    with pytest.raises(UsageError, match=message) as caught:
        load_source(with_external(folder, **entries), folder, tmp_path)
    assert len(str(caught.value) + caught.value.hint) < 400


def test_external_data_hides_in_every_place_where_a_tensor_can_be(tmp_path: Path) -> None:
    outside = with_external(tmp_path, location="/etc/passwd").graph.initializer[0]
    sparse = onnx.SparseTensorProto(values=outside, indices=outside, dims=[3])
    body = helper.make_graph([helper.make_node("Add", ["x", "w"], ["z"])], "b", [], [value("z", 1, None)], [outside])
    constant = helper.make_node("Constant", [], ["c"])
    constant.attribute.append(helper.make_attribute("value", outside))
    models = [model_of(PLAIN) for _ in range(6)]
    models[0].graph.sparse_initializer.append(sparse)
    models[1].graph.node.append(helper.make_node("If", ["x"], ["q"], then_branch=body, else_branch=body))
    models[2].graph.node.append(constant)
    function = helper.make_function("f", "f", ["a"], ["c"], [constant], [helper.make_opsetid("", 17)])
    models[3].functions.append(function)
    models[4].training_info.add().initialization.initializer.append(outside)
    models[5].graph.node.append(helper.make_node("Constant", [], ["d"], sparse_value=sparse))
    for model in models:
        with pytest.raises(UsageError, match="outside"):
            load_source(model, tmp_path, tmp_path)


def test_the_same_bytes_are_spilled_once(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"\0" * external.SPILL_FROM_BYTES)
    one = with_external(tmp_path, location="data")
    one.graph.initializer[0].dims[0] = external.SPILL_FROM_BYTES // 4
    for number in range(50):
        one.graph.initializer.add().CopyFrom(one.graph.initializer[0])
        one.graph.initializer[-1].name = f"w{number}"
    spill = tmp_path / "spill"
    spill.mkdir()
    load_source(one, tmp_path, spill)
    assert (spill / external.WEIGHTS_FILE).stat().st_size == external.SPILL_FROM_BYTES


def test_small_weights_that_name_one_file_do_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external, "MOST_SMALL_BYTES", 100)
    (tmp_path / "data").write_bytes(b"\0" * 12)
    model = with_external(tmp_path, location="data")
    model.graph.initializer.extend([model.graph.initializer[0]] * 40)
    source = load_source(model, tmp_path, tmp_path)
    assert sum(record.spilled is None for record in source.weights["w"]) == 8


def test_a_weight_of_the_wrong_length_stays_as_it_was(tmp_path: Path) -> None:
    model = model_of("g (float[2,3] x) => (float[2,3] y) { y = Add(x, w) }")
    raw = b"\0" * (external.SPILL_FROM_BYTES + 4)
    model.graph.initializer.append(TensorProto(name="w", data_type=1, dims=[7], raw_data=raw))
    (record,) = load_source(model, tmp_path, tmp_path).weights["w"]
    assert record.spilled is None
    assert len(record.encoded) > len(raw)


def test_the_skeleton_of_a_file_is_the_same_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("g (float[65536] x) => (float[65536] y) { a = Add(x, w) b = Mul(a, v) y = Sub(b, s) }")
    big, other = np.arange(1 << 16, dtype=np.float32), np.ones(1 << 16, np.float32)
    model.graph.initializer.extend([numpy_helper.from_array(big, "w"), numpy_helper.from_array(other, "v")])
    model.graph.initializer.append(numpy_helper.from_array(np.float32(3), "s"))
    path = tmp_path / "m.onnx"
    onnx.save(model, str(path))
    plain = OnnxProgram.of(load_source(read_model(path), tmp_path, tmp_path))
    monkeypatch.setattr(front, "WORTH_FROM_BYTES", 1)
    assert len(skeleton.skeleton_of(path)) < 1000
    spill = tmp_path / "spill"
    spill.mkdir()
    lean = OnnxProgram.of(load_source(read_model(path), tmp_path, spill))
    assert lean.model_bytes(inline=True) == plain.model_bytes(inline=True)
    assert external.external_bytes(read_model(path), path) == 0
    for cut in (1, 100, 300_000):
        path.write_bytes(model.SerializeToString()[:-cut])
        with pytest.raises(UsageError, match="truncated"):
            read_model(path)


def test_names_that_are_no_text_are_refused() -> None:
    for raw in (b"Abs", b"float_name"):
        model = model_of("g (float[2,3] float_name) => (float[2,3] y) { y = Abs(float_name) }")
        broken = model.SerializeToString().replace(raw, b"\xff" * len(raw))
        with pytest.raises(UsageError, match="no UTF-8"):
            parse_model(broken, "m")


def test_a_file_of_empty_nodes_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    graph = b"\x0a\x00" * 600_000
    path = tmp_path / "m.onnx"
    path.write_bytes(wire.field(wire.MODEL_GRAPH, graph))
    with pytest.raises(UsageError, match="more than 500,000 nodes"):
        front.count_nodes(read_model(path))


def test_what_loading_may_allocate_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reducer.frontends.room.ROOM_BYTES", 1 << 26)
    with pytest.raises(UsageError, match="more than can be held"), bounded_memory(0, "m"):
        bytearray(1 << 28)
    assert len(bytearray(1 << 28)) == 1 << 28


@pytest.mark.parametrize("dims", [[1 << 40, 1 << 40], [100_000, 100_000], [1] * 65, [0, 1 << 62]])
def test_inputs_that_nobody_can_make_are_not_made(tmp_path: Path, dims: list[int]) -> None:
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, dims)
    with pytest.raises(EditConflict, match="too big"):
        FeedBook(tmp_path / "f.bin").make("x", kind)


def test_containers_in_one_another_are_not_fed(tmp_path: Path) -> None:
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, [2])
    for _ in range(40):
        kind = helper.make_sequence_type_proto(kind)
    with pytest.raises(EditConflict, match="nested too deep"):
        FeedBook(tmp_path / "f.bin").make("x", kind)


@pytest.mark.parametrize("version", [-3, 0, 999, 1 << 62])
def test_any_version_of_an_opset_is_loaded(tmp_path: Path, version: int) -> None:
    model = model_of(PLAIN)
    model.opset_import[0].version = version
    program = OnnxProgram.of(load_source(model, tmp_path, tmp_path))
    assert onnx.ModelProto.FromString(program.model_bytes()).opset_import[0].version == version


def doubling(count: int, last: str = "Abs") -> OnnxSource:
    """Functions of which each calls the next one twice."""
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    model = model_of('g (float[2] x) => (float[2] y) { y = Abs(x) }')  # fmt: skip
    model.opset_import.append(imports[1])
    del model.graph.node[:]
    model.graph.node.append(helper.make_node("f0", ["x"], ["y"], domain="f"))
    for number in range(count):
        inner = f"f{number + 1}"
        body = [helper.make_node(inner, ["a"], ["b"], domain="f"), helper.make_node(inner, ["b"], ["c"], domain="f")]
        if number == count - 1:
            body = [helper.make_node(last, ["a"], ["c"], domain="f" if last != "Abs" else "")]
        model.functions.append(helper.make_function("f", f"f{number}", ["a"], ["c"], body, imports))
    return load_source(model, None, Path())


def test_functions_are_inlined_only_when_the_result_is_bearable() -> None:
    assert function_sizes(doubling(5))["f", "f0"] == 16
    assert can_inline(OnnxProgram.of(doubling(5)))
    assert function_sizes(doubling(31))["f", "f0"] == 1 << 30
    assert not can_inline(OnnxProgram.of(doubling(31)))
    recursive = doubling(3, last="f1")
    assert ("f", "f1") not in function_sizes(recursive)
    assert not can_inline(OnnxProgram.of(recursive))


def test_a_file_beyond_the_protobuf_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    with open(path, "wb") as stream:
        stream.truncate((1 << 31) + 10)  # a hole: it takes no disk
    with pytest.raises(UsageError, match="more than 2 GB"):
        read_model(path)
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(UsageError, match="no regular file"):
        read_model(tmp_path / "pipe.onnx")


def test_a_cycle_and_a_name_defined_twice_stay_as_they_are(tmp_path: Path) -> None:
    program = program_of("g (float[2] x) => (float[2] a) { a = Abs(b) b = Abs(a) a = Neg(x) }", tmp_path)
    kept = onnx.ModelProto.FromString(program.restrict(frozenset({0, 1, 2})).model_bytes())
    assert [list(node.output) for node in kept.graph.node] == [["a"], ["b"], ["a"]]
