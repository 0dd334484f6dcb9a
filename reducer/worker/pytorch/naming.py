"""How a script may call a class or a function: by the shortest public path, or by its name in the user's own file
(child side)."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from reducer.worker.pytorch.loading import HELD

# Where torch gives a name to what it holds in private modules.
ALIASES = ("torch.nn.functional",)


@dataclass(frozen=True)
class Named:
    """`code` calls it; `own` is the top-level name in the user's file, `imported` the module that the script imports.
    One of the two is empty."""

    code: str
    own: str = ""
    imported: str = ""


def named(thing: Any) -> Named | None:
    """How to call a class or a function; None for what has no name at the top of a module (a local class, a lambda)."""
    module, path = getattr(thing, "__module__", None), getattr(thing, "__qualname__", "")
    if not isinstance(module, str) or not path or "<" in path or _found(module, path) is not thing:
        return None
    if module in HELD:
        return Named(path, own=path.partition(".")[0])
    if module == "__main__":
        return None
    parts = module.split(".")
    homes = [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
    for home in (*homes, *(ALIASES if parts[0] == "torch" else ())):
        if "._" not in f".{home}" and _found(home, path) is thing:
            return Named(f"{home}.{path}", imported="torch" if parts[0] == "torch" else home)
    return None


def function_of(frame: Any) -> Any:
    """The function that a frame runs, when it stands at the top of its module; else None."""
    found = _found(str(frame.f_globals.get("__name__", "")), frame.f_code.co_qualname)
    return found if getattr(found, "__code__", None) is frame.f_code else None


def space() -> dict[str, Any]:
    """The names that the code may use here: the user's own, torch and all that is loaded."""
    loaded = {name: held for name, held in list(sys.modules.items()) if "." not in name}
    own = {name: held for module in HELD if module in sys.modules for name, held in vars(sys.modules[module]).items()}
    return {**loaded, **own}


def _found(module: str, path: str) -> Any:
    held: Any = sys.modules.get(module)
    for part in path.split("."):
        held = getattr(held, part, None)
    return held
