"""Names of the layers of a graph that are the same for every instance: Keras numbers unnamed layers for the whole program."""

from __future__ import annotations

import re
import weakref
from typing import Any

import keras

_known: weakref.WeakKeyDictionary[Any, tuple[int, dict[str, Any]]] = weakref.WeakKeyDictionary()


def members(network: Any) -> dict[str, Any]:
    """Name -> layer, in order; the numbers that Keras gave count within this network alone."""
    layers = network.layers
    found = _known.get(network)
    if found is None or found[0] != len(layers):
        found = (len(layers), _named(layers))
        _known[network] = found
    return found[1]


def _named(layers: list[Any]) -> dict[str, Any]:
    numbered: dict[str, list[tuple[int, str]]] = {}
    for layer in layers:
        kind = keras.src.utils.naming.to_snake_case(type(layer).__name__)
        match = re.fullmatch(rf"{re.escape(kind)}(?:_(\d+))?", layer.name)
        if match:
            numbered.setdefault(kind, []).append((int(match[1] or 0), layer.name))
    given = {
        name: f"{kind}_{position}" if position else kind
        for kind, names in numbered.items() for position, (_, name) in enumerate(sorted(names))
    }  # fmt: skip
    found = {given.get(layer.name, layer.name).replace(".", "_"): layer for layer in layers}
    return found if len(found) == len(layers) else {layer.name: layer for layer in layers}
