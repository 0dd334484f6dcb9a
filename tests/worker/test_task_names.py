"""Tasks are named in the parent and run in the child: a name that means nothing would only be a fault in there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import reducer

ROOT = Path(reducer.__file__).parent
_TASK = re.compile(r"""["'](reducer\.worker\.[\w.]+:\w+)["']""")
_SEVERAL = re.compile(r"""f["'](reducer\.worker\.[\w.]+):\{name\}["'] for name in \(([^)]*)\)""")


def named_tasks() -> list[str]:
    found = set()
    for file in ROOT.rglob("*.py"):
        text = file.read_text()
        found.update(_TASK.findall(text))
        for module, names in _SEVERAL.findall(text):
            found.update(f"{module}:{name}" for name in re.findall(r"""["'](\w+)["']""", names))
    return sorted(found)


def test_there_are_names_to_check() -> None:
    assert "reducer.worker.tf_candidates:judge" in named_tasks()
    assert "reducer.worker.tf_tasks:observe" in named_tasks()


@pytest.mark.parametrize("task", named_tasks())
def test_every_task_that_is_named_exists(task: str) -> None:
    module, _, name = task.partition(":")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:  # a framework that is not installed here
        pytest.skip(f"{error.name} is not installed")
    assert callable(getattr(found, name, None)), f"{task} is named, and does not exist"
