"""The constructor call that makes a module like a given one, recovered from the module itself (child side).

Arguments are read from attributes of the same name; for the others there is a small search over what the module holds.
The measure of a try is what the made module and the given one do not share: classes, plain attributes, names, shapes
and types of the state, at every path. Values of parameters are not recovered: whether the failure needs them is for the
proof to say.
"""

from __future__ import annotations

import inspect
import itertools
import time
import typing
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from reducer.worker.pytorch import literals
from reducer.worker.pytorch.modules import Unwritable
from reducer.worker.pytorch.naming import named, space

MOST_TRIES, MOST_SECONDS = 600, 5.0
# What the framework hands to every constructor; the types of the state are set by a call behind it.
NOT_SEARCHED = ("device", "dtype")
# Distances of a module whose state differs, and of none.
_FAR, _NONE = 10**6, 10**9


@dataclass
class Rebuilt:
    """A constructor call as code, with the names of the user's file and the modules that it needs."""

    code: str
    own: list[str] = field(default_factory=list)
    imported: list[str] = field(default_factory=list)


def rebuilt(module: Any) -> Rebuilt:
    """A call whose module has the same state (names, shapes, types) as this one. Raises Unwritable."""
    return _Search(module, time.perf_counter() + MOST_SECONDS).run()


class _Search:
    def __init__(self, module: Any, end: float) -> None:
        known = named(type(module))
        if known is None:
            raise Unwritable(f"{type(module).__qualname__} has no public name")
        self.module, self.end, self.name = module, end, known.code
        self.target = _description(module)
        self.cast = _cast(module)
        self.found = Rebuilt("", [known.own] if known.own else [], [known.imported] if known.imported else [])
        self.tries = 0
        self.seen: dict[str, int] = {}

    def run(self) -> Rebuilt:
        parameters, many = _parameters(type(self.module))
        self.order = [p.name for p in parameters]
        parts = self._children() if many and not parameters else None
        call = self._searched(parameters) if parts is None else f"{self.name}({', '.join(parts)})"
        if self._distance(call) >= _FAR:
            raise Unwritable(f"no call of {self.name} that makes the same state was found")
        self.found.code = call + self.cast
        return self.found

    def _searched(self, parameters: list[inspect.Parameter]) -> str:
        """Required arguments first, all at once; then one optional argument after the other, while that helps."""
        required = [p for p in parameters if p.default is p.empty]
        optional = [p for p in parameters if p.default is not p.empty and p.name not in NOT_SEARCHED]
        given = {p.name: found[0] for p in optional if (found := self._own(p))}
        choices = [self._own(p) or self._pool(p) for p in required]
        names = [p.name for p in required]
        best, far = dict(given), _NONE
        for values in itertools.product(*choices):
            tried = {**dict(zip(names, values, strict=True)), **given}
            distance = self._distance(self._call(names, tried))
            if distance < far:
                best, far = tried, distance
            if far == 0 or self._spent:
                break
        for p in optional:
            for value in [None, *self._own(p), *self._pool(p)] if far else []:
                tried = {**best, p.name: value} if value is not None else _without(best, p.name)
                distance = self._distance(self._call(names, tried))
                if distance < far:
                    best, far = tried, distance
        self.end = float("inf")
        for p in optional:  # what changes nothing is not said
            less = _without(best, p.name)
            if p.name in best and self._distance(self._call(names, less)) <= far:
                best = less
        return self._call(names, best)

    @property
    def _spent(self) -> bool:
        return time.perf_counter() > self.end or (self.tries > MOST_TRIES and self.end != float("inf"))

    def _call(self, names: list[str], given: Mapping[str, str]) -> str:
        """Required arguments by position as far as they are known, the others by name."""
        first = [given[name] for name in names if name in given]
        rest = [f"{name}={given[name]}" for name in self.order if name in given and name not in names]
        return f"{self.name}({', '.join([*first, *rest])})"

    def _distance(self, call: str) -> int:
        """How many facts differ, more than _FAR where the state does; _NONE where there is no such module."""
        if call not in self.seen:
            if self._spent and self.seen:
                return _NONE
            self.tries += 1
            made = _made(call + self.cast)
            self.seen[call] = _NONE if made is None else _difference(self.target, _description(made))
        return self.seen[call]

    def _own(self, parameter: inspect.Parameter) -> list[str]:
        """Code of what the attribute of that name says."""
        held = getattr(self.module, parameter.name, _Missing)
        boolean = isinstance(parameter.default, bool) or parameter.annotation in (bool, "bool")
        if held is _Missing or inspect.ismethod(held):
            return []
        if boolean and not isinstance(held, bool):
            return [repr(held is not None)]
        return list(self._written(held, parameter.default))

    def _written(self, held: Any, default: Any) -> Iterator[str]:
        import torch

        if isinstance(held, torch.nn.Module):
            if not isinstance(default, (int, float, str)):
                yield from self._nested(held)
            for value in vars(held).values():  # dropout=0.1 is held as a Dropout
                if type(value) is type(default):
                    yield repr(value)
        elif isinstance(held, torch.Tensor):
            return
        elif callable(held):
            known = named(held)
            if known is not None and not known.own:
                yield known.code
        else:
            try:
                yield literals.argument(held)
            except TypeError:
                return

    def _nested(self, child: Any) -> Iterator[str]:
        try:
            found = _Search(child, self.end).run()
        except Unwritable:
            return
        self.found.own += found.own
        self.found.imported += found.imported
        yield found.code

    def _children(self) -> list[str]:
        codes = [code for child in self.module.children() for code in itertools.islice(self._nested(child), 1)]
        if len(codes) != len(list(self.module.children())):
            raise Unwritable(f"a part of {self.name} cannot be made anew")
        return codes

    def _pool(self, parameter: inspect.Parameter) -> list[str]:
        """Values that the module holds somewhere, of the type of the default; of any type where that says nothing."""
        default = parameter.default
        if isinstance(default, bool):
            return [repr(not default)]
        plain = [fact for (_, key), fact in self.target.items() if not key.startswith("state ")]
        kinds = (type(default),) if isinstance(default, (int, float, str)) else (int, float)
        found = [fact for fact in plain if type(fact) in kinds]
        if int in kinds:
            found += [size for (_, key), fact in self.target.items() if key.startswith("state ") for size in fact[0]]
        if default is parameter.empty or default is None:
            return [*_unique(map(repr, found)), *self._parts()]
        return _unique(map(repr, found))

    def _parts(self) -> list[str]:
        """Calls for the modules inside, one for each class: a layer that was copied is held under another name."""
        import torch

        inside: dict[type, Any] = {}
        for child in self.module.children():
            many = isinstance(child, (torch.nn.ModuleList, torch.nn.Sequential))
            for part in child.children() if many else (child,):
                inside.setdefault(type(part), part)
        return [code for part in inside.values() for code in self._nested(part)]


