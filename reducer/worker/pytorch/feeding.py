"""The arguments of a call as code over tensors (child side): what has no literal is written by the call that made it
(pack_padded_sequence), or by its fields (a dataclass, a named tuple).
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from reducer.worker.pytorch import literals
from reducer.worker.pytorch.graph import copied
from reducer.worker.pytorch.modules import Unwritable
from reducer.worker.pytorch.naming import function_of, named, space

Call = tuple[tuple[Any, ...], dict[str, Any]]
INNER = "self.inner"


@dataclass(frozen=True)
class Maker:
    """The call that made an object: its function and its arguments by name."""

    function: Any
    given: Mapping[str, Any]


@dataclass
class Feed:
    """A call as code. `values` are its tensors by name, in order; `own` names of the user's file that the code uses,
    `imported` modules."""

    makers: Mapping[str, Maker] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    own: list[str] = field(default_factory=list)
    imported: list[str] = field(default_factory=list)
    code: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether the tensors are the arguments, in order."""
        return self.code == f"{INNER}({', '.join(self.values)})"

    def expression(self, value: Any, name: str) -> str:
        """One argument; tensors become inputs. Raises Unwritable."""
        import torch

        if type(value) is torch.Tensor or type(value) is torch.nn.Parameter:
            self.values[name] = value.detach()
            return name
        if isinstance(value, torch.Tensor):
            raise Unwritable(f"an input of type {type(value).__name__}")
        if name in self.makers:
            maker = self.makers[name]
            return self._called(maker.function, maker.given, name)
        if type(value) in (list, tuple):
            items = [self.expression(item, f"{name}_{number}") for number, item in enumerate(value)]
            closing = ",)" if len(items) == 1 else ")"
            return f"[{', '.join(items)}]" if isinstance(value, list) else f"({', '.join(items)}{closing}"
        if type(value) is dict:
            parts = [f"{key!r}: {self.expression(item, f'{name}_{_word(key)}')}" for key, item in value.items()]
            return "{" + ", ".join(parts) + "}"
        if (fields := fields_of(value)) is not None:
            return self._called(type(value), fields, name)
        try:
            return literals.argument(value)
        except TypeError as error:
            raise Unwritable(str(error)) from error

    def _called(self, function: Any, given: Mapping[str, Any], name: str) -> str:
        known = named(function)
        if known is None:
            raise Unwritable(f"{getattr(function, '__qualname__', function)} has no public name")
        self.own += [known.own] if known.own else []
        self.imported += [known.imported] if known.imported else []
        parts = [f"{key}={self.expression(item, f'{name}_{key}')}" for key, item in given.items()]
        return f"{known.code}({', '.join(parts)})"


def feed_of(call: Call, makers: Mapping[str, Maker]) -> Feed:
    """A call of a module as code. Raises Unwritable for arguments that cannot be written."""
    feed = Feed(makers)
    given = [feed.expression(value, f"x{position}") for position, value in enumerate(call[0])]
    given += [f"{key}={feed.expression(value, key)}" for key, value in call[1].items()]
    feed.code = f"{INNER}({', '.join(given)})"
    return feed


def fed(module: Any, feed: Feed) -> Any:
    """The module behind its call: a module whose arguments are the feed's tensors."""
    import torch

    class Fed(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, *inputs: Any) -> Any:
            return call(self, *inputs)

    call = eval(f"lambda {', '.join(['self', *feed.values])}: {feed.code}", space())  # our own text
    return Fed().train(module.training)


def spread(spec: Any, value: Any, name: str) -> dict[str, Any]:
    """Dynamic shapes of one argument, by the names of the tensors in it that have any."""
    import torch

    if isinstance(value, torch.Tensor):
        return {name: spec} if spec else {}
    parts: dict[str, Any] = {}
    if isinstance(value, (list, tuple)) and isinstance(spec, (list, tuple)):
        for number, (inner, item) in enumerate(zip(spec, value, strict=False)):
            parts |= spread(inner, item, f"{name}_{number}")
    elif isinstance(value, dict) and isinstance(spec, dict):
        for key, item in value.items():
            parts |= spread(spec.get(key), item, f"{name}_{_word(key)}")
    return parts


