"""Pad_Fusion: a Pad with 0 is not the padding of MaxPool, which is minus infinity."""

import numpy as np
from _two_levels import judge, model

judge(
    model("""<ir_version: 8, opset_import: ["" : 17]> g (float[1,1,4,4] x) => (float[n,c,h,w] y)
    <int64[8] p = {0, 0, 1, 1, 0, 0, 1, 1}> {
        q = Pad(x, p)
        y = MaxPool<kernel_shape = [2, 2]>(q)
    }"""),
    {"x": -np.arange(1, 17, dtype=np.float32).reshape(1, 1, 4, 4)},
)
