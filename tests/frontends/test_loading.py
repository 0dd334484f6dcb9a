"""Everything that onnx reads: text, external data, sparse weights, odd types, test-data folders."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from reducer.errors import EditConflict, UsageError
from reducer.feeds import FeedBook
from reducer.finding import Finding
from reducer.frontends.given import read_given
from reducer.frontends.onnx import count_nodes
from reducer.progress import Progress
from reducer.sessions.onnx import OnnxSession
from reducer.settings import Settings
from tests.models import chain_text, model_of, program_of, source_of

value = helper.make_tensor_value_info


def run(path: Path, **options: object) -> Finding:
    quiet = Progress()
    with OnnxSession(Settings(output=path.parent / "out", **options), str(path), quiet, quiet.say) as session:  # type: ignore[arg-type]
        return session.run()


def test_a_textual_model(tmp_path: Path) -> None:
    path = tmp_path / "m.onnxtxt"
    text = "g (double[3] x) => (double[3] y) { a = Abs(x) b = Elu(a) y = Neg(b) }"
    path.write_text(f'<ir_version: 8, opset_import: ["" : 17]>\n{text}')
    finding = run(path)
    assert finding.reduced is not None
    assert dict(finding.reduced.op_types) == {"Elu": 1}


@pytest.mark.parametrize("size", [8, 1 << 17])
def test_external_data_small_and_big(tmp_path: Path, size: int) -> None:
    model = model_of(f"g (double[{size}] x) => (double[{size}] y) {{ a = Add(x, w) b = Elu(a) y = Mul(b, w) }}")
    model.graph.initializer.append(numpy_helper.from_array(np.ones(size), "w"))
    path = tmp_path / "m.onnx"
    onnx.save(model, str(path), save_as_external_data=True, location="w.bin", size_threshold=0)
    finding = run(path)
    assert finding.source.bytes >= 8 * size
    assert finding.reduced is not None
    assert dict(finding.reduced.op_types) == {"Elu": 1}


def test_a_failure_that_needs_the_big_weight_keeps_it(tmp_path: Path) -> None:
    model = model_of("g (float[131072] x, int64[1] s) => (float[N] y) { a = Add(x, w) y = Reshape(a, s) }")
    model.graph.initializer.append(numpy_helper.from_array(np.ones(1 << 17, np.float32), "w"))
    onnx.save(model, str(tmp_path / "m.onnx"))
    np.savez(tmp_path / "in.npz", x=np.ones(1 << 17, np.float32), s=np.array([7]))
    finding = run(tmp_path / "m.onnx", inputs=tmp_path / "in.npz")
    assert finding.failure is not None
    assert finding.failure.stage == "run"
    assert finding.reduced is not None
    assert dict(finding.reduced.op_types) == {"Reshape": 1}


def test_sparse_weights(tmp_path: Path) -> None:
    model = model_of("g (double[4] x) => (double[4] y) { a = Add(x, w) b = Elu(a) y = Neg(b) }")
    values = helper.make_tensor("w", TensorProto.DOUBLE, [1], [3.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [2])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))
    program = program_of(model, tmp_path)
    kept = onnx.ModelProto.FromString(program.restrict(frozenset({0})).model_bytes())
    assert len(kept.graph.sparse_initializer) == 1


def test_a_test_data_folder_gives_inputs_by_position(tmp_path: Path) -> None:
    folder = tmp_path / "test_data_set_0"
    folder.mkdir()
    for number, array in enumerate((np.ones(3, np.float32), np.array([9]))):
        tensor = numpy_helper.from_array(array)
        (folder / f"input_{number}.pb").write_bytes(tensor.SerializeToString())
    read = read_given(folder, ["x", "s"], "input")
    assert list(read) == ["x", "s"]
    assert read["s"][0] == 9
    with pytest.raises(UsageError, match="output_N"):
        read_given(folder, ["y"], "expected")


def test_symbolic_dims_come_from_the_options_and_from_given_inputs(tmp_path: Path) -> None:
    text = "g (double[batch,3] x) => (double[batch,3] y) { a = Elu(x) y = Neg(a) }"
    onnx.save(model_of(text), str(tmp_path / "m.onnx"))
    finding = run(tmp_path / "m.onnx", dim=("batch=5",))
    assert finding.status == "reduced"
    program = program_of(text, tmp_path)
    book = FeedBook(tmp_path / "f.bin", dims={"batch": 5})
    assert book.feeds_of(program)["x"].summary == ("float64", (5, 3))
    book = FeedBook(tmp_path / "f.bin")
    book.shapes["x"] = (7, 3)
    assert book.feeds_of(program)["x"].summary == ("float64", (7, 3))


@pytest.mark.parametrize(
    ("elem", "check"),
    [
        (TensorProto.STRING, lambda v: isinstance(v[0], str)),
        (TensorProto.BFLOAT16, lambda v: v.dtype == ml_dtypes.bfloat16),
        (TensorProto.FLOAT8E5M2, lambda v: v.dtype == ml_dtypes.float8_e5m2),
        (TensorProto.BOOL, lambda v: v.dtype == np.bool_),
        (TensorProto.COMPLEX64, lambda v: v.dtype == np.complex64),
        (TensorProto.INT64, lambda v: (v > 0).all() and (v < 3).all()),
    ],
)
def test_seeded_feeds_are_legal_for_their_type(tmp_path: Path, elem: int, check: object) -> None:
    book = FeedBook(tmp_path / "f.bin", seed=3)
    kind = helper.make_tensor_type_proto(elem, [4])
    made = book.make("x", kind)
    assert callable(check)
    assert check(made)
    assert np.array_equal(made, FeedBook(tmp_path / "g.bin", seed=3).make("x", kind))


def test_containers_are_fed_and_packed_types_are_not(tmp_path: Path) -> None:
    book = FeedBook(tmp_path / "f.bin")
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, [2])
    assert len(book.make("s", helper.make_sequence_type_proto(tensor))) == 2
    assert book.make("o", helper.make_optional_type_proto(tensor)).shape == (2,)
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "g", [value("x", TensorProto.INT4, [2])],
        [value("y", TensorProto.INT4, [2])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    with pytest.raises(EditConflict, match="int4"):
        book.feeds_of(program_of(model, tmp_path))


def test_indices_stay_inside_a_short_axis(tmp_path: Path) -> None:
    text = "g (float[1,3] x, int64[5] i) => (float[5,3] y) { y = Gather(x, i) }"
    book = FeedBook(tmp_path / "f.bin")
    program = program_of(text, tmp_path)
    book.study(program.source)
    assert (book.feeds_of(program)["i"].read() == 0).all()


def test_nodes_are_counted_in_bodies_and_functions(tmp_path: Path) -> None:
    assert count_nodes(model_of(chain_text(7))) == 7
    assert len(source_of(model_of(chain_text(7)), tmp_path).nodes) == 7
