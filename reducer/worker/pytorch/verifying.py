"""The text of a reduced model, run and exported as its repro script does it (child side, step 9: the final verdict).

Nothing private of torch and nothing of the captured source is used here.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from reducer.worker.pytorch import adapter, failures, judging, literals
from reducer.worker.pytorch.candidate import SEED
from reducer.worker.pytorch.graph import copied
from reducer.worker.pytorch.isolation import note
from reducer.worker.pytorch.modules import module_of

Report = dict[str, Any]


def made_of(arguments: Mapping[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    """(the module, its inputs) that the text describes."""
    import numpy as np
    import torch

    for line in arguments["imports"]:
        importlib.import_module(line.removeprefix("import "))  # before the seed: it may draw numbers
    saved = dict(np.load(arguments["npz"])) if arguments.get("npz") else {}
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    inputs = tuple(literals.evaluate(code, saved) for _, code in arguments["inputs"])
    return module_of(arguments["source"], saved, arguments.get("made", ""), arguments["imports"]), inputs


def verified(arguments: Mapping[str, Any]) -> Report:
    """A report as judging gives it, "invalid" when the text does not run in torch itself."""
    import torch

    options = {**arguments["options"], "measure": True}
    if arguments.get("shapes"):
        options["dynamic_shapes"] = literals.evaluate(arguments["shapes"], {})
    try:
        model, inputs = made_of(arguments)
        with torch.no_grad():
            expected = [copied(value) for value in adapter.tensors_of(model(*copied(inputs)))]
    except Exception as error:  # noqa: BLE001 - then it is no reproduction, whatever it is
        return {"invalid": f"{type(error).__name__}: {error}"[:600]}
    note(failures.first_step(options))
    try:
        onnx_model = adapter.export(model, copied(inputs), {}, options)
    except adapter.StepFailed as failed:
        return failures.describe(failed.error, failed.step)
    if options.get("upto") in failures.CONVERT_STEPS:
        return {"step": ""}
    if arguments.get("onnx"):
        with open(arguments["onnx"], "wb") as stream:
            stream.write(onnx_model)
        _save_feeds(onnx_model, inputs, arguments["feeds"])
    report = judging.run_onnx(onnx_model, inputs, expected, options)
    report.pop("outputs", None)
    return report


def _save_feeds(model: bytes, inputs: tuple[Any, ...], path: str) -> None:
    """Feeds by the model's input names, where numpy itself knows their types."""
    import numpy as np

    feeds = judging.feeds_of(model, inputs)
    if all(value.dtype.isbuiltin == 1 for value in feeds.values()):
        np.savez(path, **feeds)


def save_program(arguments: Mapping[str, Any]) -> Report:
    """Save the module as an ExportedProgram at arguments["pt2"]: {saved: whether it loads again}."""
    import torch

    try:
        model, inputs = made_of(arguments)
        torch.export.save(adapter.capture(model, inputs, {}), arguments["pt2"])
        torch.export.load(arguments["pt2"])
    except Exception as error:  # noqa: BLE001 - not every program can be saved; the text stands beside it
        return {"saved": False, "why": f"{type(error).__name__}: {error}"[:300]}
    return {"saved": True}
