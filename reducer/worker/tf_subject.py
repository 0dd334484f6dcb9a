"""An opened TensorFlow source (child side): its inputs, how TensorFlow runs it, how entry points are called on it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Entry = Callable[[dict[str, Any]], Any]


class Refused(Exception):
    """What the user gave does not fit; `hint` says what to type next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Input:
    """One input: name, numpy dtype name, and shape with None for what is not fixed; None when even the rank is."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None


@dataclass
class Subject:
    """An opened source. `run` gives TensorFlow's own outputs, in order; `entries` the entry points that fit, the
    usual one first; each takes {"opset", "inputs_as_nchw", "outputs_as_nchw"} that are set."""

    inputs: list[Input]
    run: Callable[[Sequence[Any]], list[Any]]
    entries: dict[str, Entry]
    given: list[Any] | None = None
    keras_model: Any = None
    output_names: list[str] = field(default_factory=list)
    # Entry points that raise what a handler raises, as tf2onnx's command line does.
    raises: frozenset[str] = frozenset({"saved_model"})
    # What the ladder must know of it, as settings of tf_ladder.climb: "steps", "run".
    traits: dict[str, Any] = field(default_factory=dict)


def tensors_of(values: Sequence[Any], inputs: list[Input]) -> list[Any]:
    """The values as TensorFlow tensors of the declared types."""
    import tensorflow as tf

    return [
        tf.constant(value, dtype=i.dtype if i.dtype != "str" else tf.string)
        for value, i in zip(values, inputs, strict=True)
    ]


def input_of(spec: Any, fallback: str) -> Input:
    """From a tf.TensorSpec."""
    return Input(spec.name or fallback, numpy_name(spec.dtype), shape_of(spec.shape))


def numpy_name(dtype: Any) -> str:
    """The numpy dtype of a TensorFlow one; "str" for strings."""
    import tensorflow as tf

    kind = tf.as_dtype(dtype)
    return "str" if kind == tf.string else str(kind.name)


def shape_of(shape: Any) -> tuple[int | None, ...] | None:
    """None per unknown dim, None as a whole without a rank."""
    import tensorflow as tf

    known = tf.TensorShape(shape)
    return None if known.rank is None else tuple(known.as_list())


def quiet() -> None:
    """TensorFlow talks on stderr while it starts."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    # The machine has other work; refused once TensorFlow has begun, which is then as it was set before.
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
