"""What a Python file defines, by its syntax alone: it is never run in order to look at it."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path


def defined_in(path: str | Path) -> set[str] | None:
    """Names that the file defines, assigns or imports at its top level; None when it cannot be read or parsed."""
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node in tree.body:
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Assign) and node in tree.body:
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return names


def module_file(name: str) -> Path | None:
    """The file of a module on sys.path or in the working directory, found without importing its packages."""
    inner = Path(*name.split("."))
    for folder in [os.getcwd(), *sys.path]:
        for candidate in (Path(folder or ".") / f"{inner}.py", Path(folder or ".") / inner / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None
