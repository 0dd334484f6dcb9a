"""Arguments of a call as code over tensors: containers, dataclasses, and what a function made."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from reducer.worker.pytorch.feeding import Maker, Watching, fed, feed_of, fields_of, odd_in  # noqa: E402
from reducer.worker.pytorch.modules import Unwritable  # noqa: E402

Pair = namedtuple("Pair", ["left", "right"])


@dataclass
class Batch:
    """Two tensors and a flag."""

    data: Any
    sizes: Any
    sort: bool = True


class Sum(torch.nn.Module):
    """Reads the fields of a batch, and an option."""

    def forward(self, batch: Any, *, scale: float = 1.0) -> Any:
        """One tensor."""
        return batch.data.sum() * scale + batch.sizes.sum()


def test_nested_containers_and_options_are_written_around_the_tensors() -> None:
    call = (({"a b": [torch.ones(1), 2], "c": None},), {"mask": torch.ones(2), "hard": True})
    feed = feed_of(call, {})
    assert feed.code == "self.inner({'a b': [x0_a_b_0, 2], 'c': None}, mask=mask, hard=True)"
    assert list(feed.values) == ["x0_a_b_0", "mask"]
    assert not feed.is_plain


def test_tensors_alone_are_a_plain_call() -> None:
    assert feed_of(((torch.ones(1), torch.ones(2)), {}), {}).is_plain


def test_a_dataclass_is_made_of_its_fields_inside_the_module() -> None:
    batch = Batch(torch.ones(3), torch.tensor([1, 2]))
    feed = feed_of(((batch,), {"scale": 2.0}), {})
    assert feed.code == f"self.inner({__name__}.Batch(data=x0_data, sizes=x0_sizes, sort=True), scale=2.0)"
    assert feed.imported == [__name__]


def test_the_module_behind_its_call_gives_the_same() -> None:
    packed = torch.nn.utils.rnn.pack_padded_sequence
    rnn = torch.nn.GRU(2, 3, batch_first=True)
    x, sizes = torch.randn(2, 4, 2), torch.tensor([4, 2])
    maker = Maker(packed, {"input": x, "lengths": sizes, "batch_first": True})
    feed = feed_of(((packed(x, sizes, True),), {}), {"x0": maker})
    made = fed(rnn, feed)(*feed.values.values())
    assert torch.equal(made[1], rnn(packed(x, sizes, True))[1])


def test_the_outermost_function_of_torch_is_the_maker() -> None:
    parts = [torch.ones(3, 2), torch.ones(1, 2)]
    with Watching((torch.nn.utils.rnn.PackedSequence,)) as watching:
        made = torch.nn.utils.rnn.pack_sequence(parts, enforce_sorted=True)
    maker = watching.maker_of(made)
    assert maker is not None
    assert maker.function is torch.nn.utils.rnn.pack_sequence
    assert list(maker.given) == ["sequences"]  # the other one is its default
    assert watching.maker_of(object()) is None


def test_what_cannot_be_written_is_refused_and_named() -> None:
    with pytest.raises(Unwritable, match="no literal for object"):
        feed_of(((object(),), {}), {})
    assert [name for name, _ in odd_in((1, [object()]), {"k": {"z": object()}})] == ["x1_0", "k_z"]


def test_fields_of_what_has_none() -> None:
    assert fields_of(Pair(1, 2)) == {"left": 1, "right": 2}
    assert fields_of((1, 2)) is None
    assert fields_of(Batch) is None
