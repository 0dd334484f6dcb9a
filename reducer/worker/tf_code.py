"""A candidate as Python (child side): a plain tf.function with readable calls, or the GraphDef's text as last resort.

A generated operator function of TensorFlow is called by its public name (tf.math.erfc) where it has one, else through
tf.raw_ops; both take the arguments and attributes of the operator's own definition, by name.
"""

from __future__ import annotations

import inspect
import keyword
import re
import sys
from typing import Any

import numpy as np

from reducer.worker.tf_graph import Candidate
from reducer.worker.tf_text import graph_text

# More elements than that do not stand in the script but beside it.
MOST_LITERALS = 64
# GraphDef text beyond that is no script any more.
MOST_TEXT = 200_000


class NoCode(Exception):
    """This node cannot be written as a call: it takes functions, or lists of outputs."""


def code_of(candidate: Candidate) -> tuple[str, list[str], dict[str, Any]]:
    """(source of `model`, a tf.function with an input signature; its parameters in the order of the candidate's
    inputs; arrays that it reads from `saved`). Raises NoCode."""
    return _Writer(candidate).function()


class _Writer:
    """Writes one function; remembers which variable holds which tensor."""

    def __init__(self, candidate: Candidate) -> None:
        self.candidate = candidate
        self.variables: dict[str, str] = {}
        self.saved: dict[str, Any] = {}
        # What the function and the script around it are made of.
        self._taken = {"tf", "np", "model", "saved", "os", "sys", "io", "logging", "FEEDS", "HERE"}

    def function(self) -> tuple[str, list[str], dict[str, Any]]:
        """As code_of."""
        by_name = {node.name: node for node in self.candidate.graph.node}
        parameters = [self._variable(name, name) for name in self.candidate.inputs]
        specs = [
            self._spec(by_name[name.partition(":")[0]], p)
            for name, p in zip(self.candidate.inputs, parameters, strict=True)
        ]
        body: list[str] = []
        around: list[str] = []
        for node in _ordered(by_name):
            if node.op != "Placeholder":
                captured = f"{node.name}:0" in self.candidate.captured
                (around if captured else body).append(self._line(node))
        results = ", ".join(self._reference(name) for name in self.candidate.outputs)
        if len(self.candidate.outputs) > 1:
            results = f"[{results}]"
        # One line more says the same of a single call: it is returned as it is.
        if len(body) and body[-1] == f"{results} = {body[-1].partition(' = ')[2]}":
            results = body.pop().partition(" = ")[2]
        signature = ",\n".join(f"    {spec}" for spec in specs)
        lines = "\n".join(f"    {line}" for line in [*body, f"return {results}"])
        before = "".join(f"{line}  # captured by the function\n" for line in around) + ("\n\n" if around else "")
        text = f"{before}@tf.function(input_signature=[\n{signature},\n])\ndef model({', '.join(parameters)}):\n{lines}"
        return text, parameters, self.saved

    # --- names -----------------------------------------------------------------------------------------------
    def _variable(self, tensor: str, wish: str) -> str:
        last = re.sub(r"\W+", "_", wish.partition(":")[0].rpartition("/")[2]).strip("_").lower() or "x"
        base = f"x_{last}" if last[0].isdigit() else last
        if keyword.iskeyword(base):
            base += "_"
        name, number = base, 1
        while name in self._taken:
            number += 1
            name = f"{base}_{number}"
        self._taken.add(name)
        self.variables[tensor] = name
        return name

    def _reference(self, text: str) -> str:
        tensor = text if ":" in text else f"{text}:0"
        if tensor in self.variables:
            return self.variables[tensor]
        node, _, port = tensor.partition(":")
        return f"{self.variables[f'{node}:*']}[{port}]"

    # --- lines -----------------------------------------------------------------------------------------------
    def _spec(self, node: Any, name: str) -> str:
        import tensorflow as tf

        shape = tf.TensorShape(node.attr["shape"].shape)
        dims = None if shape.rank is None else shape.as_list()
        return f'tf.TensorSpec({dims}, tf.{tf.as_dtype(node.attr["dtype"].type).name}, name="{name}")'

    def _line(self, node: Any) -> str:
        if node.op == "Const":
            value = self._constant(node)
            return f"{self._variable(f'{node.name}:0', node.name)} = {value}"
        call, several = self._call(node)
        return f"{self._variable(f'{node.name}:*' if several else f'{node.name}:0', node.name)} = {call}"

    def _constant(self, node: Any) -> str:
        import tensorflow as tf

        array = np.asarray(tf.make_ndarray(node.attr["value"].tensor))
        dtype = f"tf.{tf.as_dtype(node.attr['dtype'].type).name}"
        flat = array.ravel()
        if array.dtype.kind in "OS":
            return f"tf.constant({array.tolist()!r})"
        if array.size > 4 and bool((flat == flat[0]).all()):
            return f"tf.constant({number(flat[0])}, {dtype}, shape={list(array.shape)})"
        if array.size > MOST_LITERALS:
            if array.dtype.kind not in "fiubc":
                raise NoCode(f"a constant of type {dtype}")
            self.saved[node.name] = array
            return f'tf.constant(saved["{node.name}"], {dtype})'
        shape = f", shape={list(array.shape)}" if 0 in array.shape else ""
        return f"tf.constant({literal(array)}, {dtype}{shape})"

    def _call(self, node: Any) -> tuple[str, bool]:
        from tensorflow.python.framework import op_def_registry

        definition = op_def_registry.get(node.op)
        function = _function(node.op)
        if definition is None or function is None:
            raise NoCode(f"{node.op} is no operator that can be called")
        name, parameters = function
        called = names_in_python(definition, parameters)
        arguments = self._inputs(node, definition, called)
        for attribute in definition.attr:
            if attribute.name in called and attribute.name not in ("name",):
                given = node.attr.get(attribute.name, attribute.default_value)
                if not (attribute.HasField("default_value") and given == attribute.default_value):
                    arguments.append(f"{called[attribute.name]}={_attribute(attribute.type, given)}")
        outputs = definition.output_arg
        lists = [o for o in outputs if o.number_attr or o.type_list_attr]
        if not outputs or (lists and len(outputs) > 1):
            raise NoCode(f"{node.op} has no outputs, or lists of them")
        return f"{name}({', '.join(arguments)})", bool(lists) or len(outputs) > 1

    def _inputs(self, node: Any, definition: Any, called: dict[str, str]) -> list[str]:
        given = [text for text in node.input if not text.startswith("^")]
        arguments = []
        for argument in definition.input_arg:
            if argument.number_attr:
                count = node.attr[argument.number_attr].i
            elif argument.type_list_attr:
                count = len(node.attr[argument.type_list_attr].list.type)
            else:
                arguments.append(f"{called[argument.name]}={self._reference(given.pop(0))}")
                continue
            taken, given = given[:count], given[count:]
            arguments.append(f"{called[argument.name]}=[{', '.join(map(self._reference, taken))}]")
        return arguments


