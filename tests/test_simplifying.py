"""The stages behind the node phase in whole runs: what they reach, how often they ask, what they must not touch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from reducer.finding import Finding
from reducer.progress import Progress
from reducer.sessions.onnx import OnnxSession
from reducer.settings import Settings
from tests.models import chain_text, model_of

RESHAPE = """g (float[N,4,2] x) => (float[5,7] y) <int64[2] s = {5,7}> {
  a = Abs(x) b = Tanh(a) y = Reshape(b, s) z = Neg(y)
}"""


def reduced(model: onnx.ModelProto, folder: Path, **options: object) -> tuple[Finding, onnx.ModelProto, Path]:
    folder.mkdir(exist_ok=True)
    onnx.save(model, str(folder / "m.onnx"))
    quiet = Progress()
    with OnnxSession(Settings(output=folder / "o", **options), str(folder / "m.onnx"), quiet, quiet.say) as session:  # type: ignore[arg-type]
        finding = session.run()
        assert session.workspace is not None
        return finding, onnx.load(str(session.workspace.folder / "reduced.onnx")), session.workspace.folder


def simplifying_calls(finding: Finding) -> int:
    rows = list(finding.search.passes)
    start = next(i for i, row in enumerate(rows) if row["pass"] == "open form")
    return sum(row["calls"] for row in rows[start:])


def test_equal_bugs_in_different_models_end_as_equal_bytes(tmp_path: Path) -> None:
    hashes = set()
    for number, (length, position) in enumerate([(30, 12), (7, 2), (90, 71)]):
        model = model_of(chain_text(length, {position: "Elu"}).replace("float[2,3]", f"double[{number + 2},3]"))
        model.producer_name = f"maker {number}"
        finding, small, _ = reduced(model, tmp_path / str(number))
        assert [node.op_type for node in small.graph.node] == ["Elu"]
        assert finding.reduced is not None
        hashes.add(finding.reduced.canonical_sha256)
    assert len(hashes) == 1


@pytest.mark.parametrize(("name", "stays"), [("vg_h", True), ("encoder_hidden", False)])
def test_a_name_stays_where_the_message_speaks_of_it_and_it_tells_nothing(
    name: str, stays: bool, tmp_path: Path
) -> None:
    # IsInf-10 takes no float16; ONNX Runtime's message names the tensor.
    text = f"g (float16[2] x) => (bool[2] y) {{ {name} = Abs(x) y = IsInf({name}) }}"
    finding, small, _ = reduced(model_of(text, 13), tmp_path / "a")
    assert [node.op_type for node in small.graph.node] == ["IsInf"]
    assert (small.graph.node[0].input[0] == name) == stays
    assert finding.reduced is not None
    assert "x" not in {value.name for value in small.graph.input}
    other, _, _ = reduced(model_of(text.replace(name, "quite_another"), 13), tmp_path / "b")
    assert other.reduced is not None
    assert other.reduced.canonical_sha256 == finding.reduced.canonical_sha256


def test_a_large_model_costs_no_more_calls_to_simplify_than_a_small_one(tmp_path: Path) -> None:
    calls = []
    for length in (10, 500):
        model = model_of(chain_text(length, {length // 2: "Elu"}).replace("float", "double"))
        finding, _, _ = reduced(model, tmp_path / str(length))
        calls.append(simplifying_calls(finding))
    assert calls[0] == calls[1] <= 12


def test_a_run_failure_keeps_what_it_needs(tmp_path: Path) -> None:
    finding, small, _ = reduced(model_of(RESHAPE), tmp_path)
    assert [node.op_type for node in small.graph.node] == ["Reshape"]
    assert finding.reduced is not None
    assert finding.reduced.reproduced == "3/3"
    assert finding.reduced.bytes < 110
    assert simplifying_calls(finding) <= 40
    onnx.checker.check_model(small, full_check=True)


def test_a_big_weight_becomes_small(tmp_path: Path) -> None:
    """A weight of 4 MB, spilled beside the candidates, ends as one number."""
    value = helper.make_tensor_value_info
    weight = numpy_helper.from_array(np.random.default_rng(1).standard_normal((512, 1024)), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["t"]), helper.make_node("Elu", ["t"], ["u"]),
         helper.make_node("Trilu", ["w"], ["v"]), helper.make_node("IsInf", ["v"], ["y"])],
        "g", [value("x", TensorProto.DOUBLE, [3, 512])],
        [value("u", TensorProto.DOUBLE, [3, 1024]), value("y", TensorProto.BOOL, [512, 1024])], [weight],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    finding, _, _ = reduced(model, tmp_path)
    assert finding.reduced is not None
    assert finding.reduced.bytes <= 200
    assert finding.reduced.original_values == {}


def test_weights_and_names_stay_on_request(tmp_path: Path) -> None:
    finding, small, folder = reduced(model_of(RESHAPE), tmp_path, keep_names=True, keep_weights=True)
    assert "y" in small.graph.node[-1].output
    assert numpy_helper.to_array(small.graph.initializer[0]).tolist() == [5, 7]
    assert finding.reduced is not None
    assert set(finding.reduced.original_values.values()) == {"kept on request"}
    assert not (folder / "private").exists()


def test_known_right_outputs_keep_the_inputs_that_they_belong_to(tmp_path: Path) -> None:
    """Nobody but the user knows what is right here: other inputs would prove nothing."""
    np.savez(tmp_path / "x.npz", x=np.array([1.5, -2.5], np.float32))
    np.savez(tmp_path / "right.npz", y=np.array([9.0, 9.0], np.float32))
    model = model_of("g (float[2] x) => (float[2] y) { a = Abs(x) y = Neg(a) }")
    finding, small, folder = reduced(
        model, tmp_path, inputs=tmp_path / "x.npz", expected=tmp_path / "right.npz", reference="none"
    )
    assert finding.reduced is not None
    assert finding.reduced.reproduced == "3/3"
    (name,) = (value.name for value in small.graph.output)
    assert np.load(folder / "expected.npz")[name].tolist() == [9.0, 9.0]
    assert "simple numbers" not in [row["pass"] for row in finding.search.passes]


def test_the_nearest_passing_neighbour_is_saved(tmp_path: Path) -> None:
    model = model_of(chain_text(5, {2: "Elu"}).replace("float", "double"))
    finding, small, folder = reduced(model, tmp_path)
    assert finding.contrast is not None
    assert finding.contrast.edit == "T: float64 -> float32"
    passing = onnx.load(str(folder / finding.contrast.path))
    assert passing.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    assert [value.name for value in passing.graph.input] == [value.name for value in small.graph.input]
    onnx.checker.check_model(passing, full_check=True)


def test_the_log_ends_with_statistics_of_the_passes(tmp_path: Path) -> None:
    finding, _, folder = reduced(model_of(RESHAPE), tmp_path)
    last = json.loads((folder / "log.jsonl").read_text().splitlines()[-1])
    assert last["passes"] == list(finding.search.passes)
    assert sum(row["calls"] for row in last["passes"]) == finding.search.oracle_calls
    assert all(row["seconds"] >= 0 for row in last["passes"])


@pytest.mark.parametrize("calls", [1, 4, 6])
def test_the_budget_of_the_user_holds_here_too(calls: int, tmp_path: Path) -> None:
    finding, _, _ = reduced(model_of(RESHAPE), tmp_path, budget_calls=calls)
    assert finding.status == "budget_exhausted"
    assert finding.search.oracle_calls == calls
    assert finding.reduced is not None
    assert finding.reduced.reproduced == "3/3"


def test_the_page_of_passes_is_that_of_the_registry() -> None:
    import runpy

    page = runpy.run_path(str(Path(__file__).resolve().parents[1] / "docs" / "passes.py"))
    assert page["PAGE"].read_text() == page["page"](), "run: python docs/passes.py"
