"""Where TensorFlow's checkpoints keep each variable of a network: paths through its objects, several ways of naming them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from netferry.frameworks.keras import paths


def places(network: Any) -> Mapping[str, tuple[str, ...]]:
    """Variable -> its places: by this TensorFlow's objects, by the layers as Keras 2 named them, and in an exported model."""
    by_object = _by_object(network)
    by_layer = dict(_by_layer(network, ""))
    order = {id(v): f"variables.{number}" for number, v in enumerate(getattr(network, "variables", ()))}
    found: dict[str, tuple[str, ...]] = {}
    for path, variable in paths.variables(network):
        ways = (by_object.get(id(variable), ""), by_layer.get(id(variable), ""), order.get(id(variable), ""))
        found.setdefault(path, ways)
    return found


def _by_object(network: Any) -> dict[int, str]:
    """Variable -> its shortest path through the objects that a checkpoint follows."""
    view = tf.train.TrackableView(network)
    found: dict[int, str] = {}
    waiting: list[tuple[Any, str]] = [(network, "")]
    seen = {id(network)}
    while waiting:
        owner, path = waiting.pop(0)
        if paths.is_variable(owner):
            found[id(owner)] = path
            continue
        for name, child in view.children(owner).items():
            if id(child) not in seen:
                seen.add(id(child))
                waiting.append((child, named(f"{path}.{name}" if path else name)))
    return found


def named(path: str) -> str:
    """A path without what only tells that an attribute is nobody else's: ``_operations.1._kernel``."""
    return ".".join(part.lstrip("_") for part in path.split("."))


def _by_layer(layer: Any, prefix: str) -> Iterator[tuple[int, str]]:
    """Variable -> its path where the layers of a graph or a sequence are counted: ``layer_with_weights-0.kernel``."""
    if isinstance(layer, keras.Sequential) or paths.is_graph(layer):
        number = 0
        for member in layer.layers:
            if member.weights:
                yield from _by_layer(member, f"{prefix}layer_with_weights-{number}.")
                number += 1
        return
    for path, variable in paths.variables(layer):
        if paths.is_variable(variable):
            yield id(variable), named(f"{prefix}{path}")
