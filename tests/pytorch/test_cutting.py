"""Cuts of captured graphs: the places where cutting torch graphs goes wrong (needs torch, opens no runtime)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")

from reducer.worker.pytorch import adapter, failures, judging, literals  # noqa: E402
from reducer.worker.pytorch.candidate import build  # noqa: E402
from reducer.worker.pytorch.cutting import Uncuttable, cut  # noqa: E402
from reducer.worker.pytorch.graph import Level, of_program, record, table  # noqa: E402
from reducer.worker.pytorch.isolation import each, note  # noqa: E402
from reducer.worker.pytorch.loading import Unusable, load  # noqa: E402
from reducer.worker.pytorch.modules import imports_of, module_of, neutral_names, source_of  # noqa: E402
from reducer.worker.pytorch.ties import is_tie  # noqa: E402


class Net(torch.nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(4, 4)
        self.register_buffer("seen", torch.zeros(4))

    def forward(self, x: Any, *, scale: Any) -> Any:
        h = self.fc(x) * scale["by"]
        values, indices = torch.topk(h, 2)
        dead = torch.sin(h)  # noqa: F841 - a sink that reaches no output
        self.seen.add_(1)
        c = torch.fft.rfft(h)
        split = h.split(2, dim=-1)
        return {"v": values, "i": indices}, torch.view_as_real(c) * 2, torch.cat(split, -1), h.shape[0]


@pytest.fixture(scope="module")
def level() -> Level:
    torch.manual_seed(0)
    args, kwargs = (torch.randn(3, 4),), {"scale": {"by": torch.tensor(2.0)}}
    program = adapter.capture(Net().eval(), args, kwargs)
    return of_program(program, args, kwargs)


def test_inputs_that_only_order_side_effects_get_a_value(tmp_path: Path) -> None:
    class Checked(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            # Decomposed with an assertion on its result: a token becomes the first input of the graph.
            return torch.linalg.cholesky(x @ x.T + 4 * torch.eye(3)).sum()

    args = (torch.eye(3),)
    program = adapter.prepare(adapter.capture(Checked(), args, {}), None)
    kinds = [spec.kind.name for spec in program.graph_signature.input_specs]
    assert "TOKEN" in kinds, "torch no longer makes a token here: find another operator"
    values = of_program(program, args, {}).values
    assert any("cholesky" in name for name in values)


def by_target(level: Level, name: str) -> int:
    return next(row["id"] for row in table(level) if name in row["target"])


def test_every_single_node_and_the_whole_are_modules_that_run_and_give_what_was_recorded(level: Level) -> None:
    rows = table(level)
    for keep in [*({row["id"]} for row in rows), {row["id"] for row in rows}]:
        try:
            made = cut(level, frozenset(keep))
        except Uncuttable:
            continue
        outputs = made.module(*made.values)
        assert outputs
        assert all(isinstance(value, torch.Tensor) for value in outputs)
    linear = cut(level, frozenset({by_target(level, "linear")}))
    torch.testing.assert_close(linear.module(*linear.values)[0], level.values["linear"])


def test_getitems_go_with_the_node_that_they_pick_apart(level: Level) -> None:
    made = cut(level, frozenset({by_target(level, "topk")}))
    assert len(made.module(*made.values)) == 2
    assert not any(row["target"].endswith("getitem") for row in table(level))


def test_a_sink_that_reaches_no_output_is_an_output_of_the_cut(level: Level) -> None:
    made = cut(level, frozenset({by_target(level, "sin")}))
    torch.testing.assert_close(made.module(*made.values)[0], level.values["sin"])


def test_a_list_that_a_kept_node_reads_comes_in_item_by_item(level: Level) -> None:
    made = cut(level, frozenset({by_target(level, "cat")}))
    assert len(made.inputs) == 2
    torch.testing.assert_close(made.module(*made.values)[0], level.values["cat"])


def test_a_complex_edge_is_an_input_that_onnx_sees_as_pairs(level: Level) -> None:
    made = cut(level, frozenset({by_target(level, "view_as_real")}))
    (value,) = made.inputs.values()
    assert value.is_complex()
    assert judging.numpy_of(value).shape == (*value.shape, 2)


def test_recording_and_running_change_neither_inputs_nor_buffers(level: Level) -> None:
    before = {name: value.clone() for name, value in level.values.items() if isinstance(value, torch.Tensor)}
    whole = cut(level, frozenset(level.ids.values()))
    whole.module(*whole.values)
    whole.module(*whole.values)
    for name, value in before.items():
        torch.testing.assert_close(level.values[name], value)


def test_parameters_are_inputs_or_stay_constants(level: Level) -> None:
    node = frozenset({by_target(level, "linear")})
    assert set(cut(level, node).inputs) == {"x", "p_fc_weight", "p_fc_bias"}
    fixed = cut(level, node, level.constants.__contains__)
    assert set(fixed.inputs) == {"x"}
    assert set(fixed.constants) == {"p_fc_weight", "p_fc_bias"}


def test_the_text_of_a_cut_is_the_cut(level: Level) -> None:
    order = {"keep": [by_target(level, "topk"), by_target(level, "linear")], "edits": [], "constants": True}
    built = build(level, order)
    text = source_of(built.cut, {name: code for name, code in built.code.items() if name in built.cut.constants})
    assert imports_of(text, own=False) == ["import torch"]
    inputs = [literals.evaluate(built.code[name], {}) for name in built.cut.inputs]
    for made, expected in zip(module_of(text, {})(*inputs), built.cut.module(*built.cut.values), strict=True):
        torch.testing.assert_close(made, expected, rtol=0, atol=0)


def test_names_of_inputs_and_constants_tell_nothing_of_the_users_code(level: Level) -> None:
    order = {"keep": [by_target(level, "topk"), by_target(level, "linear")], "edits": [], "constants": True}
    built = build(level, order)
    names = neutral_names(built.cut)
    codes = {name: code for name, code in built.code.items() if name in built.cut.constants}
    text = source_of(built.cut, codes, names)
    assert {name for name in names if len(name) > 2 and name in text} == set()
    assert "self.c0" in text
    assert "def forward(self, x0" in text
    inputs = [literals.evaluate(built.code[name], {}) for name in built.cut.inputs]
    for made, expected in zip(module_of(text, {})(*inputs), built.cut.module(*built.cut.values), strict=True):
        torch.testing.assert_close(made, expected, rtol=0, atol=0)
    code = literals.with_saved_as("torch.from_numpy(saved['fc_weight'])", "fc_weight", "c0")
    assert code == "torch.from_numpy(saved['c0'])"


def test_edits_of_arguments_sizes_and_values(level: Level) -> None:
    topk = by_target(level, "topk")
    edits = [["resize", 3, 1], ["values", "*", "arange"]]
    built = build(level, {"keep": [topk], "edits": edits, "constants": False})
    ((name, value),) = built.cut.inputs.items()
    assert built.code[name] == "torch.arange(4, dtype=torch.float32).reshape(1, 4)"
    assert built.cut.module(value)[0].tolist() == [[3.0, 2.0]]


def test_an_argument_at_its_default_leaves_the_call(level: Level) -> None:
    linear = by_target(level, "linear")
    assert "bias" in table(level)[linear]["arguments"]
    built = build(level, {"keep": [linear], "edits": [["default", linear, "bias"]], "constants": False})
    assert "p_fc_bias" not in built.cut.inputs


def test_a_higher_order_node_brings_its_graphs() -> None:
    class Branch(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return torch.cond(x.sum() > 0, lambda v: v.sin(), lambda v: v.cos(), (x,)) + 1

    program = adapter.capture(Branch(), (torch.ones(3),), {})
    level = of_program(program, (torch.ones(3),), {})
    row = next(row for row in table(level) if row["target"] == "higher_order.cond")
    assert row["inner"]
    made = cut(level, frozenset({row["id"]}))
    torch.testing.assert_close(made.module(*made.values)[0], torch.ones(3).sin())
    text = source_of(made, {})
    assert text.count("(torch.nn.Module):") == 3
    torch.testing.assert_close(module_of(text, {})(*made.inputs.values())[0], torch.ones(3).sin())


def test_random_and_uninitialised_nodes_are_marked() -> None:
    class Noise(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return x + torch.randn_like(x) + torch.empty_like(x) * 0

    program = adapter.capture(Noise(), (torch.ones(3),), {})
    marks = {row["target"]: row["random"] for row in table(of_program(program, (torch.ones(3),), {}))}
    assert {name for name, random in marks.items() if random} == {"aten.randn_like.default", "aten.empty_like.default"}


def test_what_could_drop_out_and_does_not_is_not_random() -> None:
    class Attention(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, p: float) -> None:
            super().__init__()
            self.p = p

        def forward(self, x: Any) -> Any:
            return torch.nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=self.p)

    for p, random in ((0.0, False), (0.5, True)):
        x = torch.ones(1, 2, 8, 4)
        level = of_program(adapter.capture(Attention(p), (x,), {}), (x,), {})
        assert [row["random"] for row in table(level)] == [random]


def test_equal_values_in_another_order_are_a_tie() -> None:
    class Top(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return torch.topk(x, 2)

    x = torch.tensor([1.0, 1.0, 1.0, 0.0])
    program = adapter.capture(Top(), (x,), {})
    made = cut(of_program(program, (x,), {}), frozenset({0}))
    values = record(made.module, made.values)
    right = [judging.numpy_of(value) for value in made.module(*made.values)]
    swapped = [right[0], right[1][::-1].copy()]
    assert is_tie(made.module, values, swapped)
    wrong = right[1].copy()
    wrong[0] = 3
    assert not is_tie(made.module, values, [right[0], wrong])


def test_an_archive_that_unpickles_is_refused(tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "net.pt2"
    torch.export.save(adapter.capture(torch.nn.Linear(2, 2), (torch.ones(1, 2),), {}), path)
    subject = {"target": str(path), "cwd": str(tmp_path)}
    assert load(subject).program is not None
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("net/data/constants/custom_obj_0", b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(Unusable, match="pickled objects") as raised:
        load(subject)
    assert "--trust" in raised.value.hint


def test_a_death_and_a_hang_cost_one_item_each() -> None:
    def run(item: str) -> dict[str, Any]:
        import faulthandler
        import os
        import signal
        import time

        note("translate")
        if item == "die":
            faulthandler.disable()
            os.kill(os.getpid(), signal.SIGFPE)
        if item == "hang":
            time.sleep(60)
        return {"step": item}

    found = list(each(run, ["a", "die", "b", "hang", "c"], 3.0))
    assert [report.get("step") for report in found] == ["a", None, "b", None, "c"]
    assert found[1] == {"died": "SIGFPE", "at": "translate"}
    assert found[3] == {"hung": 3.0, "at": "translate"}


def test_the_users_line_and_module_of_a_failed_capture() -> None:
    class Data(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return x + 1 if x.sum() > 0 else x

    with pytest.raises(adapter.StepFailed) as raised:
        adapter.capture(Data(), (torch.ones(3),), {})
    report = failures.describe(raised.value.error, raised.value.step)
    assert report["step"] == failures.CAPTURE
    assert report["module"].endswith("Data")
    assert "test_cutting.py" in report["line"]
    assert "x.sum() > 0" in report["line"]
