"""Where the variables of an NNX network are: paths of attributes and indices, ``layer1.0.conv1.kernel``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flax import nnx


def modules(network: Any) -> Iterator[tuple[str, Any]]:
    """The network and every module under it, each once, with its path, in order of assignment."""
    yield from _modules(network, "", set())


def _modules(module: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if id(module) in seen:
        return
    seen.add(id(module))
    yield path, module
    for name, member in members(module):
        if isinstance(member, nnx.Module):
            yield from _modules(member, joined(path, name), seen)


def variables(network: Any) -> Iterator[tuple[str, Any]]:
    """Every variable under all its paths, but the states of random generators."""
    for path, module in modules(network):
        for name, member in members(module):
            if isinstance(member, nnx.Variable) and not isinstance(member, nnx.RngState):
                yield joined(path, name), member


def members(module: Any) -> Iterator[tuple[str, Any]]:
    """What a module holds, by attribute; containers are opened, those of a sequence without a name of their own."""
    for name, member in list(vars(module).items()):
        if name.startswith("_pytree__") or isinstance(member, nnx.Rngs):
            continue
        inside = isinstance(module, nnx.Sequential) and name == "layers"
        yield from _opened("" if inside else name, member)


def _opened(name: str, member: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(member, nnx.List | list | tuple):
        for index, inner in enumerate(member):
            yield from _opened(joined(name, str(index)), inner)
    elif isinstance(member, nnx.Dict | dict):
        for key, inner in member.items():
            yield from _opened(joined(name, str(key)), inner)
    else:
        yield name, member


def find(network: Any, path: str) -> Any:
    """The variable at ``path``; raises KeyError."""
    found = network
    for part in path.split("."):
        found = _step(found, part, path)
    if not isinstance(found, nnx.Variable):
        raise KeyError(path)
    return found


def _step(owner: Any, part: str, path: str) -> Any:
    if isinstance(owner, nnx.Sequential) and part.isdigit():
        owner = owner.layers
    if isinstance(owner, nnx.List | list | tuple) and part.isdigit():
        return owner[int(part)]
    if isinstance(owner, nnx.Dict | dict) and part in owner:
        return owner[part]
    if not hasattr(owner, part):
        raise KeyError(path)
    return getattr(owner, part)


def joined(path: str, name: str) -> str:
    """Two parts of a path, either of which may be empty."""
    return f"{path}.{name}" if path and name else path or name
