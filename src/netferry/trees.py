"""Nested values (tuples, lists, dicts, dataclasses) as networks take and return them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any


def convert(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """The same nesting with ``leaf`` applied to every member; dataclasses become dicts."""
    if isinstance(value, Mapping):
        return {key: convert(member, leaf) for key, member in value.items()}
    if isinstance(value, tuple):
        members = tuple(convert(member, leaf) for member in value)
        make = getattr(type(value), "_make", tuple)
        return make(members)
    if isinstance(value, list):
        return [convert(member, leaf) for member in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: convert(getattr(value, f.name), leaf) for f in dataclasses.fields(value)}
    return leaf(value)


def numbers(value: Any) -> Iterator[tuple[str, Any]]:
    """The leaves that are arrays, tensors or plain numbers."""
    for path, leaf in leaves(value):
        if hasattr(leaf, "dtype") or isinstance(leaf, int | float | complex):
            yield path, leaf


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every member that is no container, with its place (``"1.logits"``), in order; ``None`` is left out."""
    if isinstance(value, Mapping):
        members: Iterator[tuple[Any, Any]] = iter(value.items())
    elif isinstance(value, tuple | list):
        members = iter(enumerate(value))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        members = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
    else:
        if value is not None:
            yield path, value
        return
    for key, member in members:
        yield from leaves(member, f"{path}.{key}" if path else str(key))
