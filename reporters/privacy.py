"""What must not leave the machine: absolute paths, the user's name, the host's name."""

from __future__ import annotations

import getpass
import re
import socket

# Absolute paths are known by their first folder or by the extension of a file, so that names of nodes and
# initializers such as /layer1/conv/Conv or /encoder/conv.weight stay as they are.
_ROOTS = "home|Users|root|tmp|var|opt|mnt|data|work|usr|etc|private|media|srv|github|onnxruntime_src|project|workspace"
_EXTENSIONS = (
    "onnx_data|onnxtxt|onnx|ort|pbtxt|pb|pth|pt|tflite|safetensors|npz|npy|bin|raw|json|txt|log|md|yaml|yml|toml|cfg|"
    "pyc|pyi|py|so|dll|dylib|exe|cc|cpp|cxx|cu|c|hpp|hh|h|inc|rs|whl|zip|gz|tar|sh"
)
_PART = r"[^\s'\"`:;,()<>|/\\]+"
_START = r"(?:file://|(?<![\w.</\\]))"
# In quotes a path may hold spaces.
_QUOTED = re.compile(rf"(?<=(['\"`]))(?:file://)?(?:/(?:{_ROOTS})/|/?[A-Za-z]:[\\/]|\\\\)[^'\"`\n]*(?=\1)")
_WINDOWS = re.compile(
    rf"(?:file:///)?(?:(?<!\w)[A-Za-z]:(?:\\|/(?!/))|(?<!\\)\\\\(?={_PART}\\))(?:{_PART}[\\/])*(?:{_PART})?"
)
_BY_ROOT = re.compile(rf"{_START}/(?:{_ROOTS})(?:/{_PART})+/?")
_BY_EXTENSION = re.compile(rf"{_START}/(?:{_PART}/)*{_PART}\.(?:{_EXTENSIONS})(?![\w.]*[\w/])")
_HOME = re.compile(r"(?:/home|/Users|[A-Za-z]:[\\/]Users)[\\/][^\\/]+[\\/]?$")
# Names that are words of every report: masking them would hide nothing and garble a lot.
_COMMON = "admin build docker github jenkins localhost model numpy onnxruntime python runner tensor ubuntu vscode"


def scrub(text: str) -> str:
    """The text with absolute paths cut to their last part and the names of user and host masked."""
    text = scrub_paths(text)
    for name, mask in ((_user(), "<user>"), (socket.gethostname(), "<host>")):
        # Short or common names would mask ordinary words.
        if len(name) > 4 and name.lower() not in _COMMON.split():
            text = re.sub(rf"\b{re.escape(name)}\b", mask, text)
    return text


def scrub_paths(text: str) -> str:
    """The text with absolute paths (unix, Windows, file://) cut to their last part."""
    for pattern in (_QUOTED, _WINDOWS, _BY_ROOT, _BY_EXTENSION):
        text = pattern.sub(lambda match: _last_part(match.group(0)), text)
    return text


def _last_part(path: str) -> str:
    """A home folder's last part is its owner's name."""
    return "~" if _HOME.search(path) else re.split(r"[/\\]", path.rstrip("/\\"))[-1]


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
