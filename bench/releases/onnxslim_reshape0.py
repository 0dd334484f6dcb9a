"""onnxslim merges two Reshapes although the second copies a dimension (as in onnx/optimizer#171)."""

from _rewriters import judge


def rewriter():
    import onnxslim

    return onnxslim.slim


judge(rewriter)
