"""A module behind the call that it got, as the text of a script (child side): made by the user's own source, or anew by
a constructor call.
"""

from __future__ import annotations

from typing import Any

from reducer.worker.pytorch import literals
from reducer.worker.pytorch.feeding import Call, Feed, spread_over
from reducer.worker.pytorch.graph import copied
from reducer.worker.pytorch.module_tree import feeding, recorded
from reducer.worker.pytorch.modules import CLASS, Unwritable
from reducer.worker.pytorch.opening import Opened
from reducer.worker.pytorch.rebuilding import rebuilt
from reducer.worker.pytorch.sources import needed_for

Report = dict[str, Any]
ENTIRE, NEEDED, ANEW = "entire", "needed", "anew"


def text_of(state: Opened, name: str, kind: str, form: str) -> tuple[Report, dict[str, Any]]:
    """({source, made, single, imports, inputs, facts}, what goes to inputs.npz) of the module at a path.

    `made` is the expression that makes the model, empty for Reduced(); `single`: it gives one tensor, no tuple. `kind`
    of floats: recorded or seeded; whatever steers (integers, masks) stays. `form`: the user's source is held ENTIRE, or
    as far as it is NEEDED for the model, or the module is made ANEW. Raises Unwritable for what cannot be said.
    """
    feed = feeding(state, name)
    made, head, imports = _origin(state, name, form, feed)
    flat, single = _results(state.loaded.model.get_submodule(name), recorded(state)[name])
    source = [head] if head else []
    if feed.is_plain and flat:
        expression = f"{made}.eval()" if form == ANEW or name else made
    else:
        source.append(_wrapper(feed, made, flat=flat, single=single))
        expression, single = "", False
    steered = {key for key, value in feed.values.items() if not value.dtype.is_floating_point}
    code = {k: literals.tensor(k, v, "recorded" if k in steered else kind) for k, v in feed.values.items()}
    saved = {k: v.contiguous().numpy() for k, v in feed.values.items() if literals.SAVED in code[k]}
    written = {
        "shapes": _shapes(state, feed) if not name else "",
        "source": "\n\n\n".join(source),
        "made": expression,
        "single": single,
        "imports": sorted({*imports, *(f"import {module}" for module in feed.imported), "import torch"}),
        "inputs": [[key, text] for key, text in code.items()],
        "facts": [[key, str(value.dtype), list(value.shape)] for key, value in feed.values.items()],
    }
    return written, saved


def _shapes(state: Opened, feed: Feed) -> str:
    """The dynamic shapes of the model, in the order of the inputs; empty where none are asked for."""
    asked = spread_over(state.loaded.dynamic_shapes, state.loaded.model, recorded(state)[""])
    try:
        return literals.argument(tuple(asked.get(key) for key in feed.values)) if asked else ""
    except TypeError as error:
        raise Unwritable(str(error)) from error


def _wrapper(feed: Feed, made: str, *, flat: bool, single: bool) -> str:
    call = f"({feed.code},)" if single else feed.code
    lines = [
        f"class {CLASS}(torch.nn.Module):",
        "    def __init__(self):",
        "        super().__init__()",
        f"        self.inner = {made}",
        "",
        f"    def forward({', '.join(['self', *feed.values])}):",
        f"        return {call if flat else f'tuple(torch.utils._pytree.tree_leaves({feed.code}))'}",
    ]
    return "\n".join(lines)


def _results(module: Any, call: Call) -> tuple[bool, bool]:
    """(whether the call gives a tensor or a tuple of tensors, whether it gives one tensor)."""
    import torch

    with torch.no_grad():
        made = module(*copied(call[0]), **copied(call[1]))
    single = isinstance(made, torch.Tensor)
    return single or (type(made) is tuple and all(isinstance(item, torch.Tensor) for item in made)), single


def _origin(state: Opened, name: str, form: str, feed: Feed) -> tuple[str, str, list[str]]:
    """(code that makes the module, source that it needs, imports)."""
    target, text = str(state.subject["target"]), state.loaded.text
    if form == ANEW:
        anew = rebuilt(state.loaded.model.get_submodule(name))
        own = [*anew.own, *feed.own]
        if own and not text:
            raise Unwritable("the source of its class is not at hand")
        return anew.code, needed_for(text, *own) if own else "", [f"import {module}" for module in anew.imported]
    below = f'.get_submodule("{name}")' if name else ""
    if text:
        loaded = state.loaded
        source = text.strip() if form == ENTIRE else needed_for(text, loaded.maker, *feed.own)
        return f"{loaded.made}{below}", source, []
    if target.endswith(".pt2"):
        raise Unwritable("a saved program has no modules")
    module = target.partition(":")[0]
    return f"{module}.{state.loaded.made}{below}", "", [f"import {module}"]
