"""What a child process sees: its module path and its environment (step 3 of the data path, parent side).

Under this interpreter a child imports the package where it lies. Under another one it gets the child's modules
alone, copied into a folder of the host: the folder that holds `reducer` in an installed wheel is site-packages, and
on the path it would put this environment's numpy and onnxruntime before those of the other.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
# The child's modules: the standard library, numpy and the backend are all that they import.
PARTS = ("__init__.py", "values.py", "worker", "backends")
# The parent's side of the worker package.
PARENT_ONLY = ("host.py", "kit.py", "logs.py", "machine.py", "scratch.py")
OWN_SETTINGS = "ONNX_REDUCE_"
# Where an interpreter would be told to look for modules that belong to another one.
_OF_ANOTHER = ("PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


def is_own(python: str) -> bool:
    """Whether this is the interpreter that runs the parent. Not resolved: a venv's python is a link to another's."""
    return os.path.abspath(python) == os.path.abspath(sys.executable)


def child_environment(python: str, folder: Path, *, isolated: bool = False) -> dict[str, str]:
    """Environment variables of a child that runs `python`; `folder` is the host's. Own settings are stripped.

    `isolated`: what PYTHONPATH says is meant for this interpreter, and the child does not get it.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith(OWN_SETTINGS)}
    inherited = "" if isolated else environment.get("PYTHONPATH", "")
    if is_own(python):
        root = PACKAGE.parent
    else:
        root = lay_out(folder / "kit")
        for name in _OF_ANOTHER:
            environment.pop(name, None)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), inherited]))
    environment.update(OMP_NUM_THREADS="1", PYTHONUNBUFFERED="1", PYTHONDONTWRITEBYTECODE="1")
    return environment


def lay_out(folder: Path) -> Path:
    """Copy the child's modules into `folder`, once, and give it back."""
    target = folder / PACKAGE.name
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f"{PACKAGE.name}.{os.getpid()}"
        draft.mkdir()
        for part in PARTS:
            source = PACKAGE / part
            if source.is_dir():
                shutil.copytree(source, draft / part, ignore=shutil.ignore_patterns("__pycache__", *PARENT_ONLY))
            else:
                shutil.copyfile(source, draft / part)
        os.rename(draft, target)
    return folder


def plain_environment(environment: Mapping[str, str], python: str) -> dict[str, str]:
    """Variables for a script of the user's under `python`: as they are, less what another interpreter must not see."""
    if is_own(python):
        return dict(environment)
    return {k: v for k, v in environment.items() if k not in ("PYTHONPATH", *_OF_ANOTHER)}
