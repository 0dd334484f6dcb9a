"""What a loop, a branch or a call of a TFLite model runs, as a model of its own (child side)."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from reducer.values import append_values
from reducer.worker.main import Context
from reducer.worker.tf_ladder import as_array
from reducer.worker.tf_subject import quiet
from reducer.worker.tflite_graph import TfliteCandidate, packed
from reducer.worker.tflite_model import (
    ABSENT,
    called_subgraphs,
    feed_and_invoke,
    ids,
    load_model,
    opened,
    operator_name,
    tensor_names,
)
from reducer.worker.tflite_tasks import Reply


def lift(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """{"order", "node", "folder"} -> {"graphs": [{"path", "inputs", "feeds": wires, "outputs"}]}.

    Each is another graph of the model in the place of the main one, fed with what the operator is fed: of a loop the
    state that it begins with. Other graphs keep their numbers, so that it may run them.
    """
    quiet()
    context.stage("open")
    model = load_model(arguments["order"]["graph"])
    main, names = model.subgraphs[0], tensor_names(model.subgraphs[0])
    caller = next(o for n, o in enumerate(main.operators) if operator_name(names, o, n) == arguments["node"])
    given = _given(TfliteCandidate(arguments["order"]), caller)
    store, graphs = Path(arguments["folder"]) / "lifted.bin", []
    for number in dict.fromkeys(called_subgraphs(caller)):
        body = model.subgraphs[number]
        count = len(ids(body.inputs))
        if not body.operators or not 0 < count <= len(given):
            continue
        lifted = copy.copy(model)
        lifted.subgraphs = [body, *model.subgraphs[1:]]
        handle, path = tempfile.mkstemp(suffix=".tflite", prefix="lifted-", dir=arguments["folder"])
        with open(handle, "wb") as stream:
            stream.write(packed(lifted))
        inner = tensor_names(body)
        inputs = [inner[i] for i in ids(body.inputs)]
        # A branch is not given the condition, which comes first.
        refs = append_values(store, dict(zip(inputs, given[len(given) - count :], strict=True)))
        outputs = [inner[i] for i in ids(body.outputs)]
        graphs.append(
            {"path": path, "inputs": inputs, "feeds": [refs[n].to_wire() for n in inputs], "outputs": outputs}
        )
    return {"graphs": graphs}, ()


def _given(candidate: TfliteCandidate, caller: Any) -> list[Any]:
    """The values that the operator is fed."""
    interpreter = opened(candidate.content, keep_all=True)
    feed_and_invoke(interpreter, candidate.feeds)
    numbers = [candidate.places[i] for i in ids(caller.inputs) if i != ABSENT]
    return [as_array(np.array(interpreter.get_tensor(number))) for number in numbers]
