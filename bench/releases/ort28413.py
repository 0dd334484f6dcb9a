"""onnxruntime#28413: common subexpression elimination throws on a string tensor attribute."""

import sys

import numpy as np
from _two_levels import judge
from onnx import TensorProto, helper


def strings(name, *values):
    return helper.make_tensor(name, TensorProto.STRING, [len(values)], [value.encode() for value in values])


node = helper.make_node(
    "LabelEncoder",
    ["x"],
    ["y"],
    domain="ai.onnx.ml",
    keys_tensor=strings("k", "a", "b"),
    values_tensor=strings("v", "c", "d"),
    default_tensor=strings("d", "z"),
)
value = helper.make_tensor_value_info
graph = helper.make_graph([node], "g", [value("x", TensorProto.STRING, [2])], [value("y", TensorProto.STRING, [2])])
opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 4)]
model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
try:
    judge(model, {"x": np.array(["a", "b"], object)})
except TypeError:  # strings came back well: there is nothing to compare within a tolerance
    sys.exit(0)
