"""What a user may ask of a PyTorch run beside the file: dynamic shapes, strict capture, a factory in a module; and
failures that only the whole path shows. From the source to a script that fails alone.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

if importlib.util.find_spec("torch") is None or importlib.util.find_spec("onnxscript") is None:
    pytest.skip("PyTorch or onnxscript is not installed", allow_module_level=True)

from reducer.finding import Finding
from tests.quality.test_torch_samples import run

INPUTS = "def get_model():\n    torch.manual_seed(0)\n    return Net().eval()\n\n\ndef get_inputs():\n    return {}\n"
LINEAR = (
    "import torch\n\n\nclass Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        self.a = torch.nn.Linear(4, 4)\n\n    def forward(self, x):\n        y = self.a(x)\n        {}\n\n\n"
)


def write(folder: Path, line: str, inputs: str = "(torch.ones(3, 4),)") -> Path:
    """A file whose model has a linear layer and that line behind it."""
    path = folder / "net.py"
    path.write_text(LINEAR.format(line) + INPUTS.format(inputs))
    return path


def proven(finding: Finding, folder: Path) -> str:
    """The text of the script, which fails alone in a fresh process."""
    script = next(artifact for artifact in finding.artifacts if artifact.kind == "repro_script")
    assert script.verified == "3/3"
    ended = subprocess.run([sys.executable, str(folder / script.path)], capture_output=True, check=False)
    assert ended.returncode == 1
    return (folder / script.path).read_text()


def test_a_dimension_that_must_be_dynamic_stands_in_the_script(tmp_path: Path) -> None:
    path = write(tmp_path, "return y.reshape(3, 2, 2).sum(1) if x.shape[0] == 3 else y")
    finding = run(path, tmp_path / "out", dynamic_shapes='{"x": {0: "batch"}}')
    assert finding.failure is not None
    assert finding.failure.signature.detail.startswith("capture")
    assert "dynamic_shapes=({0: 'batch'},)" in proven(finding, tmp_path / "out")


def test_what_only_strict_capture_refuses_is_captured_strictly_by_the_script(tmp_path: Path) -> None:
    path = write(tmp_path, 'print(open("/dev/null").read(), end=""); return y')
    finding = run(path, tmp_path / "out", strict=True)
    assert "torch.export.export(Net().eval(), inputs, strict=True)" in proven(finding, tmp_path / "out")


def test_a_factory_in_a_module_gives_model_arguments_and_keywords(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = LINEAR.replace("forward(self, x)", "forward(self, x, *, gate)").format(
        "return y + 1 if gate and y.sum() > 0 else y"
    )
    make = 'def make():\n    return Net().eval(), (torch.ones(3, 4),), {"gate": True}\n'
    (tmp_path / "zoo_of_one.py").write_text(text + make)
    monkeypatch.chdir(tmp_path)
    finding = run(Path("zoo_of_one:make"), tmp_path / "out")
    assert finding.suspects[0].name == "Net"
    script = proven(finding, tmp_path / "out")
    assert "zoo_of_one" not in script
    assert "self.inner(x0, gate=True)" in script


@pytest.mark.slow
def test_a_type_that_the_decomposition_changes_is_found_in_the_captured_graph(tmp_path: Path) -> None:
    path = write(tmp_path, "return torch.softmax(y, 1).cumsum(1), torch.tanh(y)", "(torch.ones(3, 4).half(),)")
    path.write_text(path.read_text().replace("Net().eval()", "Net().half().eval()"))
    finding = run(path, tmp_path / "out")
    assert finding.suspects[0].name == "aten.cumsum.default"
    assert finding.reduced is not None
    assert finding.reduced.nodes == 1
    proven(finding, tmp_path / "out")


@pytest.mark.slow
def test_attention_is_searched_although_it_could_drop_out(tmp_path: Path) -> None:
    line = "return torch.nn.functional.scaled_dot_product_attention(y[None], y[None], y[None], y[None] > 9)"
    path = write(tmp_path, line.replace("y[None] > 9", "(y @ y.T)[None] > 99"), "(torch.randn(1, 3, 4),)")
    path.write_text(path.read_text().replace("y.T", "y.mT"))
    finding = run(path, tmp_path / "out")
    assert finding.suspects[0].name == "aten.scaled_dot_product_attention.default"
    proven(finding, tmp_path / "out")


@pytest.mark.slow
def test_a_write_into_a_view_that_the_legacy_exporter_forgets_has_a_script(tmp_path: Path) -> None:
    path = write(tmp_path, "m = y.clone(); m.t()[0].fill_(0.0); return m @ y.t()")
    finding = run(path, tmp_path / "out", exporter="legacy")
    assert finding.failure is not None
    assert finding.failure.stage == "compare"
    assert "tuple(value.clone() for value in inputs)" in proven(finding, tmp_path / "out")


@pytest.mark.slow
def test_a_function_of_torch_that_the_legacy_exporter_cannot_trace_is_named(tmp_path: Path) -> None:
    line = "f = torch.nn.functional; v, i = f.max_pool1d(y, 2, return_indices=True); return f.max_unpool1d(v, i, 2)"
    finding = run(write(tmp_path, line, "(torch.ones(1, 3, 4),)"), tmp_path / "out", exporter="legacy")
    assert finding.suspects[0].name == "max_unpool1d"
    proven(finding, tmp_path / "out")


@pytest.mark.slow
def test_a_module_with_a_packed_sequence_is_made_anew_with_the_call_that_packs(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text(
        "import torch\n\n\nclass Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.mix, self.rnn = torch.nn.Linear(4, 4), torch.nn.LSTM(4, 5, batch_first=True)\n\n"
        "    def forward(self, x, n):\n        pack = torch.nn.utils.rnn.pack_padded_sequence\n"
        "        return self.rnn(pack(self.mix(x), n, batch_first=True))[1][0]\n\n\n"
        + INPUTS.format("(torch.ones(2, 3, 4), torch.tensor([3, 2]))")
    )
    finding = run(path, tmp_path / "out")
    script = proven(finding, tmp_path / "out")
    assert "self.inner = torch.nn.LSTM(4, 5, batch_first=True)" in script
    assert "pack_padded_sequence(input=x0_input, lengths=x0_lengths, batch_first=True)" in script
    assert len(script.splitlines()) <= 40
