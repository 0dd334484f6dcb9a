"""onnxsim merges two Reshapes although the second copies a dimension (as in onnx/optimizer#171)."""

from _rewriters import judge


def rewriter():
    import onnxsim

    return lambda model: onnxsim.simplify(model)[0]


judge(rewriter)
