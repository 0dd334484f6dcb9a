"""What the user names and says for a TensorFlow source, checked before anything is opened (the parent's side)."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reducer.errors import ToolFault, UsageError
from reducer.observation import HUNG
from reducer.oracles.conversion import How, Observed, ladder_settings
from reducer.programs.layers import LayersProgram
from reducer.programs.tflite import TfliteProgram
from reducer.settings import Settings
from reducer.sources.tensorflow import form_of
from reducer.testcase import Tolerance
from reducer.worker import protocol
from reducer.worker.host import Host
from reducer.worker.protocol import Call

READY, OBSERVE, RECORD = (f"reducer.worker.tf_tasks:{name}" for name in ("ready", "observe", "record"))
# Opening, running and converting a big Keras model takes a minute on a busy machine.
LAYERS = "reducer.worker.tf_layer_tasks:layers"
OBSERVE_SECONDS, READY_SECONDS = 600.0, 240.0
# The folder in the host's that holds what the source itself was converted to.
CONVERTED = "source"
INSTALL = 'pip install "onnx-reduce[tensorflow]"'


@dataclass(frozen=True)
class TensorFlowSource:
    """What was named, and how it is to be converted."""

    path: Path
    form: str
    how: How
    tolerance: Tolerance
    sha256: str
    nbytes: int


def check_source(target: str, settings: Settings) -> TensorFlowSource:
    """The source if it can be tried at all. Raises UsageError with what to type instead."""
    path = Path(target)
    form = form_of(target)
    if form is None or not path.exists():
        raise UsageError(f"no such file or folder: {target}")
    missing = [name for name in ("tensorflow", "tf2onnx") if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"{path.name} needs {' and '.join(missing)}, not installed here", INSTALL)
    _refuse(settings)
    how = How(
        opset=settings.opset,
        nchw_in=_tensor_names(settings.inputs_as_nchw),
        nchw_out=_tensor_names(settings.outputs_as_nchw),
        level=settings.opt_level,
        provider=settings.provider_name(),
    )
    tolerance = Tolerance(settings.rtol, settings.rtol if settings.atol is None else settings.atol)
    digest, nbytes = _digest(path)
    return TensorFlowSource(path, form, how, tolerance, digest, nbytes)


def _refuse(settings: Settings) -> None:
    """Raise UsageError for options that say nothing about a TensorFlow source."""
    if settings.resume:
        raise UsageError("--resume is for ONNX models so far", "run it anew; --force replaces the output folder")
    if settings.check:
        raise UsageError("--check works on ONNX files only", "convert the model first and name the .onnx file")
    if settings.expected is not None:
        raise UsageError("--expected does not go with a TensorFlow source", "its own outputs are the right ones")
    if settings.with_packages or settings.python is not None:
        hint = "install onnx-reduce beside that TensorFlow and run it there"
        raise UsageError("--with and --python do not go with a TensorFlow source", hint)
    if settings.inputs is not None and not settings.inputs.exists():
        raise UsageError(f"no such file: {settings.inputs}", "--inputs takes an .npz file")


def _tensor_names(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for part in given for name in part.split(",") if name)


def _digest(path: Path) -> tuple[str, int]:
    """(sha256 over all files in order, bytes)."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        with open(file, "rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest(), sum(file.stat().st_size for file in files)


def wait_for_tensorflow(host: Host) -> None:
    """Return when a worker with TensorFlow is there. Raises UsageError when it cannot be imported."""
    answer = host.call(Call(READY, {}, (), READY_SECONDS))
    if answer.outcome != protocol.RETURNED:
        lines = answer.stderr.strip().splitlines()
        raise UsageError(f"TensorFlow or tf2onnx cannot be imported: {lines[-1] if lines else answer.outcome}", INSTALL)


def observe(host: Host, source: TensorFlowSource, settings: Settings) -> Observed:
    """Open the source, run it in TensorFlow and convert it through its entry point, in a worker."""
    arguments = {
        "path": str(source.path.resolve()),
        "form": source.form,
        "entry": settings.entry,
        "signature": settings.signature,
        "folder": str(host.folder),
        "how": source.how.to_wire(),
        "settings": {
            **ladder_settings(source.how, source.tolerance, check=True),
            "leave": str(host.folder / CONVERTED),
        },
        "inputs": str(settings.inputs.resolve()) if settings.inputs else None,
        "seed": settings.seed,
        "dims": _dims(settings.dim),
    }
    answer = host.call(Call(OBSERVE, arguments, (), settings.timeout or OBSERVE_SECONDS))
    if answer.outcome == protocol.FAULT:
        raise ToolFault(f"a fault of onnx-reduce in the worker:\n{answer.stderr}")
    if answer.outcome != protocol.RETURNED:
        if answer.stage in ("", "open", "reference"):
            what = "does not end" if answer.outcome == HUNG else f"ends its process ({answer.signal or answer.outcome})"
            raise UsageError(f"TensorFlow itself {what} on this model", "there is nothing to compare with")
        # The graph that kills the process: once more, stopping where it is frozen.
        again = host.call(Call(OBSERVE, {**arguments, "freeze_only": True}, (), settings.timeout or OBSERVE_SECONDS))
        frozen = {k: v for k, v in again.value.items() if k != "report"} if again.outcome == protocol.RETURNED else {}
        return Observed(frozen, answer)
    if "refused" in answer.value:
        raise UsageError(*answer.value["refused"])
    return Observed(answer.value)


def record_tflite(host: Host, graph: Mapping[str, Any], feeds: list[Any]) -> Mapping[str, Any] | None:
    """The table of a TFLite model with recorded values; None when it cannot be taken apart."""
    arguments = {"graph": graph["path"], "feeds": feeds, "store": str(host.folder / "values.bin")}
    answer = host.call(Call(TfliteProgram.record, arguments, (), OBSERVE_SECONDS))
    return answer.value if answer.outcome == protocol.RETURNED and "refused" not in answer.value else None


def layer_program(host: Host, source: TensorFlowSource, observed: Observed) -> LayersProgram | None:
    """The layers of a Keras model; None when the source has none."""
    if observed.reply.get("entry") != "from_keras":
        return None
    opened = {"path": str(source.path.resolve()), "form": source.form, "folder": str(host.folder)}
    answer = host.call(Call(LAYERS, opened, (), OBSERVE_SECONDS))
    if answer.outcome != protocol.RETURNED or not answer.value["layers"]:
        return None
    feeds = [given["value"] for given in observed.reply["inputs"]]
    return LayersProgram.whole(answer.value["layers"], {**opened, "feeds": feeds})


def _dims(given: tuple[str, ...]) -> dict[str, int]:
    dims = {}
    for text in given:
        name, _, size = text.partition("=")
        if not size.isdigit():
            raise UsageError(f"--dim takes NAME=SIZE, not {text!r}", "for TensorFlow NAME is an input: its free dims")
        dims[name] = int(size)
    return dims


def record(host: Host, graph: Mapping[str, Any], feeds: list[Any]) -> Mapping[str, Any]:
    """The table of a frozen graph with the value of every tensor that can be had."""
    arguments = {
        "graph": graph["path"],
        "inputs": graph["inputs"],
        "feeds": feeds,
        "store": str(host.folder / "values.bin"),
    }
    answer = host.call(Call(RECORD, arguments, (), OBSERVE_SECONDS))
    if answer.outcome != protocol.RETURNED:
        raise ToolFault(f"the tensors of the graph could not be recorded: {answer.outcome} {answer.stderr[-1500:]}")
    return answer.value
