"""Symbolic and open dims of inputs get the size that their feed has, where the failure does not need them open."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from reducer.drafts import Draft, DraftEdit, dims_of, set_dims
from reducer.errors import EditConflict
from reducer.passes.base import ReductionPass, Stage
from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_size import is_small


@dataclass(frozen=True)
class FixDims(DraftEdit):
    """All open dims, those of the input `name`, or those that are called `symbol`."""

    name: str = ""
    symbol: str = ""

    def change(self, draft: Draft) -> None:
        changed = False
        for value in draft.model.graph.input:
            fed = draft.fed.get(value.name)
            if fed is None or not fed.is_tensor or (self.name and value.name != self.name):
                continue
            dims = dims_of(value)
            if dims is not None and len(dims) != len(fed.shape):
                continue
            known = dims if dims is not None else [None] * len(fed.shape)
            new = [
                size if not isinstance(dim, int) and (not self.symbol or dim == self.symbol) else dim
                for dim, size in zip(known, fed.shape, strict=True)
            ]
            if new != dims:
                set_dims(value, new)
                changed = True
        if not changed:
            raise EditConflict("no open dim")
        draft.forget_shapes()

    def __str__(self) -> str:
        return f"{self.symbol or self.name or 'all open dims'} fixed"


class FixedDims(ReductionPass[OnnxProgram]):
    """All at once, then by symbol, then by input."""

    name: ClassVar[str] = "fixed dims"
    stage: ClassVar[Stage] = Stage.SIMPLIFY
    rank: ClassVar[int] = 38

    def propose(self, program: OnnxProgram) -> Iterable[FixDims]:
        if not is_small(program):
            return []
        found = [(value.name, dims_of(value)) for value in Draft.of(program).model.graph.input]
        open_inputs = [name for name, dims in found if dims is None or any(not isinstance(d, int) for d in dims)]
        symbols = sorted({d for _, dims in found for d in dims or [] if isinstance(d, str)})
        if not open_inputs:
            return []
        return [FixDims(), *(FixDims(symbol=s) for s in symbols), *(FixDims(name) for name in open_inputs)]
