"""onnx#7298: shape inference of OneHotEncoder dies when the type of its input is unknown."""

import onnx
from onnx import TensorProto, helper

value = helper.make_tensor_value_info
nodes = [
    helper.make_node("CustomIdentity", ["x"], ["y"], domain="my"),
    helper.make_node("OneHotEncoder", ["y"], ["z"], domain="ai.onnx.ml", cats_int64s=[0, 1, 2]),
]
graph = helper.make_graph(nodes, "g", [value("x", TensorProto.INT64, ["N"])], [value("z", TensorProto.FLOAT, ["N", 3])])
opsets = [helper.make_opsetid("", 17), helper.make_opsetid("my", 1), helper.make_opsetid("ai.onnx.ml", 3)]
model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
onnx.checker.check_model(model, full_check=True)
