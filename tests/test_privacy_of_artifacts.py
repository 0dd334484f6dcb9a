"""Nothing of the source is left in what is meant to be shared: every such file is searched for planted secrets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from reducer.delivery import Place, deliver
from reducer.finding import Finding
from reducer.progress import Progress
from reducer.sessions.onnx import OnnxSession
from reducer.settings import Settings

# What belongs to the user alone, their own CI included; everything else is made to be shared.
PRIVATE = ("finding.json", "log.jsonl", "report.html", "private", "also_found", "ci")
SECRET = "planted"
NUMBER = 0.7312549


def secretive(nodes: list[onnx.NodeProto], elem_type: int, functions: list[onnx.FunctionProto]) -> onnx.ModelProto:
    """A model around `nodes` (from planted_x to planted_y) with a secret in every place that takes text."""
    shape = ["planted_batch", 3]
    value = helper.make_tensor_value_info
    first = helper.make_node("Mul", ["planted_in", "planted_weight"], ["planted_x"])
    last = helper.make_node("Neg", ["planted_y"], ["planted_out"])
    everything = [first, *nodes, last]
    for number, node in enumerate(everything):
        node.name = f"planted/encoder/layer.{number}"
        node.doc_string = "planted doc"
        node.metadata_props.add(key="pkg.torch.onnx.stack_trace", value='File "/home/planted/net.py", line 3')
    weight = numpy_helper.from_array(
        np.full(3, NUMBER).astype(helper.tensor_dtype_to_np_dtype(elem_type)), "planted_weight"
    )
    weight.doc_string = "planted weight"
    graph = helper.make_graph(
        everything, "planted_graph", [value("planted_in", elem_type, shape, "planted input")],
        [value("planted_out", elem_type, shape)], [weight], "planted graph doc",
    )  # fmt: skip
    graph.metadata_props.add(key="planted", value="planted")
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("planted.domain", 1)]
    model = helper.make_model(
        graph, producer_name="planted", producer_version="planted", domain="planted", doc_string="planted",
        opset_imports=opsets, functions=functions, ir_version=10,
    )  # fmt: skip
    helper.set_model_props(model, {"planted_key": "planted_value"})
    return model


def no_kernel_in_a_function() -> onnx.ModelProto:
    inner = helper.make_node("Elu", ["planted_a"], ["planted_b"], name="planted_elu")
    function = helper.make_function(
        "planted.domain", "PlantedBlock", ["planted_a"], ["planted_b"], [inner], [helper.make_opsetid("", 17)]
    )
    call = helper.make_node("PlantedBlock", ["planted_x"], ["planted_y"], domain="planted.domain")
    return secretive([call], TensorProto.DOUBLE, [function])


def impossible_reshape_at_run() -> onnx.ModelProto:
    shape = helper.make_node("Constant", [], ["planted_shape"], value_ints=[5, 7])
    reshape = helper.make_node("Reshape", ["planted_x", "planted_shape"], ["planted_y"])
    return secretive([shape, reshape], TensorProto.FLOAT, [])


def branches_of_two_types() -> onnx.ModelProto:
    """Bodies that have to stay: one branch gives floats, the other integers."""
    value = helper.make_tensor_value_info
    then = helper.make_graph(
        [helper.make_node("Abs", ["planted_x"], ["planted_a"], name="planted_inner"),
         helper.make_node("Tanh", ["planted_a"], ["planted_p"])],
        "planted_then", [], [value("planted_p", TensorProto.FLOAT, None)],
    )  # fmt: skip
    other = helper.make_graph(
        [helper.make_node("Cast", ["planted_x"], ["planted_q"], to=TensorProto.INT64)],
        "planted_else", [], [value("planted_q", TensorProto.INT64, None)],
    )  # fmt: skip
    condition = helper.make_node("Constant", [], ["planted_c"], value=numpy_helper.from_array(np.array(True)))
    choice = helper.make_node("If", ["planted_c"], ["planted_y"], then_branch=then, else_branch=other)
    return secretive([condition, choice], TensorProto.FLOAT, [])


def delivered(model: onnx.ModelProto, folder: Path, **options: object) -> tuple[Finding, Path]:
    home = folder / "planted_home"
    home.mkdir()
    onnx.save(model, str(home / "planted_model.onnx"))
    np.savez(home / "planted.npz", planted_in=np.full((2, 3), NUMBER, np.float32))
    quiet = Progress()
    settings = Settings(output=folder / "out", **options)  # type: ignore[arg-type]
    with OnnxSession(settings, str(home / "planted_model.onnx"), quiet, quiet.say) as session:
        finding = session.run()
        assert session.workspace is not None
        finding = deliver(finding, session.workspace, Place(session.host.folder), session.completed)
    return finding, folder / "out"


def leaks(folder: Path) -> list[str]:
    """Files that hold a secret, or the number of the weights in any dtype."""
    numbers = [np.array(NUMBER, dtype).tobytes() for dtype in (np.float16, np.float32, np.float64)]
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if name.split("/")[0] in PRIVATE:
            continue
        raw = path.read_bytes()
        if SECRET.encode() in raw.lower() or any(number in raw for number in numbers) or b"0.731" in raw:
            found.append(name)
    return found


@pytest.mark.parametrize("make", [no_kernel_in_a_function, impossible_reshape_at_run])
def test_no_secret_is_left(make: object, tmp_path: Path) -> None:
    finding, out = delivered(make(), tmp_path)  # type: ignore[operator]
    assert finding.status == "reduced"
    assert finding.reduced is not None
    assert finding.reduced.nodes == 1
    assert finding.reduced.original_values in ({}, {"b": "the failure needs them"})  # 5 and 7 of the Reshape
    assert leaks(out) == []
    script = next(artifact for artifact in finding.artifacts if artifact.kind == "repro_script")
    assert script.verified == "3/3"


def test_no_secret_is_left_in_bodies_that_stay(tmp_path: Path) -> None:
    finding, out = delivered(branches_of_two_types(), tmp_path)
    assert finding.reduced is not None
    assert "If" in finding.reduced.op_types
    assert leaks(out) == []


def test_the_table_of_names_is_private_and_complete(tmp_path: Path) -> None:
    _, out = delivered(impossible_reshape_at_run(), tmp_path)
    told = json.loads((out / "private" / "names.json").read_text())
    assert told["private"] is True
    assert "planted_x" in told["names"].values()
    model = onnx.load(str(out / "reduced.onnx"))
    names = {name for node in model.graph.node for name in (*node.input, *node.output)}
    assert names - {""} <= set(told["names"])


def test_the_search_for_leaks_finds_some(tmp_path: Path) -> None:
    _, out = delivered(impossible_reshape_at_run(), tmp_path, keep_names=True, keep_weights=True)
    assert "reduced.onnx" in leaks(out)
    assert not (out / "private").exists()
