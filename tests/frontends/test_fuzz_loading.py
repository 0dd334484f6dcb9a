"""Mutated models through the loading path: nothing but a UsageError or an EditConflict, in bounded memory."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from reducer.errors import EditConflict, UsageError
from reducer.feeds import FeedBook
from reducer.frontends.external import external_bytes
from reducer.frontends.onnx import count_nodes, load_source, read_model
from reducer.inlining import can_inline
from reducer.programs.onnx import OnnxProgram
from reducer.saving import save_model
from tests.conftest import ROOT
from tests.mutation import mutated, seeds

IN_PROCESS, QUICK, BY_COMMAND = 4000, 300, 40
MOST_MEGABYTES = 600


def folder_with_traps(folder: Path) -> Path:
    """A model's folder with a data file in it, a secret above it, and a pipe that would hang its reader."""
    inner = folder / "model"
    inner.mkdir()
    (inner / "data.bin").write_bytes(b"\0" * 16)
    (folder / "secret.bin").write_bytes(b"secret" * 10)
    os.mkfifo(inner / "fifo")
    return inner


def load(path: Path, spill: Path) -> bool:
    """What a run does with a model before any worker is asked; whether the model could be loaded."""
    try:
        model = read_model(path)
        count_nodes(model)
        external_bytes(model, path)
        source = load_source(model, path.parent, spill)
    except UsageError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 500
        return False
    program = OnnxProgram.of(source)
    book = FeedBook(spill / "feeds.bin")
    book.study(source)
    source.names(), source.op_types(), program.key(), program.size(), can_inline(program)
    some = [program, *(program.restrict(frozenset({node})) for node in program.units()[:20])]
    for candidate in some:
        try:
            book.feeds_of(candidate)
            onnx.ModelProto.FromString(candidate.model_bytes())
            save_model(candidate, spill / "saved.onnx")
        except EditConflict:
            continue
    assert b"secret" not in program.model_bytes()
    return True


def fuzz(folder: Path, count: int, seed: int) -> int:
    rng, models = random.Random(seed), seeds()
    inner = folder_with_traps(folder)
    spill = folder / "spill"
    spill.mkdir()
    loaded = 0
    for number in range(count):
        raw = mutated(rng, rng.choice(models))
        path = inner / "m.onnx"
        path.write_bytes(raw)
        try:
            loaded += load(path, spill)
        except Exception as error:  # pragma: no cover - keeps what broke it
            kept = Path(os.environ.get("ONNX_REDUCE_FUZZ_KEEP", folder)) / f"broke-{seed}-{number}.onnx"
            kept.write_bytes(raw)
            raise AssertionError(f"{type(error).__name__} on {kept}") from error
    return loaded


def test_mutated_models_load_or_are_refused(tmp_path: Path) -> None:
    loaded = fuzz(tmp_path, QUICK, seed=1)
    assert QUICK // 10 < loaded < QUICK


@pytest.mark.slow
def test_many_mutated_models_load_or_are_refused_in_bounded_memory(tmp_path: Path) -> None:
    assert fuzz(tmp_path, IN_PROCESS, seed=2) > IN_PROCESS // 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < MOST_MEGABYTES << 10


@pytest.mark.slow
@pytest.mark.parametrize("number", range(BY_COMMAND))
def test_the_command_line_survives_mutated_models(tmp_path: Path, number: int) -> None:
    rng = random.Random(1000 + number)
    inner = folder_with_traps(tmp_path)
    raw = mutated(rng, rng.choice(seeds()))
    (inner / "m.onnx").write_bytes(raw)
    code = "import resource, sys; from reducer.cli import main; c = main(); "
    code += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); sys.exit(c)"
    ended = subprocess.run(
        [sys.executable, "-c", code, "m.onnx", "--timeout", "5", "--budget-seconds", "20"],
        cwd=inner, capture_output=True, text=True, check=False, timeout=300,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
    )  # fmt: skip
    assert ended.returncode in (0, 1, 2, 130), ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout
    assert int(ended.stderr.splitlines()[-1]) < MOST_MEGABYTES << 10
    assert "secret" not in ended.stdout + ended.stderr.replace("secret.bin", "")
