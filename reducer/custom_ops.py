"""Custom-op libraries (--custom-ops): native code that the user names, loaded in the worker and by the repro script.

An option of the onnxruntime backend like any other, so that every run of that backend has it. Names are kept in one
string because options are strings; the order of registration is the order on the command line.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from reducer.errors import UsageError
from reducer.worker.host import Host
from reducer.worker.protocol import RETURNED, Call

OPTION = "custom_ops"
REGISTER = "reducer.worker.knowledge:register_custom_ops"
SECONDS = 30.0


def custom_ops_option(libraries: Sequence[Path], host: Host) -> dict[str, str]:
    """The backend option for these libraries, tried once in a worker; {} without any. Raises UsageError."""
    if not libraries:
        return {}
    for library in libraries:
        if not library.is_file():
            raise UsageError(f"no such custom-op library: {library}", "--custom-ops takes a shared library (.so, .dll)")
    names = [library.name for library in libraries]
    if len(set(names)) < len(names):
        raise UsageError("two custom-op libraries have the same file name", "copy one of them under another name")
    option = {OPTION: os.pathsep.join(str(library.resolve()) for library in libraries)}
    answer = host.call(Call(REGISTER, option, (), SECONDS), fresh=True)
    if answer.outcome != RETURNED:
        raise UsageError(f"registering the custom-op library {answer.outcome} {answer.signal}".strip())
    if answer.value["error"]:
        raise UsageError(f"onnxruntime cannot register the custom-op library: {answer.value['error']}")
    return option


def libraries_in(options: Mapping[str, str]) -> list[Path]:
    """The libraries that the options of a probe name."""
    return [Path(name) for name in options.get(OPTION, "").split(os.pathsep) if name]
