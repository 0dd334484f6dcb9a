"""What a repro script holds of a user's module: what makes the model, and nothing that only speaks of it."""

from __future__ import annotations

from reducer.worker.pytorch.sources import needed_for

MODULE = '''
"""The speech model of a customer."""
import os, sys
import torch.nn as nn
from math import sqrt

SECRET = "not for others"
WIDTH = 8
NOTES = """Seen by Anna."""
registry = {}
registry["x"] = WIDTH  # runs for its effect


class Unused(nn.Module):
    pass


class Base(nn.Module):
    """What all have in common."""

    def forward(self, x):
        return x * sqrt(WIDTH)  # a comment


class Net(Base):
    """Only words."""


def get_model():
    return Net().eval()


def get_inputs():
    return (os.urandom(1),)
'''


def test_what_the_model_is_made_of_stays_in_order() -> None:
    made = needed_for(MODULE, "get_model")
    space: dict[str, object] = {}
    text = made.replace("import torch.nn as nn", "class nn:\n    Module = type('M', (), {'eval': lambda s: s})")
    exec(text, space)  # our own text
    assert space["get_model"]().forward(1.0) > 2.8  # type: ignore[operator]
    assert space["registry"] == {"x": 8}


def test_what_it_does_not_need_is_not_shown() -> None:
    made = needed_for(MODULE, "get_model")
    for gone in ("SECRET", "Anna", "customer", "Unused", "get_inputs", "comment", "in common", "import os"):
        assert gone not in made, gone


def test_a_class_with_a_decorator_stays_because_that_may_register_it() -> None:
    made = needed_for("import lib\n@lib.register\nclass A:\n    pass\ndef get_model():\n    return 1\n", "get_model")
    assert "class A" in made
    assert "import lib" in made
