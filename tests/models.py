"""Models in ONNX text and the harness that the tests share."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.parser

from reducer.feeds import FeedBook
from reducer.frontends.onnx import load_source
from reducer.programs.onnx import OnnxProgram, Policy
from reducer.programs.onnx_source import OnnxSource


def model_of(body: str, opset: int = 17) -> onnx.ModelProto:
    """A model from the text of its graph."""
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{body}')


def source_of(model: onnx.ModelProto, folder: Path) -> OnnxSource:
    """Records of a model, with the types that inference finds."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    source = load_source(copy, folder, folder)
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except onnx.shape_inference.InferenceError:
        return source
    values = [*inferred.graph.value_info, *inferred.graph.output]
    return source.learn(types={v.name: v.type.SerializeToString() for v in values})


def program_of(body: str | onnx.ModelProto, folder: Path, opset: int = 17, *, by_command: bool = False) -> OnnxProgram:
    """A program from text or from a ModelProto."""
    model = model_of(body, opset) if isinstance(body, str) else body
    return OnnxProgram.of(source_of(model, folder), Policy(by_command))


def parsed(program: OnnxProgram) -> onnx.ModelProto:
    """The program as a message."""
    return onnx.ModelProto.FromString(program.model_bytes(inline=True))


def feeds_for(program: OnnxProgram, folder: Path) -> FeedBook:
    """A feed book that has studied the program."""
    book = FeedBook(folder / "feeds.bin")
    book.study(program.source)
    return book


def chain_text(length: int, bad: dict[int, str] | None = None) -> str:
    """Abs chained `length` times; `bad` puts other operators at some positions."""
    lines = [f"  t{i + 1} = {(bad or {}).get(i, 'Abs')}(t{i})" for i in range(length)]
    return f"g (float[2,3] t0) => (float[2,3] t{length}) {{\n" + "\n".join(lines) + "\n}"
