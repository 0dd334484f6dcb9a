"""Findings made by hand, and rendered scripts run as a user would: fresh process, another folder."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

from reducer.finding import (
    Artifact,
    Failure,
    Feed,
    Finding,
    Probe,
    Reduced,
    Reproduction,
    Rung,
    SearchFacts,
    SignatureFacts,
    Source,
    Suspect,
)
from reporters.repro import ReproScript

HEAD = '<ir_version: 8, opset_import: ["" : 17]>\n'
NO_KERNEL = HEAD + "g (double[2] x) => (double[2] y) { y = Elu(x) }"
FINE = HEAD + "g (float[2] x) => (float[2] y) { y = Elu(x) }"
OTHER = HEAD + "g (double[2] x) => (double[2] y) { y = NoSuchOperator(x) }"
ORT = Probe("onnxruntime", {"opt_level": "all", "provider": "CPUExecutionProvider"})
PLAIN = Probe("onnxruntime", {"opt_level": "none", "provider": "CPUExecutionProvider"})
REFERENCE = Probe("reference")
# Exit codes.
THERE, GONE, UNKNOWN = 1, 0, 125
LOAD = Reproduction(
    "exception", "load", (ORT,), error_class="NotImplemented", fragments=("Could not find an implementation for Elu",),
    model_text=NO_KERNEL, expected_text="the model passes load", actual_text="no implementation for Elu",
)  # fmt: skip


def finding_of(repro: Reproduction | None, **changes: Any) -> Finding:
    """A finding of one Elu cut out of 303 nodes; `changes` replace whole fields."""
    failure = Failure(
        "load", "exception", SignatureFacts("0123456789abcdef", "NotImplemented", "no kernel for Elu"),
        "no implementation for Elu in /home/planted/model.onnx", "onnxruntime (all)",
    )  # fmt: skip
    source = Source("onnx", "/home/planted/net.onnx", 303, 115_630, "00", "maker 1", opsets={"ai.onnx": 17})
    facts: dict[str, Any] = {
        "tool_version": "1.2.3",
        "status": "reduced",
        "source": source,
        "failure": failure,
        "reduced": Reduced("reduced.onnx", 1, 120, {"Elu": 1}, True, "3/3", NO_KERNEL),
        "search": SearchFacts(2, 0.1, 0.05, True),
        "environment": {"python": "3.11", "os": "Linux", "arch": "x86_64", "onnx": "1.2", "onnxruntime": "1.3"},
        "ladder": (Rung("load", "onnxruntime 1.3", "failed", "a | b"),),
        "suspects": (Suspect("type", "Elu", "no CPU kernel for Elu(6) with T=double", "act", "onnxruntime"),),
        "reproduction": repro,
        "artifacts": (Artifact("repro_script", "repro.py", "3/3"),),
    }
    return Finding(**(facts | changes))


def script_of(repro: Reproduction) -> str:
    """The rendered script: Python, and nothing of this project in it."""
    (document,) = ReproScript().render(finding_of(repro))
    assert "reducer" not in document.text
    assert "reporters" not in document.text
    compile(document.text, "repro.py", "exec")
    return document.text


def run_text(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Put the script into the folder and run it from another one."""
    (folder / "repro.py").write_text(text)
    return subprocess.run(
        [sys.executable, str(folder / "repro.py")], cwd="/", capture_output=True, text=True, check=False, timeout=60
    )


def run_script(repro: Reproduction, folder: Path) -> subprocess.CompletedProcess[str]:
    """The same for what is rendered from `repro`."""
    return run_text(script_of(repro), folder)


def run_here(repro: Reproduction, folder: Path) -> int:
    """The exit code, without the second that a fresh process takes to import its packages."""
    path = folder / "repro.py"
    path.write_text(script_of(repro))
    hook = sys.excepthook
    try:
        runpy.run_path(str(path), run_name="__main__")
    except SystemExit as end:
        return int(end.code or 0)
    except Exception:  # noqa: BLE001 - whatever the script lets through goes to its hook
        # Its hook would end this process; test_what_goes_wrong_before_is_no_verdict runs it for real.
        assert sys.excepthook is not hook
        return UNKNOWN
    finally:
        sys.excepthook = hook
    return 0


def vector(values: list[float], dtype: str = "float32") -> Feed:
    """The feed x of rank 1."""
    return Feed("x", dtype, (len(values),), values)
