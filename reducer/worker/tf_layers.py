"""Keras models cut by layers (child side), for failures that are gone as soon as the model is a frozen graph.

Every set of layers is a model: what a kept layer reads from one that is gone becomes an Input of the same shape, fed
with the recorded value. Layers that are called more than once are not cut.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from reducer.worker.tf_ladder import as_array
from reducer.worker.tf_sources import open_source
from reducer.worker.tf_subject import Subject


class CannotCut(Exception):
    """These layers make no model."""


@lru_cache(maxsize=2)
def opened(path: str, form: str, folder: str) -> Subject:
    """The subject of a request, opened once in a worker."""
    return open_source({"path": path, "form": form, "folder": folder})


def layers_of(model: Any) -> list[Any]:
    """What can be cut, in the order of the model; Inputs are no layers here."""
    import keras

    return [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]


def described(model: Any) -> list[dict[str, Any]]:
    """[{name, op, reads: [positions]}] of the layers."""
    layers = layers_of(model)
    places = {id(layer): number for number, layer in enumerate(layers)}
    table = []
    for number, layer in enumerate(layers):
        if _is_sequential(model):
            reads = [number - 1] if number else []
        else:
            sources = [_maker(tensor) for tensor in _tensors(layer)]
            reads = sorted({places[id(source)] for source in sources if id(source) in places})
        table.append({"name": layer.name, "op": type(layer).__name__, "reads": reads})
    return table


def _is_sequential(model: Any) -> bool:
    import keras

    return isinstance(model, keras.Sequential)


def _node(layer: Any) -> Any:
    nodes = layer._inbound_nodes
    if len(nodes) != 1:
        raise CannotCut(f"the layer {layer.name!r} is called {len(nodes)} times")
    return nodes[0]


def _tensors(layer: Any) -> list[Any]:
    nodes = layer._inbound_nodes
    return list(nodes[0].input_tensors) if nodes else []


def _maker(tensor: Any) -> Any:
    return tensor._keras_history.operation


class LayersCandidate:
    """A model of the layers at positions `keep`; `feeds` are its inputs."""

    def __init__(self, subject: Subject, keep: Sequence[int], feeds: Sequence[Any]) -> None:
        self.subject, self.kept = subject, sorted(keep)
        source = subject.keras_model
        self.lines: list[str] = []
        self.layers = [layers_of(source)[position] for position in self.kept]
        try:
            if _is_sequential(source):
                self.model, self.feeds = self._sequential(), list(feeds)
            else:
                self.model, self.feeds = self._functional(feeds)
        except CannotCut:
            raise
        except Exception as error:
            raise CannotCut(f"{type(error).__name__}: {str(error)[:200]}") from error

    def _sequential(self) -> Any:
        import keras

        given = self.subject.keras_model.inputs[0]
        model = keras.Sequential([keras.Input(batch_shape=given.shape, dtype=given.dtype), *map(_copied, self.layers)])
        _with_weights(model, self.layers)
        return model

    def _functional(self, feeds: Sequence[Any]) -> tuple[Any, list[Any]]:
        import keras

        source = self.subject.keras_model
        made: dict[int, Any] = {}
        cut: dict[int, tuple[Any, Any]] = {}
        copies = []

        def stand_in(tensor: Any) -> Any:
            if not isinstance(tensor, keras.KerasTensor):
                return tensor
            if id(tensor) in made:
                return made[id(tensor)]
            if id(tensor) not in cut:
                cut[id(tensor)] = (tensor, keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype))
            return cut[id(tensor)][1]

        for layer in self.layers:
            node, copy = _node(layer), _copied(layer)
            arguments = keras.tree.map_structure(stand_in, (node.arguments.args, node.arguments.kwargs))
            results = keras.tree.flatten(copy(*arguments[0], **arguments[1]))
            copies.append(copy)
            made.update({id(old): new for old, new in zip(node.output_tensors, results, strict=True)})
        read = {id(t) for layer in self.layers for t in _tensors(layer)}
        ends = {id(t) for t in source.outputs}
        outputs = [new for old, new in made.items() if old in ends or old not in read]
        model = keras.Model([new for _, new in cut.values()], outputs)
        for copy, layer in zip(copies, self.layers, strict=True):
            copy.set_weights(layer.get_weights())
        recorder = keras.Model(source.inputs, [old for old, _ in cut.values()])
        values = recorder(list(feeds) if len(feeds) > 1 else feeds[0], training=False)
        return model, [as_array(value) for value in keras.tree.flatten(values)]

    def expected(self) -> list[Any]:
        """TensorFlow's own outputs."""
        import keras

        given = self.feeds if len(self.feeds) > 1 else self.feeds[0]
        return [as_array(value) for value in keras.tree.flatten(self.model(given, training=False))]

    def code(self) -> str | None:
        """The model as Python; None when a layer cannot be written down or the order of calls is no plain chain."""
        calls = [layer_code(layer) for layer in self.layers]
        if not _is_sequential(self.subject.keras_model) or None in calls:
            return None
        given = self.subject.keras_model.inputs[0]
        dtype = f', dtype="{given.dtype}"' if given.dtype != "float32" else ""
        inner = [f"keras.Input({tuple(given.shape[1:])}{dtype})", *[str(call) for call in calls]]
        body = ",\n    ".join(inner)
        return f"model = keras.Sequential([\n    {body},\n])"


def _copied(layer: Any) -> Any:
    return layer.__class__.from_config(layer.get_config())


def _with_weights(model: Any, layers: Sequence[Any]) -> None:
    """The source's weights where the shapes still fit: another layer's absence may change them."""
    for copy, layer in zip(layers_of(model), layers, strict=True):
        have, want = copy.get_weights(), layer.get_weights()
        if [w.shape for w in have] == [w.shape for w in want]:
            copy.set_weights(want)


def layer_code(layer: Any) -> str | None:
    """`keras.layers.Dense(10, ...)` with what is not default; None for a layer of the user's own or odd settings."""
    import keras

    kind = type(layer)
    if getattr(keras.layers, kind.__name__, None) is not kind:
        return None
    config = layer.get_config()
    parameters = inspect.signature(kind.__init__).parameters
    needed = [
        name
        for name, p in parameters.items()
        if name != "self" and p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    if not all(name in config and _is_literal(config[name]) for name in needed):
        return None
    usual = kind(**{name: config[name] for name in needed}).get_config()
    arguments = [f"{config[name]!r}" for name in needed]
    for name, value in config.items():
        if name in ("name", "dtype", "trainable", *needed) or value == usual.get(name):
            continue
        if not _is_literal(value) or name not in parameters:
            return None
        arguments.append(f"{name}={value!r}")
    return f"keras.layers.{kind.__name__}({', '.join(arguments)})"


def _is_literal(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_literal, value))
    return value is None or isinstance(value, bool | int | float | str)
