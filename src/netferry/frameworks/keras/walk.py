"""The layers of a Keras network and the arrays that each holds itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netferry.frameworks.keras import paths
from netferry.frameworks.keras.vocabulary import class_path, layer_of_cell
from netferry.weights.build import Member, Module, Path

_CONTAINERS = ("keras.Sequential", "keras.Functional", "keras.Model", "keras.layers.Layer")


def walk(network: Any) -> Iterator[Module]:
    """Every layer once, parents first, down to stock ones."""
    kinds: dict[str, Any] = {}
    hidden: tuple[str, ...] = ()
    for path, layer in paths.layers(network):
        kinds[path] = layer
        if any(path.startswith(f"{h}.") or not h for h in hidden):
            continue
        stock = _stock(layer)
        if stock is not None:
            hidden = (*hidden, path)
        yield Module(
            path, _target(path, kinds), layer, stock, list(_members(layer, whole=stock is not None)), owners(layer)
        )


def owners(layer: Any) -> tuple[str, ...]:
    """The classes of an instance, most derived first, by full name."""
    return tuple(f"{kind.__module__}.{kind.__qualname__}" for kind in type(layer).__mro__)


def _target(path: str, kinds: dict[str, Any]) -> Path:
    """The path's parts, each with the classes of the layer that holds it."""
    found: list[tuple[tuple[str, ...], str]] = []
    holder: Any = kinds.get("")
    at = ""
    for part in path.split(".") if path else ():
        at = f"{at}.{part}" if at else part
        found.append((owners(holder) if holder is not None else (), part))
        holder = kinds.get(at)
    return tuple(found)


def _stock(layer: Any) -> str | None:
    kind = next((k for k in type(layer).__mro__ if "call" in k.__dict__), None)
    if kind is None or class_path(kind) is None:
        return None
    if (known := layer_of_cell(layer)) is not None:
        return known
    path = next(p for k in type(layer).__mro__ if (p := class_path(k)) is not None)
    return None if path in _CONTAINERS or path == "keras.layers.TimeDistributed" else path


def _members(layer: Any, *, whole: bool) -> Iterator[Member]:
    """Variables of the layer alone, or (``whole``) of the layers inside it too, by path."""
    seen: set[int] = set()
    for path, variable in paths.variables(layer):
        if id(variable) in seen or (not whole and not _own(layer, path)):
            continue
        seen.add(id(variable))
        trainable = bool(variable.trainable)
        yield Member(path, tuple(variable.shape), trainable, not trainable, id(variable))


def _own(layer: Any, path: str) -> bool:
    """Whether no other layer lies on the path."""
    found = layer
    for part in path.split(".")[:-1]:
        found = paths._step(found, part, path)
        if paths.is_holder(found):
            return False
    return True
