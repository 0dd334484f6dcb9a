"""tf2onnx behind one adapter (child side): the public entry points, the conversion core, and what it logs.

tf2onnx's Python API swallows what a handler raises and only logs it; its command line raises it. Both log. So the
log is part of every observation, and the same fault is recognised through either.
"""

from __future__ import annotations

import contextlib
import logging
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from reducer.worker.tf_subject import Refused

_UNSUPPORTED = re.compile(r"Tensorflow op \[(.+): (\S+)\] is not supported")
_HANDLER = re.compile(r"Failed to convert node '?([^'\s]+)'?")
MOST_LOGGED = 200


@dataclass
class ConversionLog(logging.Handler):
    """What tf2onnx reported as errors while it converted: nodes without a handler, and what handlers raised."""

    unsupported: list[dict[str, str]] = field(default_factory=list)
    raised: list[dict[str, str]] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(logging.ERROR)

    def __hash__(self) -> int:  # logging keeps handlers in sets
        return id(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Sort one record."""
        text = record.getMessage()
        found = _UNSUPPORTED.search(text)
        if found:
            self.unsupported.append({"node": found.group(1), "op": found.group(2)})
        elif record.exc_info and record.exc_info[1] is not None and len(self.raised) < MOST_LOGGED:
            node = _HANDLER.search(text)
            self.raised.append({"node": node.group(1) if node else "", **described(record.exc_info[1])})
        elif len(self.other) < MOST_LOGGED and not text.startswith("Unsupported ops"):
            self.other.append(text[:500])

    def to_wire(self) -> dict[str, Any]:
        """JSON-ready."""
        # A TFLite node that its handler gave up on is said to have none a little later.
        failed = {error["node"] for error in self.raised if error["node"]}
        unsupported = [u for u in self.unsupported if u["node"] not in failed]
        return {"unsupported": unsupported[:MOST_LOGGED], "raised": self.raised, "other": self.other}


@contextlib.contextmanager
def listening() -> Iterator[ConversionLog]:
    """Collect what tf2onnx logs as errors; nothing is printed."""
    logger, log = logging.getLogger("tf2onnx"), ConversionLog()
    before, propagate = logger.level, logger.propagate
    logger.addHandler(log)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    try:
        yield log
    finally:
        logger.removeHandler(log)
        logger.setLevel(before)
        logger.propagate = propagate


def described(error: BaseException) -> dict[str, str]:
    """{error, message, frame}: `frame` is the innermost file:function of tf2onnx, no line number."""
    return {
        "error": type(error).__name__,
        "message": (str(error) or repr(error))[:3000],
        "frame": tf2onnx_frame(error.__traceback__),
    }


def tf2onnx_frame(trace: TracebackType | None) -> str:
    """file:function of the innermost frame that belongs to tf2onnx; empty when none does. Comprehensions are frames
    of their own in some versions of Python only: the function around them counts."""
    for frame in reversed(traceback.extract_tb(trace)):
        path = frame.filename.replace("\\", "/")
        if "/tf2onnx/" in path and not frame.name.startswith("<"):
            return f"tf2onnx/{path.rpartition('/tf2onnx/')[2]}:{frame.name}"
    return ""


@dataclass(frozen=True)
class How:
    """How a graph is converted. `optimizers` None: all of tf2onnx's; else those names. `without` are rewriters that
    are left out. `raises`: stop at the first handler that raises, as tf2onnx's command line does."""

    opset: int | None = None
    nchw_in: tuple[str, ...] = ()
    nchw_out: tuple[str, ...] = ()
    optimizers: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    raises: bool = False

    @staticmethod
    def from_wire(wire: Mapping[str, Any]) -> How:
        """From a request."""
        names = wire.get("optimizers")
        return How(
            wire.get("opset"),
            tuple(wire.get("nchw_in") or ()),
            tuple(wire.get("nchw_out") or ()),
            None if names is None else tuple(names),
            tuple(wire.get("without") or ()),
            bool(wire.get("raises")),
        )


@dataclass(frozen=True)
class Conversion:
    """What one conversion did: a model or the exception, the log, and how inputs and outputs are called in it."""

    model: bytes | None
    error: dict[str, str] | None
    log: ConversionLog
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    # The same as the converter's core was given them, where an entry point renamed them.
    tensors: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())


