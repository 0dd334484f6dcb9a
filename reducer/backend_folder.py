"""The reduced model as a case of ONNX's own backend tests: a model and one set of inputs and outputs as tensors.

Layout: model.onnx, test_data_set_0/input_<n>.pb and output_<n>.pb in the order of the graph
(onnx/backend/test/README in the ONNX repository). Written at step 10, from what the run has already recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from reducer.finding import Artifact
from reducer.values import Value
from reducer.workspace import Workspace

FOLDER = "backend_test"
# The model is there already, next to it: a copy of a large one would double the folder.
MOST_BYTES = 4 << 20


def write_backend_folder(
    workspace: Workspace, model: bytes, inputs: Mapping[str, Value], outputs: Mapping[str, Value], order: Sequence[str]
) -> tuple[Artifact, ...]:
    """Write the folder and name its model; nothing where a value is no tensor, or all of it is too large. `order`
    are the names of the graph's inputs and outputs. Outputs are written only if all of them are known."""
    known = [name for name in order if name in outputs] if outputs else []
    values = [*inputs.values(), *(outputs[name] for name in known)]
    if len(model) > MOST_BYTES or not all(isinstance(value, np.ndarray | np.generic) for value in values):
        return ()
    if sum(np.asarray(value).nbytes for value in values) > MOST_BYTES:
        return ()
    workspace.write(f"{FOLDER}/model.onnx", model)
    given = [name for name in order if name in inputs]
    _write(workspace, "input", {name: inputs[name] for name in given})
    if known and len(known) == len([name for name in order if name not in inputs]):
        _write(workspace, "output", {name: outputs[name] for name in known})
    return (Artifact("regression_test", f"{FOLDER}/model.onnx"),)


def _write(workspace: Workspace, kind: str, values: Mapping[str, Value]) -> None:
    from onnx import numpy_helper

    for number, (name, value) in enumerate(values.items()):
        tensor = numpy_helper.from_array(np.asarray(value), name)
        workspace.write(f"{FOLDER}/test_data_set_0/{kind}_{number}.pb", tensor.SerializeToString())
