"""onnxruntime#28348: ReshapeFusion drops allowzero."""

import numpy as np
from _two_levels import judge, model

judge(
    model("""<ir_version: 8, opset_import: ["" : 18]> g (float[0,6,2] x) => (float[a,b,c] y)
    <int64[3] a = {3, 2, -1}, int64[3] b = {0, 0, 3}> {
        m = Reshape(x, a)
        y = Reshape<allowzero = 1>(m, b)
    }"""),
    {"x": np.zeros((0, 6, 2), np.float32)},
)