def spread_over(shapes: Any, module: Any, call: Call) -> dict[str, Any]:
    """Dynamic shapes as torch.export takes them (by the names of forward, or in order), by the names of the tensors."""
    names = [f"x{position}" for position in range(len(call[0]))] + list(call[1])
    bound = list(inspect.signature(module.forward).parameters)[: len(call[0])] + list(call[1])
    values = [*call[0], *call[1].values()]
    by_name = shapes if isinstance(shapes, dict) else dict(zip(bound, shapes or (), strict=False))
    return {
        k: v
        for n, b, value in zip(names, bound, values, strict=False)
        for k, v in spread(by_name.get(b), value, n).items()
    }


def fields_of(value: Any) -> dict[str, Any] | None:
    """What a dataclass or a named tuple is made of; None for anything else."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value) if item.init}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: getattr(value, name) for name in value._fields}
    return None


def odd(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """(name as `Feed` has it, object) of what is neither tensor, plain container nor literal."""
    import torch

    if isinstance(value, torch.Tensor):
        return
    if type(value) in (list, tuple):
        for number, item in enumerate(value):
            yield from odd(item, f"{name}_{number}")
    elif type(value) is dict:
        for key, item in value.items():
            yield from odd(item, f"{name}_{_word(key)}")
    else:
        try:
            literals.argument(value)
        except TypeError:
            yield name, value


def odd_in(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Those among the arguments of a call."""
    named_args = {**{f"x{position}": value for position, value in enumerate(args)}, **kwargs}
    return [found for name, value in named_args.items() for found in odd(value, name)]


def _word(key: Any) -> str:
    return "".join(c if c.isalnum() else "_" for c in str(key))


class Watching:
    """Notes which function made the objects of some types while a model runs: of torch the outermost one, else that of
    the user's file. Functions that stand nowhere by name are not looked at."""

    def __init__(self, types: tuple[type, ...]) -> None:
        self.types = types
        self.made: dict[int, tuple[Any, Maker]] = {}
        self._given: dict[int, dict[str, Any]] = {}

    def __enter__(self) -> Watching:
        self._before: Callable[..., Any] | None = sys.getprofile()
        sys.setprofile(self._event)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self._before)

    def maker_of(self, value: Any) -> Maker | None:
        """The call that made this object, with copies of its arguments."""
        found = self.made.get(id(value))
        return Maker(found[1].function, copied(dict(found[1].given))) if found is not None else None

    def _event(self, frame: Any, event: str, value: Any) -> None:
        code = frame.f_code
        if event == "call" and not code.co_flags & VARIADIC:
            count = code.co_argcount + code.co_kwonlyargcount
            # Now, not at the end: a function may bind its arguments anew.
            self._given[id(frame)] = {name: frame.f_locals.get(name) for name in code.co_varnames[:count]}
        elif event == "return":
            given = self._given.pop(id(frame), None)
            if given is not None and type(value) in self.types:
                self._note(function_of(frame), given, value)

    def _note(self, function: Any, given: dict[str, Any], value: Any) -> None:
        known = named(function) if function is not None else None
        if known is None or any(held is value for held in given.values()):
            return  # a method, or a function that passes on what it got
        before = self.made.get(id(value))
        if before is None or known.imported == "torch" or not _is_torch(before[1].function):
            self.made[id(value)] = (value, Maker(function, _said(function, given)))


# Flags of a code object with *args or **kwargs: its arguments cannot be given by name alone.
VARIADIC = 0x04 | 0x08


def _said(function: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments but for those that are their defaults."""
    defaults = {p.name: p.default for p in inspect.signature(function).parameters.values()}
    plain = (bool, int, float, str, type(None))
    return {k: v for k, v in given.items() if not (isinstance(v, plain) and defaults.get(k, k) is v)}


def _is_torch(function: Any) -> bool:
    return str(getattr(function, "__module__", "")).partition(".")[0] == "torch"