def names_in_python(definition: Any, parameters: list[str]) -> dict[str, str]:
    """How Python calls the inputs and attributes of an operator. Some have another name there (`axis` for
    `reduction_indices`): those come in the same order. Attributes that follow from the inputs are no parameters.
    Raises NoCode."""
    inferred = {name for a in definition.input_arg for name in (a.type_attr, a.number_attr, a.type_list_attr)}
    asked = [a.name for a in (*definition.input_arg, *definition.attr) if a.name not in inferred]
    called = {name: name for name in asked if name in parameters}
    others = [name for name in parameters if name not in called and name != "name"]
    renamed = [name for name in asked if name not in called]
    if len(renamed) != len(others):
        raise NoCode(f"{definition.name}: {renamed} have no names in Python")
    return {**called, **dict(zip(renamed, others, strict=True))}


def _function(op: str) -> tuple[str, list[str]] | None:
    """(how to call it, its parameters): the public endpoint of the generated function, else tf.raw_ops."""
    import tensorflow as tf

    raw = getattr(tf.raw_ops, op, None)
    if raw is None:
        return None
    parameters = list(inspect.signature(raw).parameters)
    plain = inspect.unwrap(raw)
    # The module of generated functions holds the one that is exported under its public name.
    exported = getattr(sys.modules.get(plain.__module__), plain.__name__, None)
    for name in getattr(exported, "_tf_api_names", ()):
        found: Any = tf
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is not None and set(inspect.signature(found).parameters) == set(parameters):
            return f"tf.{name}", parameters
    return f"tf.raw_ops.{op}", parameters


