"""A test in the style of tests/test_backend.py of tensorflow-onnx: a function, its inputs, _run_test_case."""

from __future__ import annotations

import ast
from typing import Any

from reducer.finding import Feed, Reproduction
from reporters.literals import NOTHING, expression, is_narrow, is_saved
from reporters.trackers.base import Facts


def values(facts: Facts) -> dict[str, Any] | None:
    """None where the base class cannot repeat it: Keras, commands, open shapes, strings, numbers in a file."""
    repro = facts.finding.reproduction
    if repro is None or repro.form != "tf2onnx" or not _plain_call(repro):
        return None
    function = _function(repro.model_code or "")
    if function is None or not repro.feeds or any(f.dtype in (NOTHING, "map", "string") for f in repro.feeds):
        return None
    parameters, shapes, body, returned = function
    if shapes != [list(feed.shape or ()) for feed in repro.feeds]:
        return None  # the base class takes its shapes from the inputs: open ones would be another test
    codes = [_value(feed, repro) for feed in repro.feeds]
    if None in codes:
        return None
    return {
        "parameters": parameters,
        "body": body,
        "returned": returned,
        "inputs": list(zip([f"{name}_val" for name in parameters], codes, strict=True)),
        "opset": repro.probes[0].options.get("opset", ""),
        "operator": next(iter(facts.reduced.op_types), ""),
        "repro": repro,
    }


def _plain_call(repro: Reproduction) -> bool:
    options = repro.probes[0].options
    plain = options.get("opt_level", "all") == "all" and not (options.get("nchw") or options.get("nchw_out"))
    return plain and options.get("entry") == "from_function" and repro.mismatch != "strings"


def _value(feed: Feed, repro: Reproduction) -> str | None:
    if not is_saved(feed):
        return None if is_narrow(feed) else expression(feed)
    # What fails before anything is computed fails with any numbers.
    return f'np.zeros({feed.shape}, dtype="{feed.dtype}")' if repro.stage in ("convert", "load") else None


def _function(code: str) -> tuple[list[str], list[Any], list[str], list[str]] | None:
    """(parameters, shapes of the signature, statements, what is returned) of a module that is one function."""
    try:
        tree = ast.parse(code)
        (function,) = tree.body
        assert isinstance(function, ast.FunctionDef)
        (decorator,) = function.decorator_list
        assert isinstance(decorator, ast.Call)
        specs = decorator.keywords[0].value
        assert isinstance(specs, ast.List)
        shapes = [ast.literal_eval(spec.args[0]) for spec in specs.elts if isinstance(spec, ast.Call)]
    except (SyntaxError, ValueError, AssertionError, IndexError):
        return None
    last = function.body[-1]
    if function.args.vararg or not isinstance(last, ast.Return) or last.value is None:
        return None
    returned = last.value.elts if isinstance(last.value, ast.Tuple | ast.List) else [last.value]
    parameters = [argument.arg for argument in function.args.args]
    body = [ast.unparse(statement) for statement in function.body[:-1]]
    if len(parameters) != len(shapes):
        return None
    return parameters, [list(shape) for shape in shapes], body, [ast.unparse(value) for value in returned]
