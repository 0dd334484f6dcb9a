"""onnx-reduce: the engine and everything that runs a model. Import-light on purpose."""

__version__ = "0.1.0"
