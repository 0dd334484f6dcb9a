"""onnxruntime#28491: a constant int8 DequantizeLinear without zero point is folded as if it were uint8."""

from _two_levels import judge, model

judge(
    model("""<ir_version: 8, opset_import: ["" : 18]> g () => (float[2,2] y)
    <int8[4] q = {12, -45, 7, -3}, float s = {0.02}, int64[2] p = {2, 2}> {
        w = DequantizeLinear(q, s)
        y = Reshape(w, p)
    }"""),
    {},
)
