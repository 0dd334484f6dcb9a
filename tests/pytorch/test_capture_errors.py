"""What an error of a module tells: the function of torch that its forward called; and dimensions as torch has them."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from reducer.localizers.export import module_suspects  # noqa: E402
from reducer.worker.pytorch import adapter  # noqa: E402
from reducer.worker.pytorch.failures import CAPTURE, describe  # noqa: E402
from reducer.worker.pytorch.feeding import spread_over  # noqa: E402
from reducer.worker.pytorch.literals import argument  # noqa: E402

Dim = torch.export.Dim


class Loss(torch.nn.Module):
    """A module of a user that calls a function of torch.nn.functional."""

    def forward(self, mean: Any, *, var: Any) -> Any:
        """One number."""
        return torch.nn.functional.gaussian_nll_loss(mean, mean, var)


def told(module: Any) -> dict[str, Any]:
    """The report of what the module raises for a negative variance."""
    with pytest.raises(ValueError, match="negative") as raised:
        module(torch.ones(2), var=-torch.ones(2))
    return describe(raised.value, CAPTURE)


def test_the_function_that_forward_called_is_named_before_the_users_module() -> None:
    report = told(Loss())
    assert report["function"] == "torch.nn.functional.gaussian_nll_loss"
    assert [s.name for s in module_suspects("loss", "net.Loss", report, "dynamo")] == ["gaussian_nll_loss", "Loss"]


def test_a_module_of_torch_is_named_before_the_function_inside() -> None:
    report = {**told(Loss()), "module": "torch.nn.modules.loss.GaussianNLLLoss"}
    assert next(s.name for s in module_suspects("", "net.Net", report, "dynamo")) == "GaussianNLLLoss"


def test_names_of_dimensions_are_dynamic_as_in_the_public_call() -> None:
    assert adapter.dims(({0: "batch", 1: "auto"}, None)) == ({0: Dim.DYNAMIC, 1: Dim.AUTO}, None)


def test_a_specialised_dimension_fails_as_in_the_public_call() -> None:
    class Fixed(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return x.reshape(3, 2) if x.shape[0] == 3 else x

    shapes = ({0: "batch"},)
    with pytest.raises(adapter.StepFailed) as ours:
        adapter.capture(Fixed(), (torch.ones(3, 2),), {}, shapes=adapter.dims(shapes))
    with pytest.raises(adapter.StepFailed) as public:
        adapter.export(Fixed(), (torch.ones(3, 2),), {}, {"dynamic_shapes": shapes})
    one, other = (describe(raised.value.error, raised.value.step) for raised in (ours, public))
    assert (one["step"], one["error"], one["message"]) == (other["step"], other["error"], other["message"])


def test_dynamic_shapes_follow_the_tensors_of_the_call() -> None:
    call = ((torch.ones(1), [torch.ones(1), 2]), {"mask": {"a": torch.ones(1)}})

    class Net(torch.nn.Module):  # type: ignore[misc]
        def forward(self, first: Any, rest: Any, *, mask: Any) -> None:
            pass

    shapes = {"first": {0: "b"}, "rest": [{1: "n"}, None], "mask": {"a": None}}
    assert spread_over(shapes, Net(), call) == {"x0": {0: "b"}, "x1_0": {1: "n"}}
    assert spread_over(({0: "b"}, [None, None]), Net(), call) == {"x0": {0: "b"}}


def test_dimensions_are_written_as_they_were_made() -> None:
    assert argument({0: Dim("b", min=2, max=8), 1: Dim.AUTO}) == (
        "{0: torch.export.Dim('b', min=2, max=8), 1: torch.export.Dim.AUTO}"
    )
