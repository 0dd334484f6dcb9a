"""The output folder while it is made: a staging folder beside it, renamed into place at the very end.

Whatever happens, the target is either untouched or complete. What a run had learnt when it was cut off stays in the
staging folder (`NAME.partial`): its log is the cache that --resume goes on from.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from reducer.errors import UsageError
from reducer.pending import Pending
from reducer.values import Value, to_npz

MODEL, INPUTS, EXPECTED, LOG = "reduced.onnx", "inputs.npz", "expected.npz", "log.jsonl"
ALSO = "also_found"
OWNER = "running.pid"
# The bytes of a file, its text, or what writes it to a path (raises OSError).
Content = bytes | str | Callable[[Path], object]


class Workspace:
    """Staging for one output folder. `resume` goes on in the staging folder of a run that did not end.

    Every method that writes raises UsageError when the disk is full, read-only or gone.
    """

    def __init__(self, target: Path, *, force: bool, resume: bool = False) -> None:
        self.target = target
        if target.exists() and not (force or resume):
            raise UsageError(
                f"the output folder exists: {target}", "add --force to replace it, or --output OTHER_FOLDER"
            )
        if target.exists() and not target.is_dir():
            raise UsageError(f"{target} is a file, not a folder", "name another place with --output")
        self.folder = self._unfinished() if resume else self._make_staging()
        self.resumed = resume
        self.records = read_log(self.folder / LOG) if resume else []
        self.write(OWNER, str(os.getpid()))
        with self._telling(LOG):
            if resume:
                _heal(self.folder / LOG)
            self._log = open(self.folder / LOG, "a", encoding="utf-8")  # noqa: SIM115 - closed in close()
        self.improved = (self.folder / MODEL).exists()
        self.pending = Pending()
        # (oracle call, nodes of the best so far) at every improvement.
        self.curve: list[tuple[int, int]] = []
        self._also: dict[str, dict[str, Any]] = {}

    def _make_staging(self) -> Path:
        for number in range(1, 1000):
            folder = self._partial(number)
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                continue
            except OSError as error:
                raise UsageError(
                    f"cannot write beside {self.target}: {error.strerror}",
                    "name a writable place with --output",
                ) from error
            return folder
        raise UsageError(f"too many unfinished folders beside {self.target}", f"remove {self.target.name}.partial*")

    def _partial(self, number: int) -> Path:
        suffix = ".partial" if number == 1 else f".partial{number}"
        return self.target.with_name(self.target.name + suffix)

    def _unfinished(self) -> Path:
        """The newest staging folder that no living run works in, else one made from a folder cut short."""
        found = [folder for n in range(1, 1000) if (folder := self._partial(n)).is_dir() and (folder / LOG).exists()]
        idle = [folder for folder in found if not _is_owned(folder)]
        if idle:
            return max(idle, key=lambda folder: (folder / LOG).stat().st_mtime)
        if found:
            raise UsageError(f"another run is at work in {found[0]}", "wait for it, or start anew with --output OTHER")
        if (self.target / LOG).exists():
            folder = self._make_staging()
            shutil.copyfile(self.target / LOG, folder / LOG)
            return folder
        raise UsageError(f"nothing to resume: there is no {self._partial(1)}", "run it once without --resume")

    @contextmanager
    def _telling(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise UsageError(
                f"cannot write {self.folder / name}: {reason}", "make room or access, then go on with --resume"
            ) from error

    def write(self, name: str, content: Content) -> Path:
        """Write one file atomically; content that writes itself takes care of that."""
        path = self.folder / name
        draft = path.with_name(path.name + ".tmp")
        with self._telling(name):
            path.parent.mkdir(parents=True, exist_ok=True)
            if callable(content):
                content(path)
                return path
            try:
                draft.write_bytes(content if isinstance(content, bytes) else content.encode())
                os.replace(draft, path)
            except OSError:
                draft.unlink(missing_ok=True)
                raise
        return path

    def write_npz(self, name: str, values: Mapping[str, Value]) -> None:
        """Write values as an npz that loads without pickle."""
        draft = self.folder / f"{name}.tmp.npz"
        with self._telling(name):
            np.savez(draft, **to_npz(values))  # type: ignore[arg-type]
            os.replace(draft, self.folder / name)

    def log(self, record: Mapping[str, Any]) -> None:
        """One line of log.jsonl, on disk at once."""
        with self._telling(LOG):
            self._log.write(json.dumps(record) + "\n")
            self._log.flush()

    def also_found(self, signature: str, detail: str, model: Content, suffix: str = ".onnx") -> None:
        """Keep a candidate that fails otherwise, once per signature."""
        if signature and signature not in self._also:
            path = f"{ALSO}/{signature}{suffix}"
            self.write(path, model)
            self._also[signature] = {"signature": signature, "detail": detail, "path": path}

    def knows(self, signature: str) -> bool:
        """Whether a candidate with this signature is kept already."""
        return signature in self._also

    @property
    def others(self) -> tuple[Mapping[str, Any], ...]:
        """The other failures that were met."""
        return tuple(self._also.values())

    def commit(self) -> Path:
        """Put the folder in its place; the old one goes only when the new one stands."""
        self._close()
        old = None
        with self._telling(""):
            (self.folder / OWNER).unlink(missing_ok=True)
            if self.target.exists():
                old = self.target.with_name(f"{self.target.name}.old-{os.getpid()}-{int(time.time())}")
                os.rename(self.target, old)
            os.rename(self.folder, self.target)
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)
        return self.target

    def release(self) -> None:
        """Leave the staging folder to a later --resume, with the best so far in it."""
        self._close()
        try:
            self.pending.flush()
            (self.folder / OWNER).unlink(missing_ok=True)
        except (OSError, UsageError):
            return  # the folder is full, read-only or gone: the process id in it will be found dead

    def discard(self) -> None:
        """Remove the staging folder."""
        self._close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _close(self) -> None:
        try:
            self._log.close()
        except OSError:
            return  # the disk is full: what could be written was flushed line by line


def read_log(path: Path) -> list[dict[str, Any]]:
    """The records of a log; a last line that was cut off while it was written is left out."""
    records = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records


def _heal(path: Path) -> None:
    """End a line that was cut off, so that the next one does not become part of it."""
    raw = path.read_bytes()
    if raw and not raw.endswith(b"\n"):
        with open(path, "ab") as stream:
            stream.write(b"\n")


def _is_owned(folder: Path) -> bool:
    """Whether the process that works in the folder is alive."""
    try:
        os.kill(int((folder / OWNER).read_text()), 0)
    except (OSError, ValueError):
        return False
    return True
