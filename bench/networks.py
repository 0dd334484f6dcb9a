"""A tiny graph builder, and plain networks with a failing node in the middle. Fixed seeds."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

OPSET = 17
IR = 8


class B:
    """Tiny graph builder: every helper returns the name of the new tensor."""

    def __init__(self, seed, ch=8):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.inits, self.ch, self.k = [], [], ch, 0

    def fresh(self, p="t"):
        self.k += 1
        return f"{p}{self.k}"

    def init(self, arr, p="w"):
        n = self.fresh(p)
        self.inits.append(nh.from_array(np.asarray(arr, order="C"), n))
        return n

    def op(self, op, ins, n_out=1, **attrs):
        outs = [self.fresh() for _ in range(n_out)]
        self.nodes.append(h.make_node(op, ins, outs, name=f"n{len(self.nodes)}_{op}", **attrs))
        return outs[0] if n_out == 1 else outs

    def conv(self, x, k=3):
        c = self.ch
        w = self.init((self.rng.standard_normal((c, c, k, k)) * (0.7 / (c * k * k) ** 0.5)).astype(np.float32))
        b = self.init((self.rng.standard_normal(c) * 0.1).astype(np.float32), "b")
        return self.op("Conv", [x, w, b], pads=[k // 2] * 4)

    def bn(self, x):
        c = self.ch
        p = [self.init(v.astype(np.float32), "bn") for v in (np.ones(c), np.zeros(c), np.zeros(c), np.ones(c))]
        return self.op("BatchNormalization", [x, *p])

    def bad(self, x):
        """float -> double -> Elu(double) -> float; ORT CPU has no double Elu kernel."""
        d = self.op("Cast", [x], to=T.DOUBLE)
        e = self.op("Elu", [d])
        return self.op("Cast", [e], to=T.FLOAT)

    def model(self, inputs, outputs, opset=OPSET):
        g = h.make_graph(self.nodes, "g", inputs, outputs, self.inits)
        m = h.make_model(g, opset_imports=[h.make_opsetid("", opset)], ir_version=IR, producer_name="polygraphy_cases")
        onnx.checker.check_model(m, full_check=True)
        return m


def vi(name, ty, shape):
    return h.make_tensor_value_info(name, ty, shape)


def img(c, s=12):
    return [1, c, s, s]


def chain(n, mark, seed, mark_at=0.5):
    """Linear CNN-like chain; `mark(builder, x)` inserts the failing node(s)."""
    b = B(seed)
    x, done = "x", False
    while len(b.nodes) < n:
        if not done and len(b.nodes) >= n * mark_at:
            x, done = mark(b, x), True
            continue
        x = b.conv(x)
        x = b.bn(x)
        x = b.op("Relu", [x])
        x = b.op("Sigmoid", [x])
    return b.model([vi("x", T.FLOAT, img(8))], [vi(x, T.FLOAT, img(8))])


def resnet(n, mark, seed, mark_at=0.5):
    """Residual blocks with a squeeze/excite side branch and a long skip each 5 blocks.

    `mark` inserts the failing node(s) inside a residual branch in the middle.
    """
    b = B(seed)
    x, done, blk, long_skip = "x", False, 0, None
    while len(b.nodes) < n:
        y = b.conv(x)
        y = b.op("Relu", [b.bn(y)])
        if not done and len(b.nodes) >= n * mark_at:
            y, done = mark(b, y), True
        y = b.bn(b.conv(y))
        s = b.op("GlobalAveragePool", [y])
        s = b.op("Sigmoid", [b.conv(s, 1)])
        y = b.op("Mul", [y, s])
        x = b.op("Relu", [b.op("Add", [x, y])])
        if blk % 5 == 0:
            if long_skip is not None:
                x = b.op("Tanh", [b.op("Add", [x, long_skip])])
            long_skip = x
        blk += 1
    return b.model([vi("x", T.FLOAT, img(8))], [vi(x, T.FLOAT, img(8))])


def bad_ideal():
    b = B(0)
    n = h.make_node("Elu", ["x"], ["y"])
    b.nodes.append(n)
    return b.model([vi("x", T.DOUBLE, [1])], [vi("y", T.DOUBLE, [1])])


def mark_hswish(b, x):
    return b.op("HardSwish", [x])


def mark_death(b, x):
    """Max with an omitted variadic input: ONNX Runtime 1.32 dies of SIGSEGV while running it."""
    return b.op("Max", [x, ""])


def death_ideal():
    b = B(0)
    b.nodes.append(h.make_node("Max", ["x", ""], ["y"]))
    return b.model([vi("x", T.FLOAT, [1])], [vi("y", T.FLOAT, [1])])


def hswish_ideal():
    b = B(0)
    b.nodes.append(h.make_node("HardSwish", ["x"], ["y"]))
    return b.model([vi("x", T.FLOAT, [1])], [vi("y", T.FLOAT, [1])])


def two_nodes(n, seed):
    """Erf at 20 % and Softmax(axis=2) at 80 % of a residual net: both must be there."""
    b = B(seed)
    x, st, blk = "x", 0, 0
    while len(b.nodes) < n:
        if st == 0 and len(b.nodes) >= 0.2 * n:
            x, st = b.op("Erf", [x]), 1
        if st == 1 and len(b.nodes) >= 0.8 * n:
            x, st = b.op("Softmax", [x], axis=2), 2
        y = b.op("Relu", [b.bn(b.conv(x))])
        x = b.op("Tanh", [b.op("Add", [x, b.conv(y)])])
        blk += 1
    return b.model([vi("x", T.FLOAT, img(8))], [vi(x, T.FLOAT, img(8))])


def two_ideal():
    b = B(0)
    b.nodes += [h.make_node("Erf", ["x"], ["e"]), h.make_node("Softmax", ["e"], ["y"], axis=2)]
    return b.model([vi("x", T.FLOAT, [1, 1, 1])], [vi("y", T.FLOAT, [1, 1, 1])])


def masked_model(seed):
    """Non-monotone failure: the wrong value of HardSwish is hidden at some later tensors (Mul by 0
    then recovered through a skip), so 'prefix fails' is not monotone in the node order."""
    b = B(seed)
    x = "x"
    for _ in range(20):
        x = b.op("Tanh", [b.conv(x)])
    x = b.op("HardSwish", [x])
    keep = x
    zero = b.init(np.zeros((1, 8, 1, 1), np.float32), "zero")
    y = b.op("Mul", [x, zero])
    for _ in range(30):
        y = b.op("Tanh", [b.conv(y)])
    x = b.op("Add", [y, keep])
    for _ in range(5):
        x = b.op("Neg", [x])
    return b.model([vi("x", T.FLOAT, img(8))], [vi(x, T.FLOAT, img(8))])
