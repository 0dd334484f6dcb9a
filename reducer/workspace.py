"""The output folder while it is made: a staging folder beside it, renamed into place at the very end."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reducer.errors import UsageError
from reducer.values import Value, to_npz

MODEL, INPUTS, EXPECTED, LOG = "reduced.onnx", "inputs.npz", "expected.npz", "log.jsonl"
ALSO = "also_found"


class Workspace:
    """Staging for one output folder. Whatever happens, `target` is either untouched or complete."""

    def __init__(self, target: Path, *, force: bool) -> None:
        self.target = target
        if target.exists() and not force:
            raise UsageError(
                f"the output folder exists: {target}", "add --force to replace it, or --output OTHER_FOLDER"
            )
        if target.exists() and not target.is_dir():
            raise UsageError(f"{target} is a file, not a folder", "name another place with --output")
        self.folder = self._make_staging()
        self._log = open(self.folder / LOG, "w", encoding="utf-8")  # noqa: SIM115 - closed in close()
        self.improved = False
        self._also: dict[str, dict[str, Any]] = {}

    def _make_staging(self) -> Path:
        for number in range(1, 1000):
            suffix = ".partial" if number == 1 else f".partial{number}"
            folder = self.target.with_name(self.target.name + suffix)
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

    def write(self, name: str, content: bytes | str) -> Path:
        """Write one file atomically."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(path.name + ".tmp")
        draft.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.replace(draft, path)
        return path

    def write_npz(self, name: str, values: Mapping[str, Value]) -> None:
        """Write values as an npz that loads without pickle."""
        draft = self.folder / f"{name}.tmp.npz"
        np.savez(draft, **to_npz(values))  # type: ignore[arg-type]
        os.replace(draft, self.folder / name)

    def log(self, record: Mapping[str, Any]) -> None:
        """One line of log.jsonl, on disk at once."""
        self._log.write(json.dumps(record) + "\n")
        self._log.flush()

    def also_found(self, signature: str, detail: str, model: bytes, suffix: str = ".onnx") -> None:
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
        self._log.close()
        old = None
        if self.target.exists():
            old = self.target.with_name(f"{self.target.name}.old-{os.getpid()}-{int(time.time())}")
            os.rename(self.target, old)
        os.rename(self.folder, self.target)
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)
        return self.target

    def discard(self) -> None:
        """Remove the staging folder."""
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
