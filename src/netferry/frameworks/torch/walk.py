"""The modules of a PyTorch network and the arrays that each holds itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from netferry.frameworks.torch.holding import of_class
from netferry.frameworks.torch.names import class_path
from netferry.ops import registry
from netferry.weights.build import Member, Module, Path

_CONTAINERS = ("torch.nn.modules.container",)


def walk(network: Any) -> Iterator[Module]:
    """Every module once, parents first; members of a ``Sequential`` are found by position in the target."""
    yield from _walk(network, "", (), set())


def _walk(module: Any, source: str, path: Path, seen: set[int]) -> Iterator[Module]:
    if id(module) in seen:
        return
    seen.add(id(module))
    stock = _stock(module)
    members = _members(module) if stock is None else _all_members(module)
    yield Module(source, path, module, stock, list(members), owners(module))
    if stock is not None:
        own = _added(module, stock)
        if own is None:
            return
        yield Module(source, path, module, None, own, owners(module))
    held = of_class(type(module))
    if held is not None and held.attribute:
        path = (*path, (owners(module), held.attribute))
    for index, (name, child) in enumerate(module._modules.items()):
        if child is not None:
            part = str(index) if held is not None and held.kind != "dict" else name
            yield from _walk(child, _joined(source, name), (*path, (owners(module), part)), seen)


def _added(module: Any, stock: str) -> list[Member] | None:
    """The arrays that a class of the user's adds to those of the stock layer it extends; None for a stock layer."""
    if class_path(type(module)) is not None:
        return None
    declared = [(op, spelling) for op, spelling in registry.find(stock) if spelling.layer]
    if any(op.dynamic_params or spelling.dynamic_params for op, spelling in declared):
        return None
    known = {name for _, spelling in declared for name in spelling.params}
    if any("." in name for name in known):
        return None
    return [member for member in _members(module) if member.name not in known]


def owners(module: Any) -> tuple[str, ...]:
    """The classes of an instance, most derived first, by full name."""
    return tuple(f"{kind.__module__}.{kind.__qualname__}" for kind in type(module).__mro__)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _stock(module: Any) -> str | None:
    kind = type(module)
    if kind.__module__ in _CONTAINERS or issubclass(
        kind, torch.nn.Sequential | torch.nn.ModuleList | torch.nn.ModuleDict
    ):
        return None
    path = next((path for k in kind.__mro__ if k is not torch.nn.Module and (path := class_path(k)) is not None), None)
    return None if path is None or _only_holds(path, module) else path


def _only_holds(path: str, module: Any) -> bool:
    """Whether a stock layer's parameters are those of its parts, which have the same paths in every framework."""
    declared = [op for op, spelling in registry.find(path) if spelling.layer]
    return bool(declared and module._modules) and not any(op.params or op.dynamic_params for op in declared)


def _members(module: Any) -> Iterator[Member]:
    for name, parameter in module._parameters.items():
        if parameter is not None:
            yield Member(name, tuple(parameter.shape), parameter.requires_grad, False, id(parameter))
    for name, buffer in module._buffers.items():
        if buffer is not None and name != "num_batches_tracked":
            yield Member(name, tuple(buffer.shape), False, True, id(buffer))
    for name, tensor in plain_tensors(module):
        yield Member(name, tuple(tensor.shape), tensor.requires_grad, not tensor.requires_grad, id(tensor), plain=True)


def plain_tensors(module: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """The numbers that a module keeps as attributes only."""
    for name, value in vars(module).items():
        if isinstance(value, torch.Tensor) and value.is_floating_point() and value.is_leaf:
            yield name, value


def _all_members(module: Any) -> Iterator[Member]:
    for name, parameter in module.named_parameters():
        yield Member(name, tuple(parameter.shape), parameter.requires_grad, False, id(parameter))
    for name, buffer in module.named_buffers():
        if not name.endswith("num_batches_tracked"):
            yield Member(name, tuple(buffer.shape), False, True, id(buffer))
