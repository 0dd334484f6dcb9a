"""A module's constructor call, recovered from the module: what it makes has the same state, and nothing needless is
said."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from reducer.worker.pytorch.modules import Unwritable, module_of  # noqa: E402
from reducer.worker.pytorch.naming import named  # noqa: E402
from reducer.worker.pytorch.rebuilding import rebuilt  # noqa: E402

nn = torch.nn
LAYER = "torch.nn.TransformerEncoderLayer(16, 4, dim_feedforward=24, batch_first=True)"


@pytest.mark.parametrize(
    "code",
    [
        "torch.nn.Linear(3, 4)",
        "torch.nn.Linear(3, 4, bias=False).to(torch.float16)",
        "torch.nn.Conv2d(4, 8, (3, 1), padding=(1, 1), groups=2)",
        "torch.nn.LSTM(6, 5, batch_first=True, bidirectional=True)",
        "torch.nn.GRU(6, 5, num_layers=2, dropout=0.25)",
        "torch.nn.RNN(4, 5, nonlinearity='relu')",
        "torch.nn.MultiheadAttention(8, 2, bias=False, kdim=4)",
        LAYER,
        f"torch.nn.TransformerEncoder({LAYER}, 3, norm=torch.nn.LayerNorm((16,)))",
        "torch.nn.TransformerDecoderLayer(8, 2, dim_feedforward=12, activation=torch.nn.functional.gelu)",
        "torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.BatchNorm1d(4, affine=False))",
        "torch.nn.CrossEntropyLoss(label_smoothing=0.2)",
    ],
)
def test_the_call_is_found_again(code: str) -> None:
    assert rebuilt(eval(code, {"torch": torch})).code == code


def test_a_module_that_no_call_of_its_class_makes_is_refused() -> None:
    module = nn.Linear(3, 4)
    module.extra = nn.Parameter(torch.ones(2))
    with pytest.raises(Unwritable, match="makes the same state"):
        rebuilt(module)


def test_the_random_state_is_left_alone() -> None:
    module = nn.Conv1d(2, 3, 2)
    torch.manual_seed(3)
    drawn = torch.rand(4)
    torch.manual_seed(3)
    rebuilt(module)
    assert torch.equal(drawn, torch.rand(4))


class Outer:
    class Inner:
        pass


def test_names_are_the_shortest_public_ones() -> None:
    assert (named(nn.LSTM) or pytest.fail()).code == "torch.nn.LSTM"
    assert (named(nn.functional.gelu) or pytest.fail()).code == "torch.nn.functional.gelu"
    assert (named(nn.utils.rnn.pack_sequence) or pytest.fail()).code == "torch.nn.utils.rnn.pack_sequence"
    assert (named(Outer.Inner) or pytest.fail()).imported == __name__


def test_what_stands_in_no_module_by_name_has_none() -> None:
    class Local:
        pass

    assert named(Local) is None
    assert named(lambda: 1) is None


def test_the_text_may_make_its_module_of_what_it_imports() -> None:
    assert module_of("", {}, "fractions.Fraction(1, 2)", ["import fractions"]) == 0.5
    assert isinstance(module_of("", {}, "torch.nn.ReLU().eval()"), nn.ReLU)
