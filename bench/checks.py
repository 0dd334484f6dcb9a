"""The lean checks: small scripts that exit 1 on a failing model, as a user would write them for `--check`."""

from __future__ import annotations

CHECKS = {
    "check_ort.py": """
import sys, numpy as np, onnxruntime as ort
ort.set_default_logger_severity(4)
NP = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64, "tensor(bool)": np.bool_}
try:
    so = ort.SessionOptions(); so.intra_op_num_threads = 1
    s = ort.InferenceSession(sys.argv[1], so, providers=["CPUExecutionProvider"])
    r = np.random.default_rng(0)
    s.run(None, {i.name: r.random([d if isinstance(d, int) else 2 for d in i.shape]).astype(NP[i.type]) for i in s.get_inputs()})
except Exception as e:
    print(e); sys.exit(1)
""",
    "check_pair.py": """
import sys, onnx
n = onnx.load(sys.argv[1]).graph.node
erf = any(k.op_type == "Erf" for k in n)
sm = any(k.op_type == "Softmax" and any(a.name == "axis" and a.i == 2 for a in k.attribute) for k in n)
if erf and sm: print("PAIR BUG"); sys.exit(1)
""",
    "check_op.py": """
import sys, onnx
want = sys.argv[2]
if any(k.op_type == want for k in onnx.load(sys.argv[1]).graph.node): print("BUG in", want); sys.exit(1)
""",
    "check_gemm.py": """
import sys, onnx
for k in onnx.load(sys.argv[1]).graph.node:
    if k.op_type == "Gemm" and any(a.name == "transB" and a.i == 1 for a in k.attribute):
        print("GEMM BUG"); sys.exit(1)
""",
    "check_fusion.py": """
import sys, onnx
g = onnx.load(sys.argv[1]).graph
by = {o: n for n in g.node for o in n.output}
const = {i.name for i in g.initializer} | {o for n in g.node if n.op_type == "Constant" for o in n.output}
for n in g.node:
    if n.op_type != "HardSwish": continue
    a = by.get(n.input[0])
    if a is None or a.op_type != "Add" or any(i in const for i in a.input): continue
    if any(i in by and by[i].op_type == "Conv" for i in a.input): print("FUSION BUG"); sys.exit(1)
""",
    "check_slip.py": """
import sys, numpy as np, onnx, onnxruntime as ort
ort.set_default_logger_severity(4)
NP = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
so = ort.SessionOptions(); so.intra_op_num_threads = 1
s = ort.InferenceSession(sys.argv[1], so, providers=["CPUExecutionProvider"])
r = np.random.default_rng(0)
s.run(None, {i.name: r.random([d if isinstance(d, int) else 2 for d in i.shape]).astype(NP[i.type]) for i in s.get_inputs()})
g = onnx.load(sys.argv[1]).graph
by = {o: n for n in g.node for o in n.output}
op = lambda t: by[t].op_type if t in by else None
for n in g.node:
    if n.op_type == "HardSwish" and op(n.input[0]) == "Reshape" and op(by[n.input[0]].input[0]) == "MatMul":
        print("PATTERN BUG"); sys.exit(1)
""",
    "check_wrong.py": """
import sys, numpy as np, onnx, onnxruntime as ort
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
ort.set_default_logger_severity(4)
class HardSwish(OpRun):                       # the simulated backend bug: +0.05 on HardSwish
    op_domain = ""
    def _run(self, x): return ((x * np.clip(x / 6 + 0.5, 0, 1) + 0.05).astype(x.dtype),)
m = onnx.load(sys.argv[1])
NP = {1: np.float32, 11: np.float64, 7: np.int64, 9: np.bool_}
r = np.random.default_rng(0)
feed = {}
ini = {i.name for i in m.graph.initializer}
for i in m.graph.input:
    if i.name in ini: continue
    t = i.type.tensor_type
    feed[i.name] = r.random([d.dim_value or 2 for d in t.shape.dim]).astype(NP[t.elem_type])
so = ort.SessionOptions(); so.intra_op_num_threads = 1
a = ort.InferenceSession(m.SerializeToString(), so, providers=["CPUExecutionProvider"]).run(None, feed)
b = ReferenceEvaluator(m, new_ops=[HardSwish]).run(None, feed)
d = max(float(np.max(np.abs(x - y))) for x, y in zip(a, b))
print("max abs diff", d)
if d > 1e-4: print("MISMATCH"); sys.exit(1)
""",
}

NOIMPL = r"Could not find an implementation for Elu"
