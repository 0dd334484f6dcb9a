"""The script of a PyTorch finding, as text: what makes the model, how it is captured, inputs that are written into."""

from __future__ import annotations

import ast
from dataclasses import replace

from reducer.finding import Probe, Reproduction
from reporters.torch_repro import split_imports, torch_script
from tests.reporters.builders import finding_of

ADD = "import torch\n\n\nclass Reduced(torch.nn.Module):\n    def forward(self, x):\n        return (x + 1,)"


def script(code: str = ADD, stage: str = "compare", **options: str) -> str:
    """The script of a module with one input."""
    form = "torch-convert" if stage == "convert" else "torch-mismatch"
    probes = (Probe("torch.onnx", {"exporter": "dynamo", **options}), Probe("onnxruntime", {}))
    repro = Reproduction(form, stage, probes, model_code=code, inputs_code=(("x", "torch.ones(2)"),))
    return written(repro)


def written(repro: Reproduction) -> str:
    """The script, which is Python."""
    text = torch_script(finding_of(repro), repro)
    ast.parse(text)
    return text


def test_the_legacy_exporter_gets_copies_of_what_the_module_writes_into() -> None:
    copies = "tuple(value.clone() for value in inputs)"
    assert copies not in script(exporter="legacy")
    for line in ("x.add_(1)", "torch.ops.aten.fill_.Scalar(x, 0.0)", "x[0] = 1", "x[0] += 1"):
        assert copies in script(ADD.replace("return", f"{line}; return"), exporter="legacy"), line
    assert copies not in script(ADD.replace("return", "x.add_(1); return"), exporter="dynamo")


def test_shapes_and_strict_capture_stand_in_the_call() -> None:
    assert "torch.onnx.export(Reduced().eval(), inputs, dynamic_shapes=({0: 'n'},), dynamo=True" in script(
        dynamic_shapes="({0: 'n'},)"
    )
    assert "torch.onnx.export(torch.export.export(Reduced().eval(), inputs, strict=True), dynamo=True" in script(
        strict="True"
    )


def test_a_model_that_needs_no_class_stands_in_the_call_and_gives_one_tensor() -> None:
    probes = (Probe("torch.onnx", {"exporter": "dynamo"}), Probe("onnxruntime", {}))
    inputs = (("x", "torch.ones(2)"),)
    made = "torch.nn.ReLU().eval()"
    repro = Reproduction("torch-mismatch", "compare", probes, model_code="import torch", inputs_code=inputs, made=made)
    text = written(replace(repro, single=True))
    assert f"torch.onnx.export({made}, inputs, dynamo=True" in text
    assert f"for value in [{made}(*[value.clone() for value in inputs])]]" in text
    assert "Reduced" not in text


def test_a_package_is_imported_once() -> None:
    source = "import torch\nimport torch, torch.nn as nn\nfrom torch import fx\n\nX = 1"
    assert split_imports(source) == (["import torch, torch.nn as nn", "from torch import fx"], "X = 1")


def test_what_comes_from_the_future_stands_before_all_others() -> None:
    text = script(f"from __future__ import annotations\n{ADD}")
    compile(text, "repro.py", "exec")  # in the middle it is an error, whose exit code is that of the bug
    assert text.count("from __future__ import annotations") == 1
