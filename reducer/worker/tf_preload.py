"""What the zygote imports for a TensorFlow source: seconds of CPU once, instead of in every worker.

Importing makes no session, no eager tensor and no thread pool of TensorFlow's: those begin at first use, in the
forked worker. Measured with TensorFlow 2.21: conversions and runs in three forks at once give the same results.
"""

from __future__ import annotations

import contextlib
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

with contextlib.suppress(ImportError):
    import keras  # noqa: F401
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401
    import tensorflow as tf
    import tf2onnx.convert  # noqa: F401

    # TensorFlow imports most of itself at first use.
    _ = (tf.function, tf.compat.v1.Session, tf.graph_util, tf.nest, tf.saved_model, tf.raw_ops.Relu, tf.lite)
