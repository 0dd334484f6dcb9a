"""Paths, user and host do not leave the machine; names of nodes and addresses of pages stay."""

from __future__ import annotations

import pytest

from reporters import privacy
from reporters.privacy import scrub, scrub_paths
from reporters.rendering import fenced, folded


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("in /home/me/work/model.onnx: bad", "in model.onnx: bad"),
        ("(/tmp/x/weights.bin)", "(weights.bin)"),
        ("--log=/var/log/a.log", "--log=a.log"),
        ("cwd /home/me", "cwd ~"),
        ("cwd /Users/me/", "cwd ~"),
        ("the folder /work/my/project/", "the folder project"),
        ('File "/home/me/my models/a b.py", line 3', 'File "a b.py", line 3'),
        ("at C:\\Users\\me\\a.py line 3", "at a.py line 3"),
        ("at C:/Users/me/a.py line 3", "at a.py line 3"),
        ("'C:\\Users\\My Name\\a b.onnx'", "'a b.onnx'"),
        ("\\\\server\\share\\a.onnx is gone", "a.onnx is gone"),
        ("D:\\a\\_work\\1\\s\\core\\graph.cc:12", "graph.cc:12"),
        ("/onnxruntime_src/core/relu.cc:83 says", "relu.cc:83 says"),
        ("/opt/rh/gcc-toolset-14/stl_vector.h", "stl_vector.h"),
        ("/elsewhere/deep/net.onnx.", "net.onnx."),
        ("file:///tmp/a/b.onnx", "b.onnx"),
        ("file:///C:/Users/me/b.onnx", "b.onnx"),
    ],
)
def test_paths_are_cut_to_their_last_part(text: str, clean: str) -> None:
    assert scrub_paths(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        "node /layer1/conv/Conv failed",
        "initializer /encoder/layers.0/attn.q is int64",
        "'/model/conv.weight' and \"/model/conv.bias\"",
        "/Conv_output_0",
        "and/or 3/3 fresh",
        "a ratio of 1/2, shape {1,2}/[3]",
        "see https://github.com/onnx/onnx/blob/main/docs/Operators.md",
        "relative/folder/net.onnx",
        "Error: x:y 12:30",
    ],
)
def test_what_is_no_path_stays(text: str) -> None:
    assert scrub_paths(text) == text


def test_user_and_host_are_masked_unless_they_are_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy, "_user", lambda: "planted")
    monkeypatch.setattr(privacy.socket, "gethostname", lambda: "buildbox7")
    assert scrub("by planted on buildbox7") == "by <user> on <host>"
    monkeypatch.setattr(privacy, "_user", lambda: "model")
    assert scrub("an invalid model") == "an invalid model"


def test_a_fence_is_longer_than_what_it_holds() -> None:
    assert fenced("a ``` b").startswith("````\n")
    assert folded("a\nb", "s", 5) == "a\nb"
    assert folded("a\nb\nc", "s", 1).startswith("<details><summary>s</summary>\n\na")