def attempt(convert: Callable[[], Any], names: Callable[[], tuple[list[str], list[str]]] | None = None) -> Conversion:
    """Run `convert` -> model or (model, storage); whatever it raises is data."""
    with listening() as log:
        try:
            made = convert()
        except (MemoryError, Refused):
            raise
        except Exception as error:  # noqa: BLE001 - the converter is a system under test
            return Conversion(None, described(error), log, *_named(names))
    model = made[0] if isinstance(made, tuple) else made
    inputs, outputs = _named(names)
    weights = {weight.name for weight in model.graph.initializer}
    # TFLite and a caller that names nothing: the model's own order.
    inputs = inputs or tuple(item.name for item in model.graph.input if item.name not in weights)
    outputs = outputs or tuple(item.name for item in model.graph.output)
    return Conversion(model.SerializeToString(), None, log, inputs, outputs)


def _named(names: Callable[[], tuple[list[str], list[str]]] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    inputs, outputs = names() if names is not None else ([], [])
    return tuple(inputs), tuple(outputs)


def convert_graph(
    graph: Any, inputs: list[str], outputs: list[str], how: How, tables: Mapping[str, Any] | None = None
) -> Conversion:
    """The conversion core on a frozen GraphDef, without a second pass of grappler: names end in ":0"."""
    from tf2onnx import convert as public
    from tf2onnx.optimizer import _get_optimizers

    known = _get_optimizers()
    chosen = None if how.optimizers is None else {name: known[name] for name in how.optimizers if name in known}

    def run() -> Any:
        import tensorflow as tf

        with tf.device("/cpu:0"), without_rewriters(how.without):
            return public._convert_common(
                graph,
                name="graph",
                continue_on_error=not how.raises,
                opset=how.opset,
                input_names=inputs,
                output_names=outputs,
                inputs_as_nchw=[name for name in how.nchw_in if name in inputs] or None,
                outputs_as_nchw=[name for name in how.nchw_out if name in outputs] or None,
                tensors_to_rename=None,
                initialized_tables=dict(tables) if tables else None,
                optimizers=chosen,
            )

    return attempt(run, lambda: (inputs, outputs))


@contextlib.contextmanager
def without_rewriters(names: tuple[str, ...]) -> Iterator[None]:
    """Leave these rewriters out, by function name. tf2onnx has no switch for them."""
    if not names:
        yield
        return
    from tf2onnx import tfonnx

    original = tfonnx.run_rewriters

    def fewer(graph: Any, functions: list[Any], go_on: Any) -> None:
        original(graph, [f for f in functions if f.__name__ not in names], go_on)

    tfonnx.run_rewriters = fewer
    try:
        yield
    finally:
        tfonnx.run_rewriters = original


@contextlib.contextmanager
def seen_rewriters(seen: list[str]) -> Iterator[None]:
    """Write down the names of the rewriters that run, in order."""
    from tf2onnx import tfonnx

    original = tfonnx.run_rewriters

    def noting(graph: Any, functions: list[Any], go_on: Any) -> None:
        seen.extend(f.__name__ for f in functions if f.__name__ not in seen)
        original(graph, functions, go_on)

    tfonnx.run_rewriters = noting
    try:
        yield
    finally:
        tfonnx.run_rewriters = original


@dataclass
class Captured:
    """The frozen graph that a public entry point handed to the conversion core, and with what; `graph` stays None
    when the entry point failed before that. `frozen` is the same graph before grappler folds constants in it."""

    graph: Any = None
    frozen: Any = None
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    tables: dict[str, Any] = field(default_factory=dict)
    tflite: bool = False

    def names(self) -> tuple[list[str], list[str]]:
        """How inputs and outputs are called in the ONNX model."""
        return [self.renamed.get(n, n) for n in self.inputs], [self.renamed.get(n, n) for n in self.outputs]


class Stopped(Exception):
    """The frozen graph was seen, and no more was wanted."""


@contextlib.contextmanager
def capturing(*, stop: bool = False) -> Iterator[Captured]:
    """See the frozen graph that the public entry point converts: exactly that one is then reduced. `stop` there."""
    from tf2onnx import convert as public
    from tf2onnx import tf_loader

    original, optimize, seen = public._convert_common, tf_loader.tf_optimize, Captured()

    def optimizing(inputs: Any, outputs: Any, graph: Any) -> Any:
        seen.frozen = graph
        return optimize(inputs, outputs, graph)

    def noting(frozen_graph: Any, *args: Any, **kwargs: Any) -> Any:
        seen.graph = frozen_graph
        seen.inputs, seen.outputs = list(kwargs.get("input_names") or []), list(kwargs.get("output_names") or [])
        seen.renamed = dict(kwargs.get("tensors_to_rename") or {})
        seen.tables = dict(kwargs.get("initialized_tables") or {})
        seen.tflite = bool(kwargs.get("tflite_path"))
        if stop:
            raise Stopped
        return original(frozen_graph, *args, **kwargs)

    public._convert_common, tf_loader.tf_optimize = noting, optimizing
    try:
        yield seen
    finally:
        public._convert_common, tf_loader.tf_optimize = original, optimize
