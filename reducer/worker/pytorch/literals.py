"""Python code for the values and arguments of a candidate. What stands in the repro script is evaluated here first,
so that the script and the candidate are one thing (child side)."""

from __future__ import annotations

import math
from typing import Any

# Longer recorded values go to inputs.npz beside the script.
MOST_LITERALS = 1024
SAVED = "saved"


def argument(value: Any) -> str:
    """An argument of a call as code; raises TypeError for what has no literal."""
    import torch

    if isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool):
        return argument(value.node.hint)
    if isinstance(value, bool | int | str) or value is None or value is ...:
        return "..." if value is ... else repr(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else f'float("{value}")'
    if isinstance(value, complex):
        return f"complex({argument(value.real)}, {argument(value.imag)})"
    if isinstance(value, torch.device):
        return f'torch.device("{value}")'
    if isinstance(value, torch.dtype | torch.layout | torch.memory_format):
        return str(value)
    if isinstance(value, slice):
        return f"slice({argument(value.start)}, {argument(value.stop)}, {argument(value.step)})"
    if isinstance(value, list):
        return "[" + ", ".join(map(argument, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(argument, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{argument(k)}: {argument(v)}" for k, v in value.items()) + "}"
    if (dimension := _dimension(value)) is not None:
        return dimension
    raise TypeError(f"no literal for {type(value).__name__}")


def _dimension(value: Any) -> str | None:
    """A dynamic dimension as code; None for what is none."""
    import torch

    if isinstance(value, torch.export.Dim):
        bounds = [f", {end}={held}" for end, held in (("min", value.min), ("max", value.max)) if 1 < held < 1 << 31]
        return f"torch.export.Dim({value.__name__!r}{''.join(bounds)})"
    if (hint := getattr(getattr(value, "type", None), "name", "")) and type(value) is type(torch.export.Dim.AUTO):
        return f"torch.export.Dim.{hint}"
    return None


def tensor(name: str, value: Any, kind: str) -> str:
    """A tensor as code. `kind`: recorded, ones, arange or seeded (torch.manual_seed comes before all inputs)."""
    import torch

    shape = ", ".join(map(str, value.shape))
    dtype = "" if value.dtype == torch.float32 else f", dtype={value.dtype}"
    bare = f"({shape})" if shape else "(())"
    if kind == "ones":
        return f"torch.ones{bare[:-1]}{dtype})"
    if kind == "arange":
        flat = f"torch.arange({value.numel()}, dtype={value.dtype})"
        return flat if value.dim() == 1 else f"{flat}.reshape({shape or '()'})"
    if kind == "seeded":
        return _seeded(value, shape, bare)
    if value.numel() > MOST_LITERALS:
        wide = value.dtype == torch.bfloat16
        return f"torch.from_numpy({SAVED}[{name!r}])" + (".to(torch.bfloat16)" if wide else "")
    # What numbers are without being told.
    if value.numel() and value.dtype in (torch.float32, torch.int64, torch.bool):
        return f"torch.tensor({_nested(value)})"
    return f"torch.tensor({_nested(value)}, dtype={value.dtype})" + (f".reshape({shape})" if 0 in value.shape else "")


def _seeded(value: Any, shape: str, bare: str) -> str:
    import torch

    if value.dtype == torch.bool:
        return f"torch.rand{bare} > 0.5"
    if not value.dtype.is_floating_point and not value.dtype.is_complex:
        low, high = (int(value.min()), int(value.max()) + 1) if value.numel() else (0, 1)
        size = f"({shape},)" if value.dim() == 1 else f"({shape})"
        dtype = "" if value.dtype == torch.int64 else f", dtype={value.dtype}"
        return f"torch.randint({low}, {high}, {size}{dtype})"
    return f"torch.randn{bare}" + ("" if value.dtype == torch.float32 else f".to({value.dtype})")


def _nested(value: Any) -> str:
    """Nested lists with the shortest numbers that give the same bits."""
    import numpy as np
    import torch

    if value.dim():
        return "[" + ", ".join(_nested(item) for item in value) + "]"
    if value.dtype.is_floating_point:
        item = value.item()
        if not math.isfinite(item):
            return f'float("{item}")'
        narrow = value.dtype in (torch.float32, torch.float16, torch.bfloat16)
        return str(np.float32(item)) if narrow else repr(item)
    return argument(value.item())


def with_saved_as(code: str, old: str, new: str) -> str:
    """The code that reads a saved array under another name."""
    return code.replace(f"{SAVED}[{old!r}]", f"{SAVED}[{new!r}]")


def evaluate(code: str, saved: dict[str, Any]) -> Any:
    """The tensor that `tensor` wrote down."""
    import torch

    return eval(code, {"torch": torch, SAVED: saved, "complex": complex})  # our own text