class _Missing:
    """No such attribute."""


def _unique(found: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(found))


def _without(given: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in given.items() if key != name}


def _parameters(cls: type) -> tuple[list[inspect.Parameter], bool]:
    """(named parameters of the constructor, whether it takes any number of positional ones): from the first class up
    the line whose constructor names any; nn.LSTM says them in overloads."""
    many = False
    for base in cls.__mro__:
        init: Any = vars(base).get("__init__")
        if init is None or base is object:
            continue
        for written in [*typing.get_overloads(init)[:1], init]:
            found = list(inspect.signature(written).parameters.values())[1:]
            many = many or any(p.kind is p.VAR_POSITIONAL for p in found)
            plain = [p for p in found if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
            if plain or not found:
                return plain, many
        if many and not any(p.kind is p.VAR_KEYWORD for p in found):
            return [], True
    return [], many


def _made(call: str) -> Any:
    """What the call makes: without memory where that can be; None where it raises."""
    import torch

    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for device in ("meta", "cpu"):
            try:
                with torch.device(device):
                    return eval(call, space())  # our own text: names of classes, and literals
            except Exception:  # noqa: BLE001 - wrong arguments raise whatever they like
                continue
    return None


def _description(module: Any) -> dict[tuple[str, str], Any]:
    """(path, name) -> fact: plain attributes, functions and classes; (shape, type) of all that is state."""
    facts: dict[tuple[str, str], Any] = {}
    for path, part in module.named_modules():
        facts[path, "class"] = type(part)
        for key, value in vars(part).items():
            if key.startswith("_") or key == "training":
                continue
            if value is None or isinstance(value, (bool, int, float, str, tuple)) or inspect.isfunction(value):
                facts[path, key] = value
        for key, value in [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]:
            facts[path, f"state {key}"] = (tuple(value.shape), str(value.dtype))
    return facts


def _difference(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> int:
    absent = _Missing
    different = [key for key in {**one, **other} if not _equal(one.get(key, absent), other.get(key, absent))]
    state = any(key.startswith("state ") for _, key in different)
    return len(different) + (_FAR if state else 0)


def _equal(one: Any, other: Any) -> bool:
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:  # noqa: BLE001 - attributes may compare as they like
        return False


def _cast(module: Any) -> str:
    """ ".half()" and the like, where all floats of the state have one other type than float32."""
    import torch

    held = [*module.parameters(), *module.buffers()]
    types = {value.dtype for value in held if value.dtype.is_floating_point}
    return f".to({types.pop()})" if len(types) == 1 and torch.float32 not in types else ""
