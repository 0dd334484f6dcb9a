"""test_regression.cc states what the model states, a compiler takes it, and nothing is written beyond that."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from reducer.finding import Feed, Finding, OptimizerFacts, Reproduction
from reporters import cpp_literals as cpp
from reporters.regression_cpp import CppRegressionTest
from tests.reporters.builders import HEAD, LOAD, ORT, PLAIN, finding_of, vector

STAND_INS = Path(__file__).with_name("cpp") / "stand_ins.h"
COMPILER = shutil.which("g++")
CLIP = HEAD + "g (float[2] x) => (float[2] y) <float m = {1.5}> { y = Clip(x, , m) }"
OPERATOR = Reproduction(
    "mismatch", "compare", (PLAIN, ORT), mismatch="value", model_text=CLIP,
    feeds=(vector([1.0, float("inf")]),), expected=(Feed("y", "float32", (2,), [1.0, 1.5]),),
)  # fmt: skip
CHAIN = (
    HEAD
    + """g (float16[2,2] x) => (float16[n,2] y) <float16[2] w = {1, 2}, float16[2,2] t> {
    t = Transpose <perm = [1, 0]> (x)
    y = Mul(t, w)
}"""
)
GRAPH = replace(OPERATOR, probes=(ORT, PLAIN), model_text=CHAIN, expected=(),
                feeds=(Feed("x", "float16", (2, 2), [[1.0, 2.0], [0.1, 4.0]]),))  # fmt: skip
BLAMED = (OptimizerFacts("onnxruntime", {"none": "passes", "basic": "passes", "extended": "fails", "all": "fails"},
                         ("MulFusion",), ("MulFusion",), True),)  # fmt: skip


def written(finding: Finding) -> str | None:
    documents = CppRegressionTest().render(finding)
    for document in documents:
        assert (document.kind, document.path) == ("regression_test", "test_regression.cc")
        return document.text
    return None


def operator(**changes: object) -> Finding:
    return finding_of(replace(OPERATOR, **changes), tracker="onnxruntime")  # type: ignore[arg-type]


def transformer(**changes: object) -> Finding:
    return finding_of(replace(GRAPH, **changes), tracker="onnxruntime", optimizers=BLAMED)  # type: ignore[arg-type]


def compiled(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    if COMPILER is None:
        pytest.skip("needs g++")
    for name in re.findall(r'#include "(.*)"', text):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f'#include "{STAND_INS}"\n')
    (folder / "test_regression.cc").write_text(text)
    command = [
        COMPILER,
        "-fsyntax-only",
        "-std=c++20",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-I",
        str(folder),
        "test_regression.cc",
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


ATTRIBUTES = (
    HEAD
    + """g (float[2] x) => (float[2] y) {
    y = Any <f = 0.5, i = -3, s = "a\\"b", fs = [1.5, 2.0], is = [1, 2], ss = ["a", "b"]> (x) }"""
)


@pytest.mark.parametrize(
    "finding",
    [operator(), transformer(), transformer(model_text=CHAIN.replace("y = Mul(t, w)", "y = Clip(t, , w)"))],
    ids=["operator", "transformer", "empty"],
)
def test_a_compiler_takes_it(finding: Finding, tmp_path: Path) -> None:
    text = written(finding)
    assert text is not None
    ended = compiled(text, tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert compiled(text.replace(");", ", undeclared);", 1), tmp_path).returncode != 0


def test_every_kind_of_attribute(tmp_path: Path) -> None:
    text = written(operator(model_text=ATTRIBUTES.replace('a\\"b', "ab")))
    assert text is not None
    for line in ('"f", 0.5f', '"i", static_cast<int64_t>(-3)', '"s", "ab"', '"fs", std::vector<float>{1.5f, 2.0f}',
                 '"is", std::vector<int64_t>{1, 2}', '"ss", std::vector<std::string>{"a", "b"}'):  # fmt: skip
        assert f"test.AddAttribute({line});" in text
    ended = compiled(text, tmp_path)
    assert ended.returncode == 0, ended.stderr


def test_one_operator_with_what_is_right() -> None:
    text = written(operator())
    assert text is not None
    for line in ('OpTester test("Clip", 17);', 'AddInput<float>("m", {}, {1.5f}, true);',
                 "AddOptionalInputEdge<float>();",
                 'AddInput<float>("x", {2}, {1.0f, std::numeric_limits<float>::infinity()});',
                 'AddOutput<float>("y", {2}, {1.0f, 1.5f});', 'SetOutputAbsErr("y", 0.001f);'):  # fmt: skip
        assert line in text, text


def test_a_graph_at_two_levels() -> None:
    text = written(transformer())
    assert text is not None
    for line in ("// Without MulFusion", "MakeInput<MLFloat16>", "MLFloat16(0.1f)", 'AddNode("Transpose", {t0}, {t2})',
                 'AddAttribute("perm", std::vector<int64_t>{1, 0});', "TransformerLevel::Level2", "MakeOutput();",
                 "MakeIntermediate<MLFloat16>(std::vector<int64_t>{2, 2});"):  # fmt: skip
        assert line in text, text


@pytest.mark.parametrize(
    "finding",
    [
        operator(expected=()),
        operator(probes=(ORT, PLAIN)),
        operator(model_text=CLIP.replace("float[2] x", "float[n] x")),
        operator(model_text=CLIP.replace("Clip(x, , m)", "Clip(x, m, m)")),
        operator(model_text=CLIP.replace("= Clip", "= some.domain.Clip").replace('17]', '17, "some.domain" : 1]')),
        operator(model_text=CLIP + "no model"),
        finding_of(OPERATOR, tracker="onnx"),
        finding_of(LOAD, tracker="onnxruntime"),
        finding_of(GRAPH, tracker="onnxruntime"),
        finding_of(GRAPH, tracker="onnxruntime", optimizers=(replace(BLAMED[0], culprits=()),)),
        finding_of(GRAPH, tracker="onnxruntime", optimizers=(replace(BLAMED[0], levels={"none": "fails"}),)),
    ],
    ids=["no values", "not plain", "symbolic", "twice", "domain", "text", "tracker", "load", "no pass", "no name",
         "all"],
)  # fmt: skip
def test_nothing_is_written_that_the_model_does_not_state(finding: Finding) -> None:
    assert written(finding) is None


def test_literals() -> None:
    assert cpp.elements([-(2**63), 3], "int64") == "std::numeric_limits<int64_t>::min(), 3"
    assert cpp.elements([2**64 - 1], "uint64") == "18446744073709551615ULL"
    assert cpp.elements([1e30, -0.0], "float32") == "1e+30f, -0.0f"
    assert cpp.elements([float("nan"), float("-inf")], "float64") == (
        "std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity()"
    )
    assert cpp.elements([0.0] * 65, "float32") is None
    assert cpp.text('a"\\') == '"a\\"\\\\"'
    assert cpp.text("\n") is None
    assert cpp.attribute([]) is None
