"""Feeds in a pickle (NNSmith's oracle.pkl): read in the worker, and only when the user said --trust."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reducer.errors import UsageError
from reducer.values import Value, ValueRef
from reducer.worker.host import Host
from reducer.worker.protocol import RETURNED, Call

READ_PICKLE = "reducer.worker.pickles:read_pickle"
ORACLE = "oracle.pkl"
SECONDS = 60.0
# A pickle of protocol 2 or later begins so; earlier ones are known by their suffix alone.
_MAGIC = b"\x80"
_SUFFIXES = (".pkl", ".pickle")


def pickle_in(path: Path) -> Path | None:
    """The pickle that the user named, or that lies in the finding folder that was named; None when it is none."""
    if path.is_dir():
        return path / ORACLE if (path / ORACLE).is_file() else None
    if not path.is_file():
        return None
    if path.suffix.lower() in _SUFFIXES:
        return path
    with open(path, "rb") as stream:
        return path if stream.read(1) == _MAGIC else None


def read_pickled(path: Path, names: Sequence[str], kind: str, host: Host, *, trust: bool) -> dict[str, Value]:
    """Values by name for the model's `names`. `kind` is "input" or "expected". Raises UsageError."""
    if not trust:
        raise UsageError(
            f"{path} is a pickle: reading it runs whatever code is in it",
            "add --trust if you know where it comes from, or save the arrays with numpy.savez(FILE, name=array, ...)",
        )
    arguments = {
        "path": str(path.resolve()),
        "kind": kind,
        "names": list(names),
        "store": str(host.folder / "given.bin"),
    }
    answer = host.call(Call(READ_PICKLE, arguments, (), SECONDS), fresh=True)
    if answer.outcome != RETURNED:
        raise UsageError(
            f"{path} cannot be read: the process that unpickled it {answer.outcome} {answer.signal}".strip()
        )
    if "error" in answer.value:
        raise UsageError(f"{path} gives no values: {answer.value['error']}")
    return {name: ValueRef.from_wire(wire).read() for name, wire in answer.value["values"].items()}
