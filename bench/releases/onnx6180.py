"""onnx#6180: shape inference of a Conv whose ranks do not match dies."""

import onnx
import onnx.parser

try:
    onnx.shape_inference.infer_shapes(
        onnx.parser.parse_model("""<ir_version: 9, opset_import: ["" : 11]>
        g (float[7,6,1,5] a, float b, float[7,2,3,2,1] c) => () {
            o = Conv<auto_pad = "NOTSET", group = 1>(a, b, c)
        }""")
    )
except onnx.shape_inference.InferenceError as error:  # a clean refusal is the cure
    print("refused:", error)
