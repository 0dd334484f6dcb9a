"""onnxruntime#17392: folding a Constant of strings throws."""

import sys

from _two_levels import run
from onnx import TensorProto, helper

nodes = [helper.make_node("Constant", [], ["c"], value_strings=["a"]), helper.make_node("Identity", ["c"], ["y"])]
graph = helper.make_graph(nodes, "g", [], [helper.make_tensor_value_info("y", TensorProto.STRING, [1])])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
try:
    run(model, {}, "ORT_ENABLE_ALL")
except Exception as error:
    print(error)
    sys.exit(1)
