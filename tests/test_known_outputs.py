"""Wrong outputs that only known right outputs tell: what may be followed, and what came in with a cut value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from reducer.finding import Finding
from reducer.progress import Progress
from reducer.sessions.onnx import OnnxSession
from reducer.settings import Settings
from tests.models import model_of

# ONNX Runtime resizes with align_corners as if the scales were kept; the operator in front of it keeps the reference
# evaluator from running the whole.
RESIZE = """g (float[1,1,2,4] x) => (float[1,1,1,2] y) {
  scales = Constant<value = float[4] {1.0, 1.0, 0.6, 0.6}>()
  a = Abs(x) f = com.microsoft.FastGelu(a) s = Sub(f, f) p = Add(a, s)
  r = Resize<mode: string = "linear", coordinate_transformation_mode: string = "align_corners">(p, "", scales)
  n = Neg(r) m = Neg(n) y = Relu(m)
}"""
# The model says Elu where LeakyRelu was meant: every runtime does as it says.
WRONG = """g (float[4] x) => (float[4] y) {
  a = Neg(x) b = Elu(a) c = Tanh(b) y = Add(c, b)
}"""


def reduced(model: onnx.ModelProto, feeds: dict[str, np.ndarray], right: dict[str, np.ndarray], at: Path) -> Finding:
    onnx.save(model, str(at / "m.onnx"))
    np.savez(at / "in.npz", **feeds)  # type: ignore[arg-type]
    np.savez(at / "right.npz", **right)  # type: ignore[arg-type]
    settings = Settings(output=at / "o", inputs=at / "in.npz", expected=at / "right.npz")
    quiet = Progress()
    with OnnxSession(settings, str(at / "m.onnx"), quiet, quiet.say) as session:
        return session.run()


def test_what_lies_behind_the_culprit_is_not_blamed(tmp_path: Path) -> None:
    model = model_of(RESIZE)
    model.opset_import.add(domain="com.microsoft", version=1)
    x = np.arange(1, 9, dtype=np.float32).reshape(1, 1, 2, 4)
    plain = model_of(RESIZE.replace("com.microsoft.FastGelu", "Abs"))  # the zero that is added is the same
    right = ReferenceEvaluator(plain).run(None, {"x": x})[0]
    finding = reduced(model, {"x": x}, {"y": right}, tmp_path)
    assert finding.failure is not None
    assert finding.failure.stage == "compare", finding.failure.message
    assert finding.reduced is not None
    assert finding.reduced.op_types == {"Resize": 1}
    # From the point on at which the reference evaluator gives the known outputs, it stands for them.
    assert "reference" in finding.failure.message
    assert finding.suspects[0].name == "Resize"


def test_a_model_that_is_wrong_itself_is_not_cut_where_nobody_knows_what_is_right(tmp_path: Path) -> None:
    x = np.array([0.5, 1.0, 2.0, -3.0], np.float32)
    leaky = np.where(-x < 0, -x * 0.01, -x)
    finding = reduced(model_of(WRONG), {"x": x}, {"y": np.tanh(leaky) + leaky}, tmp_path)
    assert finding.failure is not None
    assert "all witnesses agree with each other" in finding.failure.message
    assert finding.failure.witnesses is None
    assert finding.reduced is not None
    assert finding.reduced.nodes == 4
    assert "all witnesses compute" in (finding.tracker_why or "")


@pytest.mark.parametrize("op", ["Neg", "Abs"])
def test_a_node_is_not_bypassed_against_known_outputs(op: str, tmp_path: Path) -> None:
    # With the node bypassed anything differs from them; both nodes are on the way to the output.
    x = np.array([1.0, -2.0], np.float32)
    right = np.array([9.0, 9.0], np.float32)
    finding = reduced(
        model_of(f"g (float[2] x) => (float[2] y) {{ a = {op}(x) b = Exp(a) y = Relu(b) }}"),
        {"x": x},
        {"y": right},
        tmp_path,
    )
    assert finding.reduced is not None
    assert finding.reduced.nodes == 3
