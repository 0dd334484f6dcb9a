"""Models of more than 2 GB: what the parent holds, what is written, and that the result is still the same failure."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import NodeProto, TensorProto, helper

from tests.conftest import ROOT

WEIGHTS, SIDE = 10, 8192
BYTES = SIDE * SIDE * 4
# The bar is the size of the model and 500 MB; weights pass through in chunks, so it is none of the size.
MOST_MEGABYTES = 250
NEEDED_DISK = 12 << 30

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.disk_usage("/tmp").free < NEEDED_DISK, reason="needs 12 GB of disk"),
]


def save_large(folder: Path, nodes: list[NodeProto], output: str) -> Path:
    """Ten weights of 256 MB in one file with a hole for its content."""
    weights = []
    for number in range(WEIGHTS):
        tensor = TensorProto(name=f"w{number}", data_type=1, dims=[SIDE, SIDE], data_location=TensorProto.EXTERNAL)
        for key, text in (("location", "w.bin"), ("offset", str(number * BYTES)), ("length", str(BYTES))):
            tensor.external_data.add(key=key, value=text)
        weights.append(tensor)
    with open(folder / "w.bin", "wb") as stream:
        stream.truncate(WEIGHTS * BYTES)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [value("x", 1, [1, SIDE])], [value(output, 1, None)], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return folder / "m.onnx"


def reduce(model: Path) -> tuple[dict[str, object], int]:
    """(finding.json, peak MB of the parent alone)."""
    code = "import resource, sys; from reducer.cli import main; c = main(); "
    code += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10); sys.exit(c)"
    ended = subprocess.run(
        [sys.executable, "-c", code, model.name, "-q"],
        cwd=model.parent, capture_output=True, text=True, check=False, env=dict(os.environ, PYTHONPATH=str(ROOT)),
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    finding = json.loads((model.parent / "m.reduced" / "finding.json").read_text())
    return finding, int(ended.stdout.splitlines()[-1])


def test_weights_that_are_not_needed_leave_no_trace(tmp_path: Path) -> None:
    nodes, last = [], "x"
    for number in range(WEIGHTS):
        nodes.append(helper.make_node("MatMul", [last, f"w{number}"], [f"m{number}"]))
        last = f"m{number}"
        if number == WEIGHTS // 2:
            nodes.append(helper.make_node("NoSuchOperator", [last], ["bad"]))
            last = "bad"
    finding, peak = reduce(save_large(tmp_path, nodes, last))
    assert finding["source"]["bytes"] > WEIGHTS * BYTES  # type: ignore[index]
    assert finding["reduced"]["op_types"] == {"NoSuchOperator": 1}  # type: ignore[index]
    assert finding["reduced"]["bytes"] < 1000  # type: ignore[index]
    assert peak < MOST_MEGABYTES


def test_weights_that_are_needed_lie_beside_the_result(tmp_path: Path) -> None:
    every = [f"w{number}" for number in range(WEIGHTS)]
    nodes = [helper.make_node("NoSuchOperator", ["x", *every], ["a"]), helper.make_node("Abs", ["a"], ["y"])]
    finding, peak = reduce(save_large(tmp_path, nodes, "y"))
    out = tmp_path / "m.reduced"
    files = [out / "reduced.onnx", out / "reduced.onnx.data"]
    assert finding["reduced"]["bytes"] == sum(file.stat().st_size for file in files)  # type: ignore[index]
    assert finding["reduced"]["bytes"] > WEIGHTS * BYTES  # type: ignore[index]
    assert finding["reduced"]["reproduced"] == "3/3"  # type: ignore[index]
    kept = onnx.load(str(files[0]), load_external_data=False)
    assert [node.op_type for node in kept.graph.node] == ["NoSuchOperator"]
    assert peak < MOST_MEGABYTES
