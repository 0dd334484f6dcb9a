"""Programs as files: weights inside, weights beside, big constants, and how often the best is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from reducer import pending
from reducer.engine.events import Improved
from reducer.frontends.onnx import load_source
from reducer.pending import Pending
from reducer.programs.base import CutMode
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_tensors import BIG_CONSTANT_BYTES
from reducer.recording import Recorder
from reducer.saving import files_of, outside_bytes, save_model
from reducer.values import append_values
from reducer.workspace import MODEL, Workspace
from tests.models import model_of, program_of

BIG = np.arange(1 << 17, dtype=np.float32)


def big_program(folder: Path) -> OnnxProgram:
    model = model_of("g (float[131072] x) => (float[131072] y) { a = Add(x, w) b = Mul(a, v) y = Mul(b, s) }")
    for name, array in (("w", BIG), ("v", BIG + 1), ("s", np.float32(2))):
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    folder.mkdir(exist_ok=True)
    return OnnxProgram.of(load_source(model, None, folder))


def weights(path: Path) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(str(path)).graph.initializer}


def test_weights_lie_inside_while_they_fit_and_beside_when_not(tmp_path: Path) -> None:
    program, path = big_program(tmp_path / "spill"), tmp_path / "m.onnx"
    assert outside_bytes(program) == 2 * BIG.nbytes
    save_model(program, path, most_inline=1000)
    assert [file.name for file in files_of(path)] == ["m.onnx", "m.onnx.data"]
    assert path.stat().st_size < 1000
    assert np.array_equal(weights(path)["v"], BIG + 1)
    onnx.checker.check_model(str(path))
    save_model(program, path)
    assert files_of(path) == [path]
    assert np.array_equal(weights(path)["w"], BIG)
    assert onnx.load(str(path)) == onnx.ModelProto.FromString(program.model_bytes(inline=True))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["m.onnx", "spill"]


def test_a_program_without_big_weights_is_written_as_it_is(tmp_path: Path) -> None:
    program = program_of("g (float[2] x) => (float[2] y) { y = Abs(x) }", tmp_path)
    save_model(program, tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_bytes() == program.model_bytes()


@pytest.mark.parametrize(("dtype", "shape"), [("float32", (512, 1024)), ("bool", (1 << 21,)), ("float16", (1 << 20,))])
def test_a_big_constant_stays_in_the_store(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    made = (np.arange(np.prod(shape)).reshape(shape) % 100).astype(dtype)
    assert made.nbytes >= BIG_CONSTANT_BYTES
    model = model_of("g (float[2] x) => (float[2] y) { c = Identity(w) d = Identity(c) y = Mul(x, x) }")
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((1,), dtype), "w"))
    append_values(tmp_path / "values.bin", {"before": np.ones(3)})
    refs = append_values(tmp_path / "values.bin", {"c": made})
    program = OnnxProgram.of(load_source(model, tmp_path, tmp_path).learn(values=refs))
    part = program.restrict(frozenset({1}), {"c": CutMode.CONSTANT})
    raw = part.model_bytes()
    assert len(raw) < 1000
    assert part.folder == tmp_path
    assert outside_bytes(part) == made.nbytes
    (tmp_path / "candidate.onnx").write_bytes(raw)
    assert np.array_equal(weights(tmp_path / "candidate.onnx")["c"], made)
    save_model(part, tmp_path / "m.onnx")
    assert np.array_equal(weights(tmp_path / "m.onnx")["c"], made)
    extent = refs["c"].raw_extent()
    assert extent is not None
    assert extent[0] % 64 == 0


def test_a_large_best_is_written_when_it_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(pending.time, "monotonic", lambda: now[0])
    written: list[str] = []
    best = Pending(last=now[0])
    best.offer(lambda: written.append("small"), 0)
    assert written == ["small"]
    best.offer(lambda: written.append("large"), 2_000_000_000)  # 10 s of writing: due after 100 s
    now[0] += 99
    best.tick()
    assert written == ["small"]
    best.offer(lambda: written.append("larger"), 2_000_000_000)
    now[0] += 2
    best.tick()
    best.tick()
    assert written == ["small", "larger"]


def test_an_abandoned_run_keeps_the_pending_best(tmp_path: Path) -> None:
    program = big_program(tmp_path / "spill")
    workspace = Workspace(tmp_path / "out", force=False)
    recorder = Recorder(
        workspace, lambda _: None, print, MODEL, lambda p: lambda path: save_model(p, path), bool, lambda _: 1 << 40
    )
    recorder(Improved(1, 3, program))
    assert not (workspace.folder / MODEL).exists()
    workspace.release()
    assert np.array_equal(weights(workspace.folder / MODEL)["w"], BIG)
