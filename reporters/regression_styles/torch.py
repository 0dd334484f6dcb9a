"""An end-to-end test of torch.onnx.export: the exported program must give what the module gives."""

from __future__ import annotations

import re
from typing import Any

from reporters.torch_repro import future_of, is_torch, split_imports
from reporters.trackers.base import Facts

FORMS = ("torch-convert", "torch-runtime", "torch-mismatch")


def values(facts: Facts) -> dict[str, Any] | None:
    """None for the legacy exporter, which gives no program to check, and for what needs a file or kills the process."""
    repro = facts.finding.reproduction
    if repro is None or not is_torch(repro) or repro.form not in FORMS or facts.provider != "CPU":
        return None
    exporter, runtime = repro.probes[0].options, repro.probes[1].options
    texts = [repro.model_code or "", *(code for _, code in repro.inputs_code)]
    if (
        set(exporter) & {"dynamic_shapes", "strict"}
        or exporter.get("exporter") == "legacy"
        or runtime.get("opt_level", "all") != "all"
    ):
        return None
    if any("saved[" in text for text in texts):
        return None
    imports, code = split_imports(texts[0].strip())
    return {
        "future": future_of(texts[0]),
        "imports": sorted(set(imports) - {"import torch"}),
        "code": re.sub(r"\bReduced\b", "Model", code),
        "made": repro.made or "Model().eval()",
        "inputs": [text for _, text in repro.inputs_code],
        "opset": exporter.get("opset", ""),
        "compares": repro.stage == "compare",
        "repro": repro,
    }
