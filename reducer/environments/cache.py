"""Where made environments lie: one folder each under the user's cache, complete or not there at all.

`ONNX_REDUCE_CACHE` names another place. An environment is made under another name and renamed, so that two runs
at once, or one that is killed, leave nothing half made behind that anyone would use.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from reducer.errors import UsageError

VARIABLE = "ONNX_REDUCE_CACHE"
# Older drafts belong to runs that were killed.
STALE_SECONDS = 24 * 3600.0
DRAFT = ".draft-"


def cache_folder() -> Path:
    """The cache of this user."""
    import platformdirs

    return Path(os.environ.get(VARIABLE) or platformdirs.user_cache_dir("onnx-reduce"))


def key_of(requirements: Sequence[str], interpreter: str) -> str:
    """The name of an environment: the same for the same requirements under the same interpreter."""
    text = json.dumps([interpreter, sorted(requirements)])
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def made_once(key: str, make: Callable[[Path], None], proof: str) -> Path:
    """The folder `key` of the cache; `make` fills a draft of it when it is not there yet, or when the file `proof`
    in it is gone: a virtual environment is a link to a Python that may have been removed.

    Raises UsageError where the cache cannot be written, and whatever `make` raises.
    """
    place = cache_folder() / "environments"
    target = place / key
    if (target / proof).exists():
        return target
    shutil.rmtree(target, ignore_errors=True)
    try:
        place.mkdir(parents=True, exist_ok=True)
        _sweep(place)
        draft = Path(tempfile.mkdtemp(prefix=f"{key}{DRAFT}", dir=place))
    except OSError as error:
        hint = f"set {VARIABLE} to a folder that can be written"
        raise UsageError(f"cannot write to the cache {place}: {error.strerror}", hint) from error
    try:
        make(draft)
        os.rename(draft, target)
    except OSError as error:
        if not (target / proof).exists():  # else another run was faster: its folder is as good
            raise UsageError(f"cannot write to the cache {place}: {error.strerror}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def _sweep(place: Path) -> None:
    for draft in place.glob(f"*{DRAFT}*"):
        with contextlib.suppress(OSError):
            if time.time() - draft.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(draft, ignore_errors=True)
