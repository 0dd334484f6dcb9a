"""onnxruntime PR#32609: the input of a Loop body is an initializer too; the process aborts."""

import numpy as np
from _two_levels import run
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
value = helper.make_tensor_value_info
body = helper.make_graph(
    [helper.make_node("Identity", ["ci"], ["co"]), helper.make_node("Add", ["si", "si"], ["so"])],
    "b",
    [value("it", INT64, []), value("ci", BOOL, []), value("si", FLOAT, [1])],
    [value("co", BOOL, []), value("so", FLOAT, [1])],
    [numpy_helper.from_array(np.ones(1, np.float32), "si")],
)
loop = helper.make_node("Loop", ["M", "c", "x"], ["y"], body=body)
inputs = [value("M", INT64, []), value("c", BOOL, []), value("x", FLOAT, [1])]
model = helper.make_model(
    helper.make_graph([loop], "g", inputs, [value("y", FLOAT, [1])]),
    opset_imports=[helper.make_opsetid("", 17)],
    ir_version=8,
)
try:
    run(model, {"M": np.array(2), "c": np.array(True), "x": np.ones(1, np.float32)}, "ORT_ENABLE_ALL")
except Exception as error:  # a clean refusal is the cure
    print("refused:", error)
