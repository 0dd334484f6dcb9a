"""Reading a pickle that the user trusts (child side): whatever it does, it does not do it in the parent."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from reducer.values import append_values
from reducer.worker.main import Context
from reducer.worker.tasks import Reply

# What NNSmith's oracle.pkl calls what we call so.
_KEYS = {"input": "input", "expected": "output"}


def read_pickle(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """Values by name out of a pickled dict {"input": {name: array}, "output": {name: array} or None}.

    arguments: path, kind ("input" or "expected"), names that the model has, store. Reply: {values: {name: ValueRef as
    wire}} or {error}.
    """
    with open(arguments["path"], "rb") as stream:
        try:
            found = pickle.load(stream)
        except Exception as error:  # noqa: BLE001 - a pickle raises whatever it likes
            return {"error": f"it cannot be unpickled: {type(error).__name__}: {str(error)[:200]}"}, ()
    key = _KEYS[arguments["kind"]]
    values = found.get(key) if isinstance(found, dict) else None
    if not isinstance(values, dict):
        return {"error": f"it holds no {key!r} dict"}, ()
    names = set(arguments["names"])
    # NNSmith records names that the exported graph has lost.
    arrays = {name: np.asarray(value) for name, value in values.items() if name in names}
    if not arrays or any(array.dtype.kind == "O" for array in arrays.values()):
        return {"error": f"its {key!r} holds no array of the model: {', '.join(map(str, values))[:200]}"}, ()
    refs = append_values(Path(arguments["store"]), arrays)
    return {"values": {name: ref.to_wire() for name, ref in refs.items()}}, ()
