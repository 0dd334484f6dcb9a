"""What the scripts beside this share: one model under two optimization levels, exit codes as for `git bisect run`."""

import sys

import numpy as np
import onnx.parser
import onnxruntime as ort


def model(text):
    return onnx.parser.parse_model(text)


def run(model, feeds, level):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def judge(model, feeds, tolerance=1e-4):
    """Exit 125 when the release cannot run the model plainly, 1 when it fails or differs with optimizations."""
    try:
        plain = run(model, feeds, "ORT_DISABLE_ALL")
    except Exception as error:
        print("cannot tell:", error)
        sys.exit(125)
    try:
        fast = run(model, feeds, "ORT_ENABLE_ALL")
    except Exception as error:
        print("fails:", error)
        sys.exit(1)
    same = all(a.shape == b.shape and np.allclose(a, b, atol=tolerance) for a, b in zip(plain, fast))
    print("same" if same else "differs")
    sys.exit(0 if same else 1)
