"""What the scripts for rewriters share: two Reshapes of which the second has a 0, before and after."""

import sys

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort

TEXT = """<ir_version: 8, opset_import: ["" : 17]> g (float[8,8] x) => (float[4,8,2] y)
<int64[2] a = {4, 16}, int64[3] b = {0, -1, 2}> {
    m = Reshape(x, a)
    y = Reshape(m, b)
}"""


def judge(rewriter):
    """`rewriter()` gives the function under test. Exit 1 when the rewritten model gives something else or nothing,
    125 when the tool itself cannot be had."""
    try:
        rewrite = rewriter()
    except Exception as error:
        print("cannot tell:", type(error).__name__, error)
        sys.exit(125)
    model = onnx.shape_inference.infer_shapes(onnx.parser.parse_model(TEXT))
    feeds = {"x": np.arange(64, dtype=np.float32).reshape(8, 8)}

    def run(model):
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        raw = model.SerializeToString()
        return ort.InferenceSession(raw, options, providers=["CPUExecutionProvider"]).run(None, feeds)[0]

    before = run(model)
    try:
        after = run(rewrite(model))
    except ImportError as error:
        print("cannot tell:", error)
        sys.exit(125)
    except Exception as error:
        print("fails:", error)
        sys.exit(1)
    same = before.shape == after.shape and bool((before == after).all())
    print("same" if same else f"differs: {before.shape} {after.shape}")
    sys.exit(0 if same else 1)
