"""The ONNX front end as a whole: a path and the input options become a program with its feeds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from reducer.errors import UsageError
from reducer.feeds import FeedBook
from reducer.frontends import given
from reducer.frontends.external import external_bytes
from reducer.frontends.onnx import count_nodes, load_source, model_folder, parse_model, read_model
from reducer.frontends.pickled import pickle_in, read_pickled
from reducer.frontends.room import bounded_memory
from reducer.programs.onnx import OnnxProgram, Policy
from reducer.signature import Vocabulary
from reducer.values import Value, ValueRef, append_values
from reducer.worker.host import Host
from reducer.worker.protocol import RETURNED, Call

PARSE_TEXT = "reducer.worker.knowledge:parse_text"
TEXT_SUFFIXES = (".onnxtxt", ".onnxtext")
PARSE_SECONDS = 60.0
# The folder in the host's that candidates with spilled weights lie in, and what is recorded of big tensors.
WEIGHTS = "weights"


@dataclass(frozen=True)
class InputOptions:
    """What the user said of inputs, as typed."""

    inputs: Path | None = None
    expected: Path | None = None
    dims: Sequence[str] = ()
    shapes: Sequence[str] = ()
    seed: int = 0
    trust: bool = False


@dataclass(frozen=True)
class Subject:
    """The source: its program, where its feeds come from, and facts for the report."""

    path: Path
    program: OnnxProgram
    feeds: FeedBook
    nodes: int
    size: int
    sha256: str
    producer: str
    opsets: dict[str, int]
    own_inputs: bool
    expected: dict[str, ValueRef] = field(default_factory=dict)

    @property
    def vocabulary(self) -> Vocabulary:
        """Names to mask and op types to keep in messages."""
        return Vocabulary(self.program.source.names(), self.program.source.op_types())


def load_subject(path: Path, options: InputOptions, host: Host, *, by_command: bool) -> Subject:
    """Read everything that the user named. Raises UsageError with one clear line."""
    spill = host.folder / WEIGHTS
    spill.mkdir(exist_ok=True)
    with bounded_memory(path.stat().st_size if path.is_file() else 0, str(path)):
        model = _read(path, host)
        nodes, size = count_nodes(model), path.stat().st_size + external_bytes(model, path)
        source = load_source(model, model_folder(path), spill)
    store = host.folder / "feeds.bin"
    dims = given.parse_dims(options.dims)
    book = FeedBook(store, options.seed, dims)
    book.study(source)
    for name, shape in given.parse_shapes(source, options.shapes).items():
        book.shapes[name] = shape
    if options.inputs is not None:
        names = [name for name in source.inputs if name not in source.weights]
        values = given.fit_to_inputs(source, _values(options.inputs, names, "input", host, trust=options.trust), dims)
        book.dims = {**given.bound_dims(source, values), **dims}
        book.give(values)
    expected = {}
    if options.expected is not None:
        wanted = _values(options.expected, list(source.outputs), "expected", host, trust=options.trust)
        unknown = sorted(set(wanted) - set(source.outputs))
        if unknown:
            raise UsageError(f"the model has no output {unknown[0]!r}", f"its outputs are: {', '.join(source.outputs)}")
        expected = append_values(store, wanted)
    return Subject(
        path=path,
        program=OnnxProgram.of(source, Policy(by_command)),
        feeds=book,
        nodes=nodes,
        size=size,
        sha256=digest(path),
        producer=f"{model.producer_name} {model.producer_version}".strip(),
        opsets={"" if o.domain == "ai.onnx" else o.domain: o.version for o in model.opset_import},
        own_inputs=options.inputs is not None,
        expected=expected,
    )


def _values(path: Path, names: Sequence[str], kind: str, host: Host, *, trust: bool) -> dict[str, Value]:
    pickle = pickle_in(path)
    if pickle is not None:
        return read_pickled(pickle, names, kind, host, trust=trust)
    return given.read_given(path, names, kind)


def digest(path: Path) -> str:
    """SHA-256 of a file; of a folder, that of the digests of its files in the order of their names."""
    if not path.is_dir():
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    inner = "".join(digest(file) for file in sorted(path.iterdir()) if file.is_file())
    return hashlib.sha256(inner.encode()).hexdigest()


def _read(path: Path, host: Host) -> onnx.ModelProto:
    if path.suffix.lower() not in TEXT_SUFFIXES or not path.is_file():
        return read_model(path)
    # The text parser is C++ that hostile text may kill: it runs in the worker like everything else.
    answer = host.call(Call(PARSE_TEXT, {}, (path.read_bytes(),), PARSE_SECONDS))
    if answer.outcome != RETURNED:
        raise UsageError(f"{path} cannot be parsed: the onnx text parser {answer.outcome} {answer.signal}".strip())
    if "error" in answer.value:
        raise UsageError(f"{path} is not ONNX text: {answer.value['error']}")
    return parse_model(answer.blobs[0], str(path))
