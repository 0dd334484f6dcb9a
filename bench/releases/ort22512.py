"""onnxruntime#22512: MatMulBNFusion makes a Gemm from a MatMul of rank 3."""

import numpy as np
from _two_levels import judge, model

ones = ", ".join(["1.5"] * 6)
weights = ", ".join(f"{(i % 7) / 7:.3f}" for i in range(24))
judge(
    model(f"""<ir_version: 8, opset_import: ["" : 17]> g (float[2,3,4] x) => (float[2,6,3] y)
    <float[4,6] W = {{{weights}}}, float[6] s = {{{ones}}}, float[6] b = {{{ones}}}, float[6] m = {{{ones}}},
     float[6] v = {{{ones}}}> {{
        mm = MatMul(x, W)
        t = Transpose<perm = [0, 2, 1]>(mm)
        y = BatchNormalization(t, s, b, m, v)
    }}"""),
    {"x": np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 24},
)