def _attribute(kind: str, value: Any) -> str:
    """An AttrValue as a literal."""
    import tensorflow as tf

    if kind.startswith("list("):
        inner = kind[5:-1]
        field = {"int": "i", "float": "f", "bool": "b", "string": "s", "type": "type", "shape": "shape"}.get(inner)
        if field is None:
            raise NoCode(f"an attribute of type {kind}")
        return "[" + ", ".join(_plain(inner, item) for item in getattr(value.list, field)) + "]"
    field = {"int": "i", "float": "f", "bool": "b", "string": "s", "type": "type", "shape": "shape"}.get(kind)
    if field is None:
        raise NoCode(f"an attribute of type {kind}")
    del tf
    return _plain(kind, getattr(value, field))


def _plain(kind: str, value: Any) -> str:
    import tensorflow as tf

    if kind == "type":
        return f"tf.{tf.as_dtype(value).name}"
    if kind == "shape":
        shape = tf.TensorShape(value)
        return "None" if shape.rank is None else str(shape.as_list())
    if kind == "string":
        try:
            return repr(value.decode("ascii"))
        except UnicodeDecodeError:
            return repr(value)
    return number(np.float32(value)) if kind == "float" else repr(value)


def number(value: Any) -> str:
    """A number as the shortest literal that gives it back; infinities and NaN as calls."""
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, float) and not np.isfinite(plain):
        return f'float("{plain}")'
    if isinstance(value, np.floating) and value.dtype.itemsize <= 4 and value.dtype.isbuiltin == 1:
        return str(value)
    return repr(plain)


def literal(array: Any) -> str:
    """Nested lists of numbers."""
    if array.ndim == 0:
        return number(array[()])
    return "[" + ", ".join(literal(item) for item in array) + "]"


def _ordered(by_name: dict[str, Any]) -> list[Any]:
    """Producers first; of equals, in the given order."""
    done: dict[str, Any] = {}

    def visit(name: str) -> None:
        stack = [(name, iter(by_name[name].input))]
        while stack:
            current, sources = stack[-1]
            source = next((s for s in (t.lstrip("^").partition(":")[0] for t in sources) if s not in done), None)
            if source is None:
                done[current] = by_name[current]
                stack.pop()
            else:
                stack.append((source, iter(by_name[source].input)))

    for name in by_name:
        if name not in done:
            visit(name)
    return list(done.values())


def graph_code(candidate: Candidate) -> str:
    """The last resort: the GraphDef as text, imported into a tf.function. Raises NoCode when it is too long."""
    import tensorflow as tf

    text = graph_text(candidate.graph)
    if candidate.captured:
        raise NoCode("a graph as text captures nothing")
    if len(text) > MOST_TEXT or "'''" in text:
        raise NoCode("the graph is too long for a script")
    specs = []
    for name in candidate.inputs:
        node = next(n for n in candidate.graph.node if n.name == name.partition(":")[0])
        shape = tf.TensorShape(node.attr["shape"].shape)
        dims = None if shape.rank is None else shape.as_list()
        specs.append(f"    tf.TensorSpec({dims}, tf.{tf.as_dtype(node.attr['dtype'].type).name}),")
    return "\n".join(
        [
            f"GRAPH = r'''\n{text}'''",
            f"INPUTS, OUTPUTS = {candidate.inputs!r}, {candidate.outputs!r}",
            "",
            "",
            "@tf.function(input_signature=[",
            *specs,
            "])",
            "def model(*given):",
            "    graph = text_format.Parse(GRAPH, tf.compat.v1.GraphDef())",
            '    return tf.graph_util.import_graph_def(graph, dict(zip(INPUTS, given)), OUTPUTS, name="")',
        ]
    )
