"""Frozen settings of one run. Defaults live here and nowhere else; the command line is made from this class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

INPUT = Group("What goes in", sort_key=1)
FAILURE = Group("Which failure", sort_key=2)
COMMAND = Group("Your own check", sort_key=3)
RUNTIME = Group("Another runtime", sort_key=3)
SEARCH = Group("How long and how wide", sort_key=4)
OUTPUT = Group("What comes out", sort_key=5)
TENSORFLOW = Group("TensorFlow", sort_key=6)
PYTORCH = Group("PyTorch", sort_key=7)

Stage = Literal["check", "shape_inference", "optimize", "load", "run", "compare"]
Level = Literal["all", "extended", "basic", "layout", "none"]
Entry = Literal["from_keras", "from_function", "from_graph_def", "saved_model", "from_tflite"]
Exporter = Literal["dynamo", "legacy"]
Reference = Literal["auto", "none", "onnxruntime-noopt", "reference"]


@Parameter(name="*")
@dataclass(frozen=True)
class Settings:
    """Options of `onnx-reduce MODEL`."""

    inputs: Annotated[Path | None, Parameter(group=INPUT, help="Feeds: FILE.npz by input name, an ONNX test_data_set folder of .pb files, or oracle.pkl with --trust. Default: seeded values.")] = None  # fmt: skip
    expected: Annotated[Path | None, Parameter(group=INPUT, help="Known right outputs by name (FILE.npz); they decide who is wrong.")] = None  # fmt: skip
    input_shape: Annotated[tuple[str, ...], Parameter(group=INPUT, negative=(), show_default=False, help="NAME=1,3,224,224: shape of an input that has symbolic dims. Repeatable.")] = ()  # fmt: skip
    dim: Annotated[tuple[str, ...], Parameter(group=INPUT, negative=(), show_default=False, help="batch=2: size of a symbolic dim. Repeatable. Default: 2.")] = ()  # fmt: skip
    trust: Annotated[bool, Parameter(group=INPUT, negative=(), show_default=False, help="Read pickles (oracle.pkl named with --inputs or --expected, objects in a .pt2): that runs the code in them.")] = False  # fmt: skip
    seed: Annotated[int, Parameter(group=INPUT, help="Seed of generated feeds.")] = 0

    stage: Annotated[Stage | None, Parameter(group=FAILURE, help="Reduce the failure of this rung, not the first one that matters.")] = None  # fmt: skip
    reference: Annotated[Reference, Parameter(group=FAILURE, help="Witnesses to compare outputs with.")] = "auto"
    backend: Annotated[str, Parameter(group=FAILURE, help="System under test: onnxruntime, or a rewriter whose result is compared with the original: onnxslim, onnxsim, onnxoptimizer, version-converter[:OPSET], onnxscript-optimizer; or openvino.")] = "onnxruntime"  # fmt: skip
    provider: Annotated[str, Parameter(group=FAILURE, help="Execution provider of ONNX Runtime (CPU, CUDA, ... or the full name).")] = "CPU"  # fmt: skip
    opt_level: Annotated[Level, Parameter(group=FAILURE, help="Graph optimization level of ONNX Runtime.")] = "all"
    custom_ops: Annotated[tuple[Path, ...], Parameter(group=FAILURE, negative=(), show_default=False, help="LIB.so: library of custom operators for ONNX Runtime; its code runs in the worker. Repeatable.")] = ()  # fmt: skip
    rtol: Annotated[float | None, Parameter(group=FAILURE, help="Relative tolerance. Default: 1e-3; more for float16 and narrower.")] = None  # fmt: skip
    atol: Annotated[float | None, Parameter(group=FAILURE, help="Absolute tolerance. Default: as --rtol.")] = None

    check: Annotated[tuple[str, ...], Parameter(group=COMMAND, negative=(), show_default=False, consume_multiple=True, allow_leading_hyphen=True, help="CMD...: the rest of the line is a command that fails (exit code not 0) on a bad model. The candidate's path is put where {} stands, or appended. Give this option last.")] = ()  # fmt: skip
    fail_regex: Annotated[str | None, Parameter(group=COMMAND, help="Only endings whose output matches count as the failure.")] = None  # fmt: skip
    fail_code: Annotated[tuple[int, ...], Parameter(group=COMMAND, negative=(), show_default=False, help="Only these exit codes count. Repeatable.")] = ()  # fmt: skip
    ignore_fail_code: Annotated[tuple[int, ...], Parameter(group=COMMAND, negative=(), show_default=False, help="These exit codes count as passing. Repeatable.")] = ()  # fmt: skip

    with_packages: Annotated[tuple[str, ...], Parameter(name="--with", group=RUNTIME, negative=(), show_default=False, help="onnxruntime==1.17.3: run the model with these releases, installed into a cached environment. Any requirement; repeatable.")] = ()  # fmt: skip
    python: Annotated[Path | None, Parameter(group=RUNTIME, help="Run the model under this interpreter (or, with --with, make the environment from it).")] = None  # fmt: skip
    versions: Annotated[bool, Parameter(group=RUNTIME, negative=(), show_default=False, help="Find out since which release it fails (onnx-reduce bisect), and at which opsets. Installs wheels.")] = False  # fmt: skip

    timeout: Annotated[float | None, Parameter(group=SEARCH, help="Seconds for loading, and for running, the model once. Default: 10, more for large models and for a --check, then a multiple of the original's time.")] = None  # fmt: skip
    repeat: Annotated[int, Parameter(group=SEARCH, help="Climb the ladder up to that often until something fails: for failures that come and go.")] = 1  # fmt: skip
    budget_seconds: Annotated[float | None, Parameter(group=SEARCH, help="Stop searching after that long; the best so far is kept.")] = None  # fmt: skip
    budget_calls: Annotated[int | None, Parameter(group=SEARCH, help="Stop searching after that many candidates.")] = None  # fmt: skip
    memory_limit: Annotated[float | None, Parameter(group=SEARCH, help="GiB of address space for a worker. Default: three quarters of the machine.")] = None  # fmt: skip
    jobs: Annotated[int, Parameter(name=["--jobs", "-j"], group=SEARCH, help="Candidates judged side by side; the result is the same.")] = 1  # fmt: skip

    opset: Annotated[int | None, Parameter(group=FAILURE, help="Opset that the converter is to write. Default: the converter's own.")] = None  # fmt: skip
    entry: Annotated[Entry | None, Parameter(group=TENSORFLOW, help="Entry point of tf2onnx. Default: what fits the source.")] = None  # fmt: skip
    signature: Annotated[str | None, Parameter(group=TENSORFLOW, help="Signature of a SavedModel. Default: serving_default, or the only one.")] = None  # fmt: skip
    inputs_as_nchw: Annotated[tuple[str, ...], Parameter(group=TENSORFLOW, negative=(), show_default=False, help="Inputs that tf2onnx is to make NCHW, by name (x:0,y:0). Repeatable.")] = ()  # fmt: skip
    outputs_as_nchw: Annotated[tuple[str, ...], Parameter(group=TENSORFLOW, negative=(), show_default=False, help="Outputs that tf2onnx is to make NCHW, by name. Repeatable.")] = ()  # fmt: skip

    keep_names: Annotated[bool, Parameter(group=OUTPUT, negative=(), show_default=False, help="Leave the names of tensors and nodes; by default the result says a, b, c... and private/names.json tells what they were.")] = False  # fmt: skip
    keep_weights: Annotated[bool, Parameter(group=OUTPUT, negative=(), show_default=False, help="Leave the numbers, shapes and types of weights and inputs as they are.")] = False  # fmt: skip
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], group=OUTPUT, help="Folder to write. Default: MODEL.reduced")] = None  # fmt: skip
    tracker: Annotated[str | None, Parameter(group=OUTPUT, help="Draft the issue for this tracker (onnx, pytorch, owner/name, ...). Default: by what fails.")] = None  # fmt: skip
    resume: Annotated[bool, Parameter(group=OUTPUT, negative=(), show_default=False, help="Go on where the same command was cut off; nothing that was judged then is run again.")] = False  # fmt: skip
    force: Annotated[bool, Parameter(group=OUTPUT, negative=(), show_default=False, help="Replace the output folder when it exists.")] = False  # fmt: skip
    json: Annotated[bool, Parameter(name="--json", group=OUTPUT, negative=(), show_default=False, help="Progress and result on stdout, one JSON object a line.")] = False  # fmt: skip
    quiet: Annotated[
        bool,
        Parameter(name=["--quiet", "-q"], group=OUTPUT, negative=(), show_default=False, help="Errors only."),
    ] = False
    verbose: Annotated[bool, Parameter(name=["--verbose", "-v"], group=OUTPUT, negative=(), show_default=False, help="Every candidate, and statistics per pass.")] = False  # fmt: skip

    exporter: Annotated[Exporter, Parameter(group=PYTORCH, help="The exporter: dynamo, or the older one on TorchScript.")] = "dynamo"  # fmt: skip
    dynamic_shapes: Annotated[str | None, Parameter(group=PYTORCH, help="As torch.onnx.export takes them, a Python literal: '{\"x\": {0: \"batch\"}}'.")] = None  # fmt: skip
    strict: Annotated[bool, Parameter(group=PYTORCH, negative=(), show_default=False, help="Capture with torch.export.export(strict=True).")] = False  # fmt: skip

    def provider_name(self) -> str:
        """The full name of the execution provider."""
        return self.provider if self.provider.endswith("ExecutionProvider") else f"{self.provider}ExecutionProvider"

    def output_folder(self, model: Path) -> Path:
        """Where the result goes."""
        return self.output or model.with_name(f"{model.stem}.reduced")
