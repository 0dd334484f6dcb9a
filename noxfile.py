"""`nox -s check` runs what CI runs, in the environment that nox is installed in."""

from __future__ import annotations

import nox

nox.options.sessions = ["check"]


@nox.session(venv_backend="none")
def check(session: nox.Session) -> None:
    """Tests, linter, formatter, types, layers."""
    session.run("python", "-m", "pytest", *session.posargs)
    lint(session)


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Everything but the tests."""
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports")
