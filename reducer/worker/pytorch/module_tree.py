"""Where no graph can be captured, or a wrong one: the user's modules one by one, each with the inputs that it got in
one eager run (child side; torch.md section 3).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from reducer.worker.pytorch import adapter, failures, judging
from reducer.worker.pytorch.feeding import Call, Feed, Maker, Watching, fed, feed_of, odd_in
from reducer.worker.pytorch.graph import copied, target_name
from reducer.worker.pytorch.isolation import note
from reducer.worker.pytorch.modules import Unwritable
from reducer.worker.pytorch.opening import Opened

Report = dict[str, Any]
CAPTURE, GRAPH, PUBLIC = "capture", "graph", "public"
_CALLS: dict[int, dict[str, Call]] = {}
_MAKERS: dict[int, dict[str, dict[str, Maker]]] = {}


def recorded(state: Opened) -> dict[str, Call]:
    """The arguments of the first call of every module by its path, outermost first."""

    if id(state) in _CALLS:
        return _CALLS[id(state)]
    calls: dict[str, Call] = {}
    _run(state, lambda name, args, kwargs: calls.setdefault(name, (copied(args), copied(kwargs))))
    _CALLS[id(state)] = calls
    _MAKERS[id(state)] = _makers(state, calls)
    return calls


def _run(state: Opened, seen: Callable[[str, tuple[Any, ...], dict[str, Any]], Any]) -> None:
    """One eager run that tells of every module that is called, before it is."""
    import torch

    model, handles = state.loaded.model, []

    def hook(name: str) -> Any:
        return lambda _, args, kwargs: seen(name, args, kwargs) and None

    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(hook(name), with_kwargs=True))
    try:
        with torch.no_grad():
            model(*copied(state.loaded.args), **copied(state.loaded.kwargs))
    finally:
        for handle in handles:
            handle.remove()


def _makers(state: Opened, calls: dict[str, Call]) -> dict[str, dict[str, Maker]]:
    """By module and argument, the call that made what has no literal: one more run, where there is such an argument."""
    types = tuple({type(value) for call in calls.values() for _, value in odd_in(*call)})
    made: dict[str, dict[str, Maker]] = {}
    if not types:
        return made

    def look(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if name not in made:
            found = {key: watching.maker_of(value) for key, value in odd_in(args, kwargs)}
            made[name] = {key: maker for key, maker in found.items() if maker is not None}

    with Watching(types) as watching:
        _run(state, look)
    return made


def feeding(state: Opened, name: str) -> Feed:
    """The call that a module got, as code over tensors. Raises Unwritable."""
    return feed_of(recorded(state)[name], _MAKERS[id(state)].get(name, {}))


def called(state: Opened) -> list[Report]:
    """[{name, kind, children}]: children are the next called modules below, whatever containers lie between."""
    names = list(recorded(state))
    rows = []
    for name in names:
        inside = [other for other in names if other != name and (not name or other.startswith(f"{name}."))]
        children = [o for o in inside if not any(o.startswith(f"{between}.") for between in inside if between != o)]
        module = state.loaded.model.get_submodule(name)
        kind = f"{type(module).__module__}.{type(module).__qualname__}"
        rows.append({"name": name, "kind": kind, "children": children})
    return rows


def judge(state: Opened, calls: dict[str, Call], name: str, way: str) -> Report:
    """What happens to one module alone. `way`: CAPTURE, torch.export; GRAPH, what its graph computes against eager;
    PUBLIC, all rungs of torch.onnx.export."""
    module = state.loaded.model.get_submodule(name)
    args, kwargs = calls[name]
    if name and odd_in(args, kwargs):
        # What torch.export cannot take as an input is made inside, of tensors, where that can be written.
        with contextlib.suppress(Unwritable):
            feed = feeding(state, name)
            module, args, kwargs = fed(module, feed), tuple(feed.values.values()), {}
    shapes = adapter.dims(state.loaded.dynamic_shapes) if not name else None
    if way == PUBLIC:
        return _exported(module, (args, kwargs), shapes, state.options)
    try:
        strict = bool(state.subject.get("strict"))
        program = adapter.capture(module, copied(args), copied(kwargs), shapes=shapes, strict=strict)
    except adapter.StepFailed as failed:
        return failures.describe(failed.error, failed.step)
    return {"step": ""} if way == CAPTURE else _graph_against_eager(module, (args, kwargs), program, state.options)


def _exported(module: Any, call: Call, shapes: Any, options: Report) -> Report:
    import torch

    with torch.no_grad():
        expected = [copied(value) for value in adapter.tensors_of(module(*copied(call[0]), **copied(call[1])))]
    note(failures.first_step(options))
    try:
        model = adapter.export(module, copied(call[0]), copied(call[1]), {**options, "dynamic_shapes": shapes})
    except adapter.StepFailed as failed:
        return failures.describe(failed.error, failed.step)
    report = judging.run_onnx(model, adapter.tensors_of(call), expected, options)
    report.pop("outputs", None)
    return report


def _graph_against_eager(module: Any, call: Call, program: Any, options: Report) -> Report:
    import torch

    with torch.no_grad():
        eager, missing = _eager_only(module, *call, program)
        made = adapter.tensors_of(program.module()(*copied(call[0]), **copied(call[1])))
    report = judging.compare([judging.numpy_of(t) for t in made], eager, options)
    report.pop("outputs", None)
    return {**report, "missing": missing}


def _eager_only(module: Any, args: Any, kwargs: Any, program: Any) -> tuple[list[Any], list[str]]:
    """(what eager gives, the operators that it runs and the captured graph, once decomposed, does not know)."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    ran: dict[str, None] = {}

    class Listening(TorchDispatchMode):  # type: ignore[misc]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            ran.setdefault(target_name(func))
            return func(*args, **(kwargs or {}))

    with torch.no_grad(), Listening():
        made = module(*copied(args), **copied(kwargs))
    eager = [copied(value) for value in adapter.tensors_of(made)]
    seen: dict[str, None] = {}
    with torch.no_grad():
        first, ran_eager = ran, ran.copy()
        first.clear()
        with Listening():
            program.module()(*copied(args), **copied(kwargs))
        seen.update(first)
    return eager, [name for name in ran_eager if name not in seen]
