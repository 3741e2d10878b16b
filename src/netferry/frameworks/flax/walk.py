"""The modules of an NNX network and the arrays that each holds itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flax import nnx

from netferry.frameworks.flax import paths
from netferry.frameworks.flax.vocabulary import CONTAINERS, class_path
from netferry.weights.build import Member, Module, Path


def walk(network: Any) -> Iterator[Module]:
    """Every module once, parents first, down to stock ones."""
    yield from _walk(network, "", (), set())


def _walk(module: Any, source: str, path: Path, seen: set[int]) -> Iterator[Module]:
    if id(module) in seen or not isinstance(module, nnx.Module):
        return
    seen.add(id(module))
    stock = stock_path(module)
    members = paths.variables(module) if stock else _own(module)
    yield Module(source, path, module, stock, [_member(name, v) for name, v in members], owners(module))
    if stock is not None:
        return
    for name, child in paths.members(module):
        if isinstance(child, nnx.Module):
            parts = tuple(((owners(module) if i == 0 else ()), part) for i, part in enumerate(name.split(".")))
            yield from _walk(child, paths.joined(source, name), (*path, *parts), seen)


def owners(module: Any) -> tuple[str, ...]:
    """The classes of an instance, most derived first, by full name."""
    return tuple(f"{kind.__module__}.{kind.__qualname__}" for kind in type(module).__mro__)


def stock_path(module: Any) -> str | None:
    """The path of the stock class that a module is of; None for containers and the user's own."""
    path = next((p for kind in type(module).__mro__ if (p := class_path(kind)) is not None), None)
    return None if path is None or path in CONTAINERS else path


def _own(module: Any) -> Iterator[tuple[str, Any]]:
    for name, member in paths.members(module):
        if isinstance(member, nnx.Variable) and not isinstance(member, nnx.RngState):
            yield name, member


def _member(name: str, variable: Any) -> Member:
    array = variable.get_raw_value()
    trained = isinstance(variable, nnx.Param)
    return Member(name, tuple(array.shape), trained, not trained, id(array))
