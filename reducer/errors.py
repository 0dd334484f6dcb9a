"""Every exception that onnx-reduce raises on purpose; cli.py turns them into one line and an exit code."""

from __future__ import annotations


class OnnxReduceError(Exception):
    """Base of all; `str(error)` is one line for the user."""


class UsageError(OnnxReduceError):
    """The user's input does not fit; the message says what is wrong and `hint` what to type next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class HostGone(UsageError):
    """What the workers need was taken away while they ran."""


class DoesNotReproduce(OnnxReduceError):
    """The source test case does not fail: there is nothing to reduce."""


class FlakyFailure(OnnxReduceError):
    """The failure comes and goes; `failed` of `tried` fresh processes showed it."""

    def __init__(self, message: str, failed: int, tried: int) -> None:
        super().__init__(message)
        self.failed, self.tried = failed, tried


class BackendUnavailable(OnnxReduceError):
    """A backend cannot run here; the message says what to install."""


class ToolFault(OnnxReduceError):
    """Something of onnx-reduce itself broke (never the model under test)."""


class EditConflict(OnnxReduceError):
    """An edit does not apply to this program (not an error of the user's)."""
