"""What the parent may ask of PyTorch in the worker. Each task takes (context, arguments, blobs) like all others.

Every task has arguments["subject"]: target, cwd, exporter, opset, strict, dynamic_shapes, trust, opt_level,
provider, tolerances, default. The first task in a worker loads and captures; the others find that done.
"""

from __future__ import annotations

import traceback
from typing import Any

from reducer.difference import excerpt
from reducer.worker.main import Context
from reducer.worker.pytorch import adapter, graph, isolation, judging, literals
from reducer.worker.pytorch.loading import Unusable
from reducer.worker.pytorch.opening import DECOMPOSED, Opened, climb, opened

Reply = tuple[dict[str, Any], tuple[bytes, ...]]


def open_model(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """Load, capture, and climb the ladder: {rungs, failure, notes, nodes, parameters} or {unusable, hint}."""
    context.stage("convert")
    try:
        state = opened(arguments["subject"])
        found = climb(state, arguments["seconds"])
    except Unusable as error:
        return {"unusable": str(error), "hint": error.hint}, ()
    except Exception as error:  # noqa: BLE001 - the user's file may raise anything
        tail = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{tail.filename.rsplit('/', 1)[-1]}:{tail.lineno}"
        return {"unusable": f"the model does not run: {type(error).__name__}: {error} ({where})"[:600], "hint": ""}, ()
    nodes = 0
    if state.program is not None:
        nodes = len([n for n in state.program.graph_module.graph.nodes if graph.is_unit(n)])
    values = [*state.loaded.model.parameters(), *state.loaded.model.buffers()]
    found["captured"] = state.program is not None
    found.update(nodes=nodes, bytes=sum(v.numel() * v.element_size() for v in values))
    found["modules"] = sum(1 for _ in state.loaded.model.modules())
    return found, ()


def table(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """The nodes of arguments["level"]: {rows} or {failed: report}; {private}: whether the fast path can be used."""
    state = opened(arguments["subject"])
    usable = adapter.is_private_usable(state.subject.get("opset"))
    level = state.level(arguments["level"])
    return {"rows": graph.table(level), "private": usable}, ()


def judge(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """arguments: level, orders [{keep, edits, constants}], through, upto, seconds. Reply: {reports: [...]}."""
    state = opened(arguments["subject"])
    level = state.level(arguments["level"])
    options = _options(state, arguments)
    found = isolation.each(
        lambda order: judging.judge(level, order, options), arguments["orders"], arguments["seconds"]
    )
    return {"reports": list(found)}, ()


def _options(state: Opened, arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        **state.options,
        "through": arguments["through"],
        "upto": arguments.get("upto"),
        "decomposed": arguments["level"] == DECOMPOSED,
    }


def write(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """A candidate as text: {source, inputs: [[name, code]], facts: [[name, dtype, shape]]} or {unwritable: reason}.

    Inputs too long for literals are saved at arguments["npz"].
    """
    import numpy as np

    from reducer.worker.pytorch.candidate import build
    from reducer.worker.pytorch.modules import Unwritable, imports_of, neutral_names, source_of

    state = opened(arguments["subject"])
    built = build(state.level(arguments["level"]), arguments["order"])
    cut = built.cut
    names = [str(node.target) for node in cut.placeholders if str(node.target) in cut.inputs]
    new = {} if arguments["subject"].get("keep_names") else neutral_names(cut)
    codes = {name: literals.with_saved_as(code, name, new.get(name, name)) for name, code in built.code.items()}
    try:
        text = source_of(cut, {name: code for name, code in codes.items() if name in cut.constants}, new)
        imports = imports_of(text, own=state.loaded.text != "")
    except Unwritable as error:
        return {"unwritable": str(error)}, ()
    if imports is None:
        # Operators that the user's file registers: the script needs that file's text.
        text, imports = f"{state.loaded.text.strip()}\n\n\n{text}", ["import torch"]
    if built.saved and arguments.get("npz"):
        np.savez(arguments["npz"], **{new.get(name, name): value for name, value in built.saved.items()})
    shapes = [[new.get(name, name), str(cut.inputs[name].dtype), list(cut.inputs[name].shape)] for name in names]
    values = {new.get(name, name): excerpt(judging.numpy_of(cut.inputs[name])) for name in names}
    inputs = [[new.get(name, name), codes[name]] for name in names]
    return {"source": text, "imports": imports, "inputs": inputs, "facts": shapes, "values": values}, ()


def boundary(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """The inputs of a candidate: {inputs: [[name, dtype, shape]], arguments: {id: [those not at their default]}}."""
    from reducer.worker.pytorch.candidate import build

    state = opened(arguments["subject"])
    made = build(state.level(arguments["level"]), arguments["order"]).cut
    return {"inputs": [[n, str(v.dtype), list(v.shape)] for n, v in made.inputs.items()]}, ()


def verify(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """The text of a reduced model on the ladder, through the public API alone: {report}; {pt2: path} when it could
    be saved at arguments["pt2"].

    arguments: source, imports, inputs [[name, code]], npz, options as for judging, seconds.
    """
    from reducer.worker.pytorch.verifying import save_program, verified

    report = isolation.isolated(lambda: verified(arguments), arguments["seconds"])
    saved = {}
    if arguments.get("pt2"):
        saved = isolation.isolated(lambda: save_program(arguments), arguments["seconds"])
    return {"report": report, "saved": bool(saved.get("saved"))}, ()


def functions(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """What the exporter has for some nodes: {functions: {id: {module, name, has, close}}}, without an oracle call."""
    state = opened(arguments["subject"])
    opset = state.subject.get("opset")
    units = state.level(arguments["level"]).units
    found = {}
    for node in arguments["nodes"]:
        target = units[node].target
        name = graph.target_name(target)
        has = adapter.has_function(target, opset)
        module, function = adapter.function_of(target, opset)
        close = [] if has else list(adapter.close_functions(name, opset))
        found[str(node)] = {"has": has, "module": module, "name": function, "close": close}
    return {"functions": found}, ()


def modules(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """The modules that one eager run calls: {modules: [{name, kind, children}]}, the root "" first."""
    from reducer.worker.pytorch import module_tree

    return {"modules": module_tree.called(opened(arguments["subject"]))}, ()


def judge_modules(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """arguments["names"], each alone with the inputs that it got: {reports}; for `way` see module_tree."""
    from reducer.worker.pytorch import module_tree

    state = opened(arguments["subject"])
    calls = module_tree.recorded(state)
    run = lambda name: module_tree.judge(state, calls, name, arguments["way"])  # noqa: E731
    return {"reports": list(isolation.each(run, arguments["names"], arguments["seconds"]))}, ()


def write_module(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """The module arguments["name"] as text, as `write`; for `kind`, `form` and what is added see module_text."""
    import numpy as np

    from reducer.worker.pytorch.module_text import text_of
    from reducer.worker.pytorch.modules import Unwritable

    state = opened(arguments["subject"])
    try:
        written, saved = text_of(state, arguments["name"], arguments["kind"], arguments["form"])
    except Unwritable as error:
        return {"unwritable": str(error)}, ()
    if saved:
        np.savez(arguments["npz"], **saved)
    return written, ()


def origins(context: Context, arguments: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
    """arguments: model, nodes [[name, outputs]] of it. Reply: {origins: [{node, target} or None]}: the FX node that
    each was made of."""
    import onnx

    from reducer.worker.pytorch.notes import origins_in

    return {"origins": origins_in(onnx.load(arguments["model"], load_external_data=False), arguments["nodes"])}, ()
