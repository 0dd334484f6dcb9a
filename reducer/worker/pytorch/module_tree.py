"""Where no graph can be captured, or a wrong one: the user's modules one by one, each with the inputs that it got in
one eager run (child side; torch.md section 3).
"""

from __future__ import annotations

from typing import Any

from reducer.worker.pytorch import adapter, failures, judging, literals
from reducer.worker.pytorch.graph import copied, target_name
from reducer.worker.pytorch.modules import CLASS, Unwritable
from reducer.worker.pytorch.opening import Opened
from reducer.worker.pytorch.sources import needed_for

Report = dict[str, Any]
Call = tuple[tuple[Any, ...], dict[str, Any]]
_CALLS: dict[int, dict[str, Call]] = {}


def recorded(state: Opened) -> dict[str, Call]:
    """The arguments of the first call of every module by its path, outermost first."""
    import torch

    if id(state) in _CALLS:
        return _CALLS[id(state)]
    calls: dict[str, Call] = {}
    model, handles = state.loaded.model, []

    def hook(name: str) -> Any:
        def before(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            calls.setdefault(name, (copied(args), copied(kwargs)))

        return before

    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(hook(name), with_kwargs=True))
    try:
        with torch.no_grad():
            model(*copied(state.loaded.args), **copied(state.loaded.kwargs))
    finally:
        for handle in handles:
            handle.remove()
    _CALLS[id(state)] = calls
    return calls


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


def judge(state: Opened, calls: dict[str, Call], name: str, *, compare: bool) -> Report:
    """What torch.export makes of one module; with `compare`, whether the captured graph computes what eager does."""
    import torch

    module = state.loaded.model.get_submodule(name)
    args, kwargs = calls[name]
    shapes = adapter.dims(state.loaded.dynamic_shapes) if not name else None
    try:
        program = adapter.capture(
            module, copied(args), copied(kwargs), shapes=shapes, strict=bool(state.subject.get("strict"))
        )
    except adapter.StepFailed as failed:
        return failures.describe(failed.error, failed.step)
    if not compare:
        return {"step": ""}
    with torch.no_grad():
        eager, missing = _eager_only(module, args, kwargs, program)
        made = adapter.tensors_of(program.module()(*copied(args), **copied(kwargs)))
    report = judging.compare([judging.numpy_of(t) for t in made], eager, state.options)
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


def text_of(state: Opened, call: Call, name: str, kind: str, *, entire: bool = False) -> tuple[Report, dict[str, Any]]:
    """({source, imports, inputs, facts}, what goes to inputs.npz): the module inside the user's own source.

    `kind` of floats: recorded or seeded; whatever steers (integers, masks) stays. `entire`: all of the source, not
    only what makes the model. Raises Unwritable for inputs that have no literal.
    """
    args, kwargs = call
    values: dict[str, Any] = {}
    given = [_expression(value, f"x{position}", values) for position, value in enumerate(args)]
    given += [f"{key}={_expression(value, key, values)}" for key, value in kwargs.items()]
    made, head, imports = _origin(state, entire=entire)
    called = _flat(state.loaded.model.get_submodule(name), call, f"self.inner({', '.join(given)})")
    inner = f'{made}.get_submodule("{name}")' if name else made
    wrapper = [
        f"class {CLASS}(torch.nn.Module):",
        "    def __init__(self):",
        "        super().__init__()",
        f"        self.inner = {inner}",
        "",
        f"    def forward({', '.join(['self', *values])}):",
        f"        return {called}",
    ]
    floats = {key for key, value in values.items() if value.dtype.is_floating_point}
    inputs = [[key, literals.tensor(key, v, kind if key in floats else "recorded")] for key, v in values.items()]
    source = f"{head}\n\n\n" * bool(head) + "\n".join(wrapper)
    saved = {key: value.contiguous().numpy() for key, value in values.items() if literals.SAVED in dict(inputs)[key]}
    facts = [[key, str(value.dtype), list(value.shape)] for key, value in values.items()]
    return {"source": source, "imports": imports, "inputs": inputs, "facts": facts}, saved


def _flat(module: Any, call: Call, code: str) -> str:
    """The call as an expression that gives a tuple of tensors."""
    import torch

    with torch.no_grad():
        made = module(*copied(call[0]), **copied(call[1]))
    if isinstance(made, torch.Tensor):
        return f"({code},)"
    plain = isinstance(made, tuple) and all(isinstance(item, torch.Tensor) for item in made)
    return code if plain else f"tuple(torch.utils._pytree.tree_leaves({code}))"


def _origin(state: Opened, *, entire: bool) -> tuple[str, str, list[str]]:
    """(code that makes the model, source that it needs, imports)."""
    target = str(state.subject["target"])
    if state.loaded.text:
        text = state.loaded.text
        return "get_model()", text.strip() if entire else needed_for(text, "get_model"), ["import torch"]
    if target.endswith(".pt2"):
        raise Unwritable("a saved program has no modules")
    module, _, factory = target.partition(":")
    return f"{module}.{factory}()", "", [f"import {module}", "import torch"]


def _expression(value: Any, name: str, values: dict[str, Any]) -> str:
    """An argument of the call; tensors become inputs."""
    import torch

    if type(value) is torch.Tensor or type(value) is torch.nn.Parameter:
        values[name] = value.detach()
        return name
    if isinstance(value, torch.Tensor):
        raise Unwritable(f"an input of type {type(value).__name__}")
    if type(value) in (list, tuple):
        items = [_expression(item, f"{name}_{number}", values) for number, item in enumerate(value)]
        closing = ",)" if len(items) == 1 else ")"
        return f"[{', '.join(items)}]" if isinstance(value, list) else f"({', '.join(items)}{closing}"
    if type(value) is dict:
        parts = [f"{key!r}: {_expression(item, f'{name}_{key}', values)}" for key, item in value.items()]
        return "{" + ", ".join(parts) + "}"
    try:
        return literals.argument(value)
    except TypeError as error:
        raise Unwritable(str(error)) from error
