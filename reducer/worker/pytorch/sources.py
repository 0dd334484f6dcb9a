"""The part of a user's module that makes the model: what a repro script must hold of it, and no more (child side)."""

from __future__ import annotations

import ast


def needed_for(source: str, *names: str) -> str:
    """The top-level statements that `names` depend on, imports included, without comments and docstrings.

    What runs for its effect alone (a call, an assignment to an attribute, an `if`) stays: it may register something.
    Raises SyntaxError for what is no Python.
    """
    tree = ast.parse(source)
    makers: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        for made in _made(statement):
            makers.setdefault(made, []).append(statement)
    wanted: set[ast.stmt] = set()
    todo = [statement for statement in tree.body if not _made(statement) and not _is_text(statement)]
    todo += [maker for name in names for maker in makers.get(name, [])]
    while todo:
        statement = todo.pop()
        if statement in wanted:
            continue
        wanted.add(statement)
        todo += [maker for used in _read(statement) for maker in makers.get(used, ())]
    kept = [_bare(statement) for statement in tree.body if statement in wanted]
    blocks = [ast.unparse(statement) for statement in kept]
    parts: list[str] = []
    for statement, text in zip(kept, blocks, strict=True):
        large = isinstance(statement, (ast.ClassDef, ast.FunctionDef))
        parts.append(("\n\n" if large and parts else "") + text)
    return "\n".join(parts)


def _made(statement: ast.stmt) -> list[str]:
    """Names that a statement does nothing else than give."""
    if isinstance(statement, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        return [] if statement.decorator_list else [statement.name]
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        names = [(alias.asname or alias.name).partition(".")[0] for alias in statement.names]
        return [] if "*" in names else names
    if isinstance(statement, ast.Assign) and all(isinstance(target, ast.Name) for target in statement.targets):
        plain = not any(isinstance(part, ast.Call) for part in ast.walk(statement.value))
        return [target.id for target in statement.targets if isinstance(target, ast.Name)] if plain else []
    return []


def _read(statement: ast.stmt) -> set[str]:
    return {part.id for part in ast.walk(statement) if isinstance(part, ast.Name)}


def _is_text(statement: ast.stmt) -> bool:
    """A docstring, or another string that stands for itself."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _bare(statement: ast.stmt) -> ast.stmt:
    for part in ast.walk(statement):
        if isinstance(part, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            part.body = [line for line in part.body if not _is_text(line)] or [ast.Pass()]
    return statement
