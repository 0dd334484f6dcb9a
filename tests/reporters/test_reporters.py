"""Reports rendered from findings made by hand; scripts are run, in a fresh process, from another folder."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnx
import pytest
from rich.console import Console

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
from reporters.finding_json import FindingJson
from reporters.issue import BODY_LIMIT, IssueDraft, tracker_of
from reporters.privacy import scrub
from reporters.rendering import fenced
from reporters.repro import ReproScript, literal
from reporters.terminal import print_ladder, print_summary
from tests.conftest import ROOT

SCHEMA = json.loads((ROOT / "docs" / "finding.schema.json").read_text())
HEAD = '<ir_version: 8, opset_import: ["" : 17]>\n'
NO_KERNEL = HEAD + "g (double[2] x) => (double[2] y) { y = Elu(x) }"
FINE = HEAD + "g (float[2] x) => (float[2] y) { y = Elu(x) }"
OTHER = HEAD + "g (double[2] x) => (double[2] y) { y = NoSuchOperator(x) }"
ORT = Probe("onnxruntime", {"opt_level": "all", "provider": "CPUExecutionProvider"})
LOAD = Reproduction(
    "exception", "load", (ORT,), error_class="NotImplemented", fragments=("Could not find an implementation for Elu",),
    model_text=NO_KERNEL,
)  # fmt: skip


def finding_of(repro: Reproduction | None, **changes: Any) -> Finding:
    failure = Failure(
        "load", "exception", SignatureFacts("0123456789abcdef", "NotImplemented", "no kernel for Elu"),
        "no implementation for Elu in /home/planted/model.onnx", "onnxruntime (all)",
    )  # fmt: skip
    facts: dict[str, Any] = {
        "tool_version": "1.2.3",
        "status": "reduced",
        "source": Source("onnx", "/home/planted/net.onnx", 303, 115_630, "00", "maker 1", {"ai.onnx": 17}),
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


def run_script(repro: Reproduction, folder: Path, model: str | None = None) -> subprocess.CompletedProcess[str]:
    (document,) = ReproScript().render(finding_of(repro))
    text = document.text
    assert "reducer" not in text
    assert "reporters" not in text
    if model is not None:
        text = text.replace((repro.model_text or "").strip(), model.strip())
    (folder / "repro.py").write_text(text)
    return subprocess.run(
        [sys.executable, str(folder / "repro.py")], cwd="/", capture_output=True, text=True, check=False, timeout=60
    )


def vector(values: list[float], dtype: str = "float32") -> Feed:
    return Feed("x", dtype, (len(values),), values)


def test_an_exception_is_there_gone_or_another_one(tmp_path: Path) -> None:
    assert run_script(LOAD, tmp_path).returncode == 1
    assert run_script(LOAD, tmp_path, FINE).returncode == 0
    other = run_script(LOAD, tmp_path, OTHER)
    assert other.returncode == 125
    assert "another failure" in other.stdout


def test_a_missing_package_cannot_be_told(tmp_path: Path) -> None:
    (document,) = ReproScript().render(finding_of(LOAD))
    (tmp_path / "repro.py").write_text(document.text.replace("import onnxruntime as ort", "import not_there as ort"))
    ended = subprocess.run([sys.executable, str(tmp_path / "repro.py")], capture_output=True, check=False)
    assert ended.returncode == 125


def test_a_model_beside_the_script_and_its_inputs(tmp_path: Path) -> None:
    onnx.save(
        onnx.parser.parse_model(HEAD + "g (float[4] x, int64[1] s) => (float[M] y) { y = Reshape(x, s) }"),
        str(tmp_path / "reduced.onnx"),
    )
    np.savez(tmp_path / "inputs.npz", x=np.ones(4, np.float32), s=np.array([3]))
    repro = Reproduction(
        "exception", "run", (ORT,), error_class="Fail", fragments=("Reshape",),
        feeds=(Feed("x", "float32", (4,)), Feed("s", "int64", (1,))),
    )  # fmt: skip
    assert run_script(repro, tmp_path).returncode == 1
    np.savez(tmp_path / "inputs.npz", x=np.ones(4, np.float32), s=np.array([4]))
    assert run_script(repro, tmp_path).returncode == 0


def test_witnesses_that_differ(tmp_path: Path) -> None:
    wrong = HEAD + "g (float[1,1,3] x) => (float[1,1,1] y) { y = GlobalMaxPool(x) }"
    right = HEAD + "g (float[1,1,3] x) => (float[1,1,3] y) { y = Neg(x) }"
    repro = Reproduction(
        "mismatch", "compare", (Probe("reference"), ORT), mismatch="shape", model_text=wrong,
        feeds=(Feed("x", "float32", (1, 1, 3), [[[1.0, 2.0, 3.0]]]),),
    )  # fmt: skip
    assert run_script(repro, tmp_path).returncode == 1
    assert run_script(repro, tmp_path, right).returncode == 0
    assert run_script(replace(repro, mismatch="value"), tmp_path).returncode == 125


@pytest.mark.parametrize(("known", "code"), [([-1.0, -2.0], 0), ([-1.0, 5.0], 1), ([-1.0, math.nan], 125)])
def test_a_difference_from_expected_values(tmp_path: Path, known: list[float], code: int) -> None:
    np.savez(tmp_path / "expected.npz", y=np.array(known, np.float32))
    repro = Reproduction(
        "mismatch", "compare", (ORT,), mismatch="value", feeds=(vector([1.0, 2.0]),),
        model_text=HEAD + "g (float[2] x) => (float[2] y) { y = Neg(x) }",
    )  # fmt: skip
    assert run_script(repro, tmp_path).returncode == code


def test_nan_from_finite_inputs(tmp_path: Path) -> None:
    model = HEAD + "g (float[2] x) => (float[2] y) { y = Sqrt(x) }"
    repro = Reproduction("nan", "run", (ORT,), model_text=model, feeds=(vector([-1.0, 2.0]),))
    assert run_script(repro, tmp_path).returncode == 1
    assert run_script(replace(repro, feeds=(vector([1.0, 2.0]),)), tmp_path).returncode == 0


def test_a_death_becomes_an_exit_code(tmp_path: Path) -> None:
    model = HEAD + 'g (float[2] x) => (float[2] y) { y = Max(x, "") }'
    repro = Reproduction("death", "run", (ORT,), signal="SIGSEGV", model_text=model, feeds=(vector([1.0, 2.0]),))
    assert run_script(repro, tmp_path).returncode == 1
    assert run_script(replace(repro, signal="SIGABRT"), tmp_path).returncode == 125
    assert run_script(repro, tmp_path, FINE).returncode == 0


def test_a_hang_becomes_an_exit_code(tmp_path: Path) -> None:
    model = (
        HEAD
        + """g (float[1] x) => (float[1] y) {
      n = Constant<value_int = 4611686018427387904>()
      y = Loop(n, "", x) <body = b (int64 i, bool c, float[1] a) => (bool d, float[1] e) { d = Identity(c) e = Neg(a) }>
    }"""
    )
    repro = Reproduction(
        "hang", "run", (ORT,), timeout_seconds=2.0, model_text=model, feeds=(Feed("x", "float32", (1,), [1.0]),)
    )
    assert run_script(repro, tmp_path).returncode == 1
    assert run_script(repro, tmp_path, HEAD + "g (float[1] x) => (float[1] y) { y = Neg(x) }").returncode == 0


def test_a_complaint_of_the_checker(tmp_path: Path) -> None:
    model = HEAD + "g (float[2] x) => (float[2] y) { y = Abs(x) y = Neg(x) }"
    repro = Reproduction(
        "exception", "check", (Probe("onnx-checker"),), error_class="ValidationError",
        fragments=("single static assignment",), model_text=model,
    )  # fmt: skip
    assert run_script(repro, tmp_path).returncode == 1
    assert run_script(repro, tmp_path, FINE).returncode == 0


@pytest.mark.parametrize(
    ("options", "code"),
    [({}, 1), ({"fail_codes": (3,)}, 1), ({"fail_codes": (4,)}, 0), ({"ignore_fail_codes": (3,)}, 0),
     ({"fail_regex": "bo+m"}, 1), ({"fail_regex": "bang"}, 0), ({"fragments": ("something else",)}, 125)],
)  # fmt: skip
def test_a_command(tmp_path: Path, options: dict[str, Any], code: int) -> None:
    command = (sys.executable, "-c", "print('boom'); raise SystemExit(3)", "{}")
    repro = Reproduction("command", "command", (), command=command, **options)
    assert run_script(repro, tmp_path).returncode == code


def test_a_command_that_is_gone_cannot_be_told(tmp_path: Path) -> None:
    assert run_script(Reproduction("command", "command", (), command=("/no/such",)), tmp_path).returncode == 125


def test_a_backend_that_cannot_be_written_down_gets_no_script() -> None:
    assert ReproScript().render(finding_of(replace(LOAD, probes=(Probe("somebody-elses"),)))) == []


def test_a_script_of_one_node_is_short() -> None:
    (document,) = ReproScript().render(finding_of(LOAD))
    assert len(document.text.splitlines()) < 45
    compile(document.text, "repro.py", "exec")


@pytest.mark.parametrize("value", [1.5, math.inf, -math.inf, True, "a'b\n", [[1], []], math.nan])
def test_literals_are_python(value: Any) -> None:
    again = eval(literal(value))
    assert again == value or (isinstance(value, float) and math.isnan(value) and math.isnan(again))


FORM = ["Describe the issue", "To reproduce", "Urgency", "Platform", "OS Version", "ONNX Runtime Installation",
        "ONNX Runtime Version or Commit ID", "ONNX Runtime API", "Architecture", "Execution Provider",
        "Execution Provider Library Version"]  # fmt: skip
BUG = ["Is the issue related to model conversion?", "Describe the bug", "System information",
       "Reproduction instructions", "Expected behavior", "Notes"]  # fmt: skip


@pytest.mark.parametrize(("project", "headings"), [("onnxruntime", FORM), ("onnx", BUG)])
def test_a_draft_has_the_headings_of_the_form(project: str, headings: list[str]) -> None:
    suspect = Suspect("op", "Elu", "evidence", "act", project)
    (document,) = IssueDraft().render(finding_of(LOAD, suspects=(suspect,)))
    text = re.sub(r"(`{3,}).*?\n\1", "", document.text, flags=re.S)
    assert re.findall(r"^### (.*)$", text, flags=re.M) == headings
    assert document.text.count("```") % 2 == 0
    assert "/home" not in document.text
    assert "planted" not in document.text
    assert "303 to 1 node" in document.text
    assert "3/3" in document.text
    assert len(document.text) < BODY_LIMIT


def test_a_long_draft_is_folded_to_the_limit() -> None:
    long = replace(LOAD, model_text=NO_KERNEL + "# " + "x" * 70_000)
    (document,) = IssueDraft().render(finding_of(long))
    assert len(document.text) <= BODY_LIMIT
    assert "### Execution Provider" in document.text


@pytest.mark.parametrize(
    ("backend", "tracker"),
    [("onnxruntime (all)", "onnxruntime"), ("reference", "onnx"), ("onnx-checker", "onnx"), ("command", "onnxruntime")],
)
def test_without_a_suspect_the_backend_decides_the_tracker(backend: str, tracker: str) -> None:
    finding = finding_of(LOAD, suspects=())
    assert finding.failure is not None
    assert tracker_of(replace(finding, failure=replace(finding.failure, backend=backend))) == tracker


def test_finding_json_is_valid_and_finite() -> None:
    finding = finding_of(LOAD)
    assert finding.failure is not None
    finding = replace(finding, failure=replace(finding.failure, max_abs_diff=math.inf))
    (document,) = FindingJson().render(finding)
    read: Mapping[str, Any] = json.loads(document.text)
    jsonschema.validate(read, SCHEMA)
    assert read["failure"]["max_abs_diff"] is None
    assert document.text.isascii()


def test_the_schema_is_the_contract() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"schema_version": 1}, SCHEMA)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("in /home/me/work/model.onnx: bad", "in model.onnx: bad"),
        ("at C:\\Users\\me\\a.py line 3", "at a.py line 3"),
        ("/onnxruntime_src/core/relu.cc:83 says", "relu.cc:83 says"),
        ("file:///tmp/a/b.onnx", "b.onnx"),
        ("node /layer1/conv/Conv failed", "node /layer1/conv/Conv failed"),
        ("and/or 3/3 fresh", "and/or 3/3 fresh"),
    ],
)
def test_paths_are_scrubbed_and_node_names_are_not(text: str, clean: str) -> None:
    assert scrub(text) == clean


def test_a_fence_is_longer_than_what_it_holds() -> None:
    assert fenced("a ``` b").startswith("````\n")


def shown(finding: Finding) -> str:
    stream = StringIO()
    print_summary(finding, Console(file=stream, width=100), Path("out"))
    return stream.getvalue()


def test_the_summary_names_everything_once() -> None:
    text = shown(finding_of(LOAD))
    for piece in ("303 -> 1 node", "Elu", "3/3", "out/repro.py", "repro.py", "T=double"):
        assert piece in text
    assert "\x1b" not in text


def test_markup_in_names_is_text() -> None:
    suspect = Suspect("op", "[bold]Elu[/bold]", "evidence [red]", "node[0]", None)
    assert "[bold]Elu[/bold]" in shown(finding_of(LOAD, suspects=(suspect,)))


def test_the_ladder_of_a_healthy_model_shows_the_difference() -> None:
    stream = StringIO()
    rungs = (Rung("compare", "all", "passed", "largest absolute difference 3e-07"),)
    finding = finding_of(None, failure=None, reduced=None, ladder=rungs, status="not_reproduced")
    print_ladder(finding, Console(file=stream, width=100))
    assert "largest absolute difference 3e-07" in stream.getvalue()
