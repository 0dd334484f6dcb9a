"""Signatures: what is masked, what stays, and what may never match."""

from __future__ import annotations

import pytest

from reducer.observation import FAILED, Observation, Probe
from reducer.signature import Vocabulary, literal_fragments, normalise, of_observation

NAMES = Vocabulary(frozenset({"vg_h", "/g/Squeeze", "Relu", "enc/w:0", "x.1"}), frozenset({"Relu", "Max", "IsInf"}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("for Max(13) node with name 'a_1'", "for Max(13) node with name 'b/c_22'"),
        ("Node (/g/Squeeze) Op (Squeeze) bad", "Node (vg_h) Op (Squeeze) bad"),
        ("Input shape:{8}, requested shape:{3,3}", "Input shape:{16,2}, requested shape:{5}"),
        ("/a/b/reshape_helper.h:91 fails", "/onnxruntime_src/c/reshape_helper.h:104 fails"),
        ("idx=50 must be within [-50,49]", "idx=7 must be within [-7,6]"),
        ("\x1b[31mat 0x7ffe01\x1b[0m", "at 0x55aa"),
        ("Load model from /tmp/x/m.onnx failed:Type Error", "Type Error"),
        ("input 'enc/w:0' is lost", "input 'x.1' is lost"),
        ("2026-01-02 10:11:12.123 [E:onnxruntime:, x.cc:1 f] boom", "boom"),
        ("Node:'' fails", "Node:'abc_1' fails"),
    ],
)
def test_two_occurrences_of_one_bug_are_equal(one: str, other: str) -> None:
    assert normalise(one, NAMES) == normalise(other, NAMES)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("no kernel for Max(13)", "no kernel for Relu(13)"),
        ("no kernel for Max(13)", "no kernel for Max(12)"),
        ("Type 'tensor(float16)' of IsInf", "Type 'tensor(double)' of IsInf"),
        ("9 : NOT_IMPLEMENTED : x", "1 : FAIL : x"),
        ("relu_clip_fusion.cc: bad", "conv_integer.cc: bad"),
    ],
)
def test_two_bugs_stay_two(one: str, other: str) -> None:
    assert normalise(one, NAMES) != normalise(other, NAMES)


def test_an_operator_that_shares_its_name_with_a_tensor_stays() -> None:
    assert "Relu" in normalise("no kernel for (Relu) node", NAMES)


def test_the_id_depends_on_stage_backend_class_and_context() -> None:
    def seen(**changes: str) -> str:
        facts = {"backend": "onnxruntime", "stage": "load", "error": "Fail", "message": "m", "context": ""} | changes
        observation = Observation(Probe(facts["backend"]), facts["stage"], FAILED, facts["error"], facts["message"])
        return of_observation(observation, NAMES, facts["context"]).id

    ids = [seen(), seen(stage="run"), seen(backend="reference"), seen(error="InvalidGraph"), seen(context="cured")]
    assert len(set(ids)) == 5
    assert seen() == seen()


def test_fragments_are_literal_pieces_of_the_raw_message() -> None:
    message = "[X] : 9 : NOT_IMPLEMENTED : Could not find an implementation for Max(13) node with name 'Max_151'"
    pieces = literal_fragments(normalise(message, NAMES), message)
    assert pieces
    assert all(piece in message for piece in pieces)
    assert not any("Max_151" in piece for piece in pieces)
