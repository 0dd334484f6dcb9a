"""What must not leave the machine: absolute paths, the user's name, the host's name."""

from __future__ import annotations

import getpass
import re
import socket

# Absolute paths, recognised by their first folder or by the extension of their last part, so that node names
# such as /layer1/conv/Conv stay as they are.
_ROOTS = "home|Users|root|tmp|var|opt|mnt|data|work|usr|etc|private|media|srv|github|onnxruntime_src|project|workspace"
_UNIX = re.compile(rf"(?:file://)?(?<![\w.<])/(?:{_ROOTS})(?:/[^\s'\"`:;,()<>]+)+/?")
_BY_EXTENSION = re.compile(r"(?:file://)?(?<![\w.<])/(?:[^\s'\"`:;,()<>/]+/)+[^\s'\"`:;,()<>/]+\.[A-Za-z]{1,6}\b")
_WINDOWS = re.compile(r"(?:file:///)?\b[A-Za-z]:\\(?:[^\s'\"`:;,()<>\\]+\\)*[^\s'\"`:;,()<>\\]*")


def scrub(text: str) -> str:
    """The text with absolute paths cut to their last part and the names of user and host masked."""
    for pattern in (_WINDOWS, _UNIX, _BY_EXTENSION):
        text = pattern.sub(lambda m: re.split(r"[/\\]", m.group(0).rstrip("/\\"))[-1], text)
    for name, mask in ((_user(), "<user>"), (socket.gethostname(), "<host>")):
        # Short or common names would mask ordinary words.
        if len(name) > 4 and name not in ("localhost", "admin", "ubuntu", "runner"):
            text = re.sub(rf"\b{re.escape(name)}\b", mask, text)
    return text


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
