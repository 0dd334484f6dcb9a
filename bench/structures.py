"""Networks whose shape is the difficulty: bodies, functions, shape chains, skips, sequences, a big weight."""

from __future__ import annotations

import numpy as np
import onnx
from networks import IR, OPSET, B, img, vi
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh


def _branch(prefix, n, seed, bad_at):
    """A branch graph (no inputs, captures `cap`) with n nodes."""
    rng = np.random.default_rng(seed)
    nodes, inits, x = [], [], "cap"
    i = 0
    while len(nodes) < n:
        if bad_at is not None and len(nodes) >= bad_at:
            for op, at, o in (("Cast", {"to": T.DOUBLE}, "d"), ("Elu", {}, "e"), ("Cast", {"to": T.FLOAT}, "f")):
                nodes.append(h.make_node(op, [x], [f"{prefix}_{o}"], **at))
                x = f"{prefix}_{o}"
            bad_at = None
            continue
        y = f"{prefix}_t{i}"
        if i % 3 == 0:
            w = f"{prefix}_w{i}"
            inits.append(nh.from_array(rng.standard_normal((1, 8, 1, 1)).astype(np.float32), w))
            nodes.append(h.make_node("Mul", [x, w], [y]))
        else:
            nodes.append(h.make_node(["Tanh", "Sigmoid"][i % 2], [x], [y]))
        x, i = y, i + 1
    return h.make_graph(nodes, prefix, [], [vi(x, T.FLOAT, img(8))], inits)


def if_model(seed):
    b = B(seed)
    x = "x"
    for _ in range(8):
        x = b.op("Relu", [b.bn(b.conv(x))])
    b.nodes.append(h.make_node("Identity", [x], ["cap"]))
    s = b.op("ReduceSum", [x], keepdims=0)
    zero = b.init(np.array(-1e9, np.float32), "thr")
    c = b.op("Greater", [s, zero])
    y = b.fresh()
    b.nodes.append(
        h.make_node(
            "If", [c], [y], name="theIf", then_branch=_branch("th", 30, 1, 15), else_branch=_branch("el", 12, 2, None)
        )
    )
    x = y
    for _ in range(8):
        x = b.op("Relu", [b.bn(b.conv(x))])
    return b.model([vi("x", T.FLOAT, img(8))], [vi(x, T.FLOAT, img(8))])


def if_ideal():
    b = B(0)
    th = h.make_graph([h.make_node("Elu", ["x"], ["a"])], "th", [], [vi("a", T.DOUBLE, [1])])
    el = h.make_graph([h.make_node("Identity", ["x"], ["bq"])], "el", [], [vi("bq", T.DOUBLE, [1])])
    b.nodes.append(h.make_node("If", ["c"], ["y"], then_branch=th, else_branch=el))
    return b.model([vi("c", T.BOOL, []), vi("x", T.DOUBLE, [1])], [vi("y", T.DOUBLE, [1])])


def loop_model(seed):
    b = B(seed)
    x = "x"
    for _ in range(8):
        x = b.op("Relu", [b.bn(b.conv(x))])
    body = _branch("lb", 30, 3, 15)
    for n in body.node:
        for i, nm in enumerate(n.input):
            if nm == "cap":
                n.input[i] = "lx"
    out = body.output[0].name
    bodyg = h.make_graph(
        [*body.node, h.make_node("Identity", ["lc"], ["lco"])],
        "body",
        [vi("li", T.INT64, []), vi("lc", T.BOOL, []), vi("lx", T.FLOAT, img(8))],
        [vi("lco", T.BOOL, []), vi(out, T.FLOAT, img(8))],
        list(body.initializer),
    )
    trip = b.init(np.array(2, np.int64), "trip")
    cond = b.init(np.array(True), "cond")
    y = b.fresh()
    b.nodes.append(h.make_node("Loop", [trip, cond, x], [y], name="theLoop", body=bodyg))
    x = y
    for _ in range(8):
        x = b.op("Relu", [b.bn(b.conv(x))])
    return b.model([vi("x", T.FLOAT, img(8))], [vi(x, T.FLOAT, img(8))])


def loop_ideal():
    b = B(0)
    body = h.make_graph(
        [h.make_node("Identity", ["lc"], ["lco"]), h.make_node("Elu", ["lx"], ["ly"])],
        "body",
        [vi("li", T.INT64, []), vi("lc", T.BOOL, []), vi("lx", T.DOUBLE, [1])],
        [vi("lco", T.BOOL, []), vi("ly", T.DOUBLE, [1])],
    )
    b.nodes.append(h.make_node("Loop", [b.init(np.array(1, np.int64)), "", "x"], ["y"], body=body))
    return b.model([vi("x", T.DOUBLE, [1])], [vi("y", T.DOUBLE, [1])])


