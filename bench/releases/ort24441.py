"""onnxruntime#24441: EyeLike to bool has no kernel."""

import sys

import numpy as np
from _two_levels import model, run

try:
    run(
        model(
            """<ir_version: 8, opset_import: ["" : 13]> g (float[3,3] x) => (bool[3,3] y) { y = EyeLike<dtype = 9>(x) }"""
        ),
        {"x": np.zeros((3, 3), np.float32)},
        "ORT_DISABLE_ALL",
    )
except Exception as error:
    print(error)
    sys.exit(1 if "EyeLike" in str(error) else 125)
