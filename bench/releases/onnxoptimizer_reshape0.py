"""onnxoptimizer merges two Reshapes although the second copies a dimension (as in onnx/optimizer#171)."""

from _rewriters import judge


def rewriter():
    import onnxoptimizer

    passes = onnxoptimizer.get_fuse_and_elimination_passes()
    return lambda model: onnxoptimizer.optimize(model, passes)


judge(rewriter)
