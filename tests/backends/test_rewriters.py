"""Rewriters as systems under test: fakes that raise, break and lie, and the real tools where they are installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from reducer import registry
from reducer.cli import main
from reducer.engine.verdict import Verdict
from reducer.errors import UsageError
from reducer.localizers.rewrites import PassSearch
from reducer.observation import FAILED, PASSED
from reducer.oracles.crash import CURED, CrashOracle
from reducer.oracles.ladder import Plan, choose, climb
from reducer.oracles.limits import Limits
from reducer.oracles.mismatch import MismatchOracle
from reducer.oracles.prober import Prober
from reducer.oracles.trial import Trials
from reducer.signature import Vocabulary, of_observation
from reducer.switchboards.base import Case
from reducer.switchboards.rewriting import RewriterBoard
from reducer.systems import system_under_test
from reducer.testcase import Tolerance
from reducer.worker.host import Host
from reducer.worker.protocol import Call
from tests.fakes.rewriters import ALL
from tests.models import feeds_for, model_of, program_of

ELU = "g (float[2,3] x) => (float[2,3] y) { a = Abs(x) b = Neg(a) c = Elu(b) y = Sigmoid(c) }"
PAD_MAX = """g (float[1,1,4,4] x) => (float[1,1,5,5] y) <int64[8] p = {0,0,1,1,0,0,1,1}> {
  q = Pad(x, p)  y = MaxPool<kernel_shape = [2, 2]>(q)
}"""


def prober_of(host: Host, folder: Path, text: str = ELU) -> tuple[Prober, object]:
    program = program_of(text, folder)
    return Prober(host, {**registry.backends(), **ALL}, feeds_for(program, folder), Tolerance()), program


@pytest.mark.parametrize(
    ("system", "stage"),
    [("rewriter_raises", "optimize"), ("breaks_the_graph", "run"), ("changes_the_meaning", "compare")],
)
def test_what_a_rewriter_can_do_wrong(host: Host, tmp_path: Path, system: str, stage: str) -> None:
    """It raises; ONNX Runtime refuses its result; its result computes something else. The original runs."""
    prober, program = prober_of(host, tmp_path)
    plan = Plan(system=system)
    ladder = climb(prober, program, plan, Limits())  # type: ignore[arg-type]
    aim = choose(ladder, plan)
    assert aim is not None
    assert ladder.of(plan.unoptimized).outcome == PASSED  # type: ignore[union-attr]
    if stage == "compare":
        assert aim.dispute is not None
        assert aim.dispute.odd == system
    else:
        assert aim.observation is not None
        assert (aim.observation.stage, aim.observation.outcome) == (stage, FAILED)
        assert aim.observation.probe.backend == system


def test_a_model_that_runs_nowhere_is_not_the_rewriters_fault(host: Host, tmp_path: Path) -> None:
    text = "g (float[4,2] t, int64[2] i) => (float[2,2] y) { e = Elu(t) y = Gather(e, i) }"
    prober, program = prober_of(host, tmp_path, text)
    prober.feeds.give({"i": np.array([0, 9])})
    plan = Plan(system="breaks_the_graph")
    aim = choose(climb(prober, program, plan, Limits()), plan)  # type: ignore[arg-type]
    assert aim is not None
    assert aim.observation is not None
    assert aim.observation.probe.backend == "onnxruntime"


def test_a_candidate_that_runs_nowhere_has_slipped(host: Host, tmp_path: Path) -> None:
    """Cured means: the same model runs when it is not rewritten."""
    prober, program = prober_of(host, tmp_path)
    plan, limits = Plan(system="breaks_the_graph"), Limits()
    aim = choose(climb(prober, program, plan, limits), plan)  # type: ignore[arg-type]
    assert aim is not None
    assert aim.observation is not None
    words = Vocabulary()
    oracle = CrashOracle(prober, plan.primary, of_observation(aim.observation, words, CURED), words, limits)
    assert oracle.judge(program).verdict is Verdict.INTERESTING  # type: ignore[arg-type]
    without_elu = program_of(ELU.replace("Elu", "Softplus"), tmp_path)
    assert oracle.judge(without_elu).verdict is Verdict.PASSED


class FakeBoard(RewriterBoard):
    backend = tool = project = "changes_the_meaning"

    def how(self, off: object) -> str:
        return f"off={off}"


def test_the_switch_that_matters_is_found(host: Host, tmp_path: Path) -> None:
    prober, program = prober_of(host, tmp_path)
    plan, limits = Plan(system="changes_the_meaning"), Limits()
    aim = choose(climb(prober, program, plan, limits), plan)  # type: ignore[arg-type]
    assert aim is not None
    assert aim.dispute is not None
    trials = Trials(MismatchOracle(prober, aim.dispute, Vocabulary(), limits), prober)
    trials.allow(20, 20.0)
    case, board = Case(program, trials, tmp_path, ""), FakeBoard()  # type: ignore[arg-type]
    survey = board.survey(case)
    search = PassSearch(board, case, survey)
    search.run()
    assert search.sets == [("the_pass",)]
    assert search.cured
    before, after, _ = board.graphs(case, ["the_pass"], survey)
    assert "= Elu (" in before
    assert "= Elu (" not in after
    assert trials.calls <= 8


def reduced(model: onnx.ModelProto, folder: Path, *options: str, code: int = 0) -> dict[str, Any]:
    """finding.json of a run from the command line; {} when nothing fails."""
    path, out = folder / "model.onnx", folder / "out"
    path.write_bytes(model.SerializeToString())
    assert main([str(path), "--quiet", "--output", str(out), *options]) == code
    found: dict[str, Any] = json.loads((out / "finding.json").read_text()) if code == 0 else {}
    return found


def test_the_version_converter_has_no_adapter(tmp_path: Path) -> None:
    """onnx 1.16 to 1.23 cannot convert Identity from opset 16 to 15; the Abs and Neg around it it can."""
    model = model_of("g (float[2] x) => (float[2] y) { a = Abs(x) b = Identity(a) y = Neg(b) }", 16)
    finding = reduced(model, tmp_path, "--backend", "version-converter:15")
    assert (finding["failure"]["stage"], finding["failure"]["symptom"]) == ("optimize", "exception")
    assert finding["reduced"]["op_types"] == {"Identity": 1}
    assert finding["tracker"] == "onnx/onnx"
    assert ("optimize", "failed") in {(rung["stage"], rung["outcome"]) for rung in finding["ladder"]}
    (script,) = [a for a in finding["artifacts"] if a["kind"] == "repro_script"]
    assert script["verified"] == "3/3"
    done = subprocess.run([sys.executable, str(tmp_path / "out" / "repro.py")], capture_output=True, text=True)
    assert done.returncode == 1, done.stdout


def test_a_good_conversion_is_nothing_to_reduce(tmp_path: Path) -> None:
    model = model_of("g (float[2] x) => (float[2] y) { y = Abs(x) }", 13)
    assert reduced(model, tmp_path, "--backend", "version-converter:21", code=1) == {}


@pytest.mark.parametrize(("tool", "culprit"), [("onnxoptimizer", "fuse_pad_into_pool")])
def test_a_pass_of_a_real_tool(tmp_path: Path, tool: str, culprit: str) -> None:
    """A Pad of 0 is fused into MaxPool, which pads with minus infinity (onnxoptimizer 0.3.13 to 0.4.2)."""
    pytest.importorskip(tool)
    finding = reduced(model_of(PAD_MAX), tmp_path, "--backend", tool, "--inputs", str(negative(tmp_path)))
    assert finding["failure"]["symptom"] == "wrong_output"
    (facts,) = finding["optimizers"]
    assert facts["culprits"] == [culprit]
    assert facts["confirmed"]
    assert "Pad (" in facts["before"]
    assert "Pad (" not in facts["after"]
    assert [a["verified"] for a in finding["artifacts"] if a["kind"] == "repro_script"] == ["3/3"]


def negative(folder: Path) -> Path:
    path = folder / "inputs.npz"
    np.savez(path, x=-np.arange(1, 17, dtype="f4").reshape(1, 1, 4, 4))
    return path


@pytest.mark.parametrize("tool", ["onnxslim", "onnxsim", "onnxoptimizer", "onnxscript-optimizer", "openvino"])
def test_a_good_model_passes_every_tool(host: Host, tmp_path: Path, tool: str) -> None:
    pytest.importorskip(tool.partition("-")[0])
    prober, program = prober_of(host, tmp_path, ELU)
    plan = Plan(system=tool)
    ladder = climb(prober, program, plan, Limits())  # type: ignore[arg-type]
    assert ladder.of(plan.primary).outcome == PASSED  # type: ignore[union-attr]
    assert choose(ladder, plan) is None


@pytest.mark.parametrize("tool", ["onnxslim", "onnxsim", "onnxoptimizer", "onnxscript-optimizer"])
def test_with_everything_switched_off_a_tool_leaves_the_nodes(host: Host, tmp_path: Path, tool: str) -> None:
    pytest.importorskip(tool.partition("-")[0])
    path = registry.backends()[tool]
    names = host.call(Call("reducer.worker.rewriting:switches", {"backend": path})).value["names"]
    assert len(names) == len(set(names)) > 10
    model = model_of("g (float[2,3] x) => (float[3,2] y) { a = Identity(x) b = Transpose(a) y = Identity(b) }")
    arguments = {"backend": path, "options": {"off": ";".join(names)}}
    answer = host.call(Call("reducer.worker.rewriting:rewritten", arguments, (model.SerializeToString(),)))
    assert answer.value["text"].count("= Transpose") == 1


@pytest.mark.parametrize(
    ("spec", "message", "hint"),
    [
        ("onnxslimm", "there is no backend 'onnxslimm'", "did you mean onnxslim?"),
        ("zzz", "there is no backend 'zzz'", "known: "),
        ("onnx-checker", "there is no backend 'onnx-checker'", ""),
        ("version-converter:x", "takes a number, not 'x'", "for example --backend version-converter:21"),
        ("onnxoptimizer:3", "takes no value", "type --backend onnxoptimizer"),
        ("onnxruntime:all", "takes no value", "--opt-level"),
    ],
)
def test_a_wrong_name_is_one_clear_line(host: Host, tmp_path: Path, spec: str, message: str, hint: str) -> None:
    prober, _ = prober_of(host, tmp_path)
    with pytest.raises(UsageError) as raised:
        system_under_test(spec, prober)
    assert message in str(raised.value)
    assert hint in raised.value.hint


def test_a_missing_tool_says_what_to_install(host: Host, tmp_path: Path) -> None:
    prober, _ = prober_of(host, tmp_path)
    prober.backends = {**prober.backends, "lacking": "tests.fakes.lacking:Lacking"}
    with pytest.raises(UsageError, match="lacking is not installed here") as raised:
        system_under_test("lacking", prober)
    assert raised.value.hint == "pip install the-package"


def test_a_rewriter_is_named_without_importing_it(host: Host) -> None:
    before = set(sys.modules)
    for name, path in registry.backends().items():
        from reducer.systems import backend_class

        assert backend_class(path).name == name
    assert not {"onnxslim", "onnxsim", "onnxoptimizer", "onnxscript", "openvino"} & (set(sys.modules) - before)


def test_another_runtime_that_refuses_what_the_rest_runs(tmp_path: Path) -> None:
    """Strings are compared by ONNX Runtime; OpenVINO (2026.4) takes no such model. A candidate counts only while ONNX
    Runtime runs it."""
    pytest.importorskip("openvino")
    text = "g (float[2] x) => (bool[2] y) { s = Cast<to = 8>(x) t = Identity(s) e = Equal(t, t) y = Not(e) }"
    model = model_of(text, 19)
    finding = reduced(model, tmp_path, "--backend", "openvino")
    assert finding["failure"]["backend"] == "openvino"
    assert finding["tracker"] == "openvinotoolkit/openvino"
    assert finding["reduced"]["reproduced"] == "3/3"
