"""How large a program is with its local functions inlined, told before anybody inlines them.

30 functions that call each other twice make 2**30 nodes: the inliner would fill the worker, and its reply us.
"""

from __future__ import annotations

from collections.abc import Mapping

from reducer.programs.onnx import OnnxProgram
from reducer.programs.onnx_source import FunctionKey, OnnxSource, qualified

MOST_INLINED = 50_000


def can_inline(program: OnnxProgram) -> bool:
    """Whether inlining ends, and with at most MOST_INLINED nodes. Linear in the nodes of the functions."""
    sizes = function_sizes(program.source)
    total = 0
    for record in program.records:
        keys = {qualified(*key): key for key in record.calls}
        for ref in (record.ref, *record.body):
            called = keys.get(ref.op_type)
            size = 1 if called is None else sizes.get(called)
            if size is None:
                return False
            total += size
    return total <= MOST_INLINED


def function_sizes(source: OnnxSource) -> Mapping[FunctionKey, int]:
    """Nodes of each function once everything is inlined; a function that reaches itself has no entry."""
    names = {qualified(*key): key for key in source.functions}
    left = {key: [names.get(ref.op_type) for ref in record.body] for key, record in source.functions.items()}
    callers: dict[FunctionKey, set[FunctionKey]] = {}
    waiting = {}
    for key, body in left.items():
        called = {inner for inner in body if inner is not None}
        waiting[key] = len(called)
        for inner in called:
            callers.setdefault(inner, set()).add(key)
    sizes: dict[FunctionKey, int] = {}
    ready = [key for key, count in waiting.items() if count == 0]
    while ready:
        key = ready.pop()
        sizes[key] = sum(1 if inner is None else sizes[inner] for inner in left[key])
        for caller in callers.get(key, ()):
            waiting[caller] -= 1
            if waiting[caller] == 0:
                ready.append(caller)
    return sizes