def fn_ideal():
    f = h.make_function("local", "Block", ["a"], ["b"], [h.make_node("Elu", ["a"], ["b"])], [h.make_opsetid("", OPSET)])
    g = h.make_graph(
        [h.make_node("Block", ["x"], ["y"], domain="local")], "g", [vi("x", T.DOUBLE, [1])], [vi("y", T.DOUBLE, [1])]
    )
    return h.make_model(
        g, opset_imports=[h.make_opsetid("", OPSET), h.make_opsetid("local", 1)], ir_version=IR, functions=[f]
    )


def shape_model(seed, layers=10, mark=lambda b, x: b.bad(x)):
    """Dynamic-batch transformer-ish net with Shape/Gather/Concat/Reshape; failing node in the middle."""
    b = B(seed)
    d, hd = 16, 4
    x = "x"
    for ly in range(layers):
        if ly == layers // 2:
            x = mark(b, x)
        w = b.init((b.rng.standard_normal((d, d)) * 0.25).astype(np.float32))
        q = b.op("MatMul", [x, w])
        s = b.op("Shape", [x])
        dims = []
        for i in range(2):
            g = b.op("Gather", [s, b.init(np.array(i, np.int64), "i")], axis=0)
            dims.append(b.op("Unsqueeze", [g, b.init(np.array([0], np.int64), "ax")]))
        shp = b.op("Concat", [*dims, b.init(np.array([d // hd, hd], np.int64), "sh")], axis=0)
        r = b.op("Transpose", [b.op("Reshape", [q, shp])], perm=[0, 2, 1, 3])
        a = b.op("Softmax", [b.op("MatMul", [r, b.op("Transpose", [r], perm=[0, 1, 3, 2])])], axis=-1)
        o = b.op("Transpose", [b.op("MatMul", [a, r])], perm=[0, 2, 1, 3])
        shp2 = b.op("Concat", [*dims, b.init(np.array([d], np.int64), "sh")], axis=0)
        o = b.op("Reshape", [o, shp2])
        x = b.op("Add", [x, o])
    return b.model([vi("x", T.FLOAT, ["batch", "seq", d])], [vi(x, T.FLOAT, ["batch", "seq", d])])


def skip_fusion_model(seed, n=200):
    """U-Net like: Conv -> Add(deep, skip from the start) -> HardSwish; a fusion-like failure that
    needs the three nodes and BOTH Add inputs non-constant."""
    b = B(seed)
    x = "x"
    for _ in range(3):
        x = b.op("Relu", [b.bn(b.conv(x))])
    skip = x
    while len(b.nodes) < n - 12:
        y = b.op("Relu", [b.bn(b.conv(x))])
        x = b.op("Tanh", [b.op("Add", [x, b.conv(y)])])
    x = b.op("HardSwish", [b.op("Add", [b.conv(x), skip])])
    for _ in range(3):
        x = b.op("Relu", [b.bn(b.conv(x))])
    return b.model([vi("x", T.FLOAT, img(8))], [vi(x, T.FLOAT, img(8))])


def skip_fusion_ideal():
    b = B(0, ch=1)
    c = b.conv("x", 1)
    b.nodes += [h.make_node("Add", [c, "s"], ["a"]), h.make_node("HardSwish", ["a"], ["y"])]
    return b.model([vi("x", T.FLOAT, [1, 1, 1, 1]), vi("s", T.FLOAT, [1, 1, 1, 1])], [vi("y", T.FLOAT, [1, 1, 1, 1])])


def slip_model(seed):
    """Failure needs MatMul -> Reshape(dynamic shape) -> HardSwish; cutting the shape input off makes
    every smaller candidate fail in another way (ORT Reshape error)."""
    b = B(seed)
    d, hd, x = 16, 4, "x"
    for ly in range(10):
        q = b.op("MatMul", [x, b.init((b.rng.standard_normal((d, d)) * 0.25).astype(np.float32))])
        s = b.op("Shape", [x])
        dims = [
            b.op(
                "Unsqueeze",
                [
                    b.op("Gather", [s, b.init(np.array(i, np.int64), "i")], axis=0),
                    b.init(np.array([0], np.int64), "ax"),
                ],
            )
            for i in range(2)
        ]
        shp = b.op("Concat", [*dims, b.init(np.array([d // hd, hd], np.int64), "sh")], axis=0)
        r = b.op("Reshape", [q, shp])
        r = b.op("HardSwish" if ly == 5 else "Tanh", [r])
        x = b.op("Add", [x, b.op("Reshape", [r, b.init(np.array([0, 0, d], np.int64), "sh")])])
    return b.model([vi("x", T.FLOAT, ["batch", "seq", d])], [vi(x, T.FLOAT, ["batch", "seq", d])])


def slip_ideal():
    b = B(0)
    b.nodes += [
        h.make_node("MatMul", ["x", "w"], ["q"]),
        h.make_node("Reshape", ["q", b.init(np.array([1], np.int64))], ["r"]),
        h.make_node("HardSwish", ["r"], ["y"]),
    ]
    return b.model([vi("x", T.FLOAT, [1, 1]), vi("w", T.FLOAT, [1, 1])], [vi("y", T.FLOAT, [1])])


def sequence_model(seed):
    """SplitToSequence/SequenceAt chain before Elu(double): cuts fall on sequence-typed tensors."""
    b = B(seed)
    x = "x"
    for _ in range(6):
        x = b.op("Relu", [b.conv(x)])
    for _ in range(6):
        q = b.op("SplitToSequence", [x], axis=1)
        q = b.op("SequenceInsert", [q, b.op("SequenceAt", [q, b.init(np.array(0, np.int64), "i")])])
        q = b.op("SequenceErase", [q, b.init(np.array(0, np.int64), "i")])
        x = b.op("ConcatFromSequence", [q], axis=1)
    x = b.bad(x)
    for _ in range(4):
        x = b.op("Relu", [b.conv(x)])
    return b.model([vi("x", T.FLOAT, img(8))], [vi(x, T.FLOAT, img(8))])


def optional_model(seed):
    """Case a with Clip(x, '', max) instead of Sigmoid (NVIDIA/TensorRT issue 4571)."""
    b = B(seed)
    x, done = "x", False
    mx = b.init(np.array(6.0, np.float32), "mx")
    while len(b.nodes) < 60:
        if not done and len(b.nodes) >= 30:
            x, done = b.bad(x), True
        x = b.op("Clip", [b.op("Relu", [b.bn(b.conv(x))]), "", mx])
    return b.model([vi("x", T.FLOAT, img(8))], [vi(x, T.FLOAT, img(8))])


def big_model(seed, d=3000):
    """Failing node = HardSwish-like custom check on Gemm(transB=1) with a d x d weight."""
    b = B(seed)
    x = b.op("Relu", ["x"])
    w = b.init(b.rng.standard_normal((d, d)).astype(np.float32) * 0.01)
    x = b.op("Gemm", [x, w], transB=1)
    x = b.op("Tanh", [x])
    return b.model([vi("x", T.FLOAT, [1, d])], [vi(x, T.FLOAT, [1, d])])


def big_ideal():
    b = B(0)
    w = b.init(np.zeros((1, 1), np.float32))
    b.nodes.append(h.make_node("Gemm", ["x", w], ["y"], transB=1))
    return b.model([vi("x", T.FLOAT, [1, 1])], [vi("y", T.FLOAT, [1, 1])])


def fn_model(seed):
    """The failing node sits in a model-local function of 20 nodes, called from a 40-node graph."""
    fb, x = [], "fx"
    for i in range(20):
        op, at = ("Tanh", {})
        if i == 9:
            op, at = "Cast", {"to": T.DOUBLE}
        if i == 10:
            op, at = "Elu", {}
        if i == 11:
            op, at = "Cast", {"to": T.FLOAT}
        fb.append(h.make_node(op, [x], [f"f{i}"], **at))
        x = f"f{i}"
    f = h.make_function("local", "Block", ["fx"], [x], fb, [h.make_opsetid("", OPSET)])
    b = B(seed)
    x = "x"
    for i in range(40):
        if i == 20:
            y = b.fresh()
            b.nodes.append(h.make_node("Block", [x], [y], domain="local", name="call"))
            x = y
        else:
            x = b.op(["Relu", "Sigmoid"][i % 2], [x])
    g = h.make_graph(b.nodes, "g", [vi("x", T.FLOAT, img(8))], [vi(x, T.FLOAT, img(8))], b.inits)
    m = h.make_model(
        g, opset_imports=[h.make_opsetid("", OPSET), h.make_opsetid("local", 1)], ir_version=IR, functions=[f]
    )
    onnx.checker.check_model(m)
    return m
