"""From PyTorch objects back to the public names that the vocabulary uses."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import torch

from netferry.ops import carried, registry

_LIBRARIES = ("torch", "einops")


def resolve(path: str) -> Any:
    """The object of a dotted public path; raises AttributeError or ImportError."""
    parts = path.split(".")
    for split in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:split]))
        except ImportError:
            continue
        for part in parts[split:]:
            found = getattr(found, part)
        return found
    raise ImportError(path)


@functools.cache
def _known() -> tuple[dict[int, str], list[Any]]:
    """Identity of every callable in the vocabulary -> its path (the objects are kept, so identities stay)."""
    table: dict[int, str] = {}
    kept: list[Any] = []
    for path, _, spelling in registry.paths("torch"):
        if spelling.kind in ("method", "attribute") or path.startswith("torch.Tensor."):
            continue
        try:
            found = resolve(path)
        except (ImportError, AttributeError):
            continue
        table.setdefault(id(found), path)
        kept.append(found)
    return table, kept


def class_path(kind: type) -> str | None:
    """The public path of a stock layer class (containers included); None for the user's own."""
    own = carried.path_of(kind)
    if own is not None:
        return own
    module = kind.__module__
    if module.partition(".")[0] not in _LIBRARIES:
        return None
    known = _known()[0].get(id(kind))
    if known:
        return known
    if module.startswith("torch.nn.modules"):
        return f"torch.nn.{kind.__name__}"
    return _public(f"{module}.{kind.__qualname__}")


_SERVICES = frozenset({"torchvision.models._api.WeightsEnum.verify"})
"""Functions of PyTorch's own libraries that are part of how networks are built there, not of the networks."""


def _service(function: Any) -> str | None:
    underlying = getattr(function, "__func__", function)
    name = f"{getattr(underlying, '__module__', '')}.{getattr(underlying, '__qualname__', '')}"
    return name if name in _SERVICES else None


def is_service_class(value: Any) -> bool:
    """Whether a class stands for published checkpoints, which only its own framework can load."""
    return isinstance(value, type) and any(
        f"{k.__module__}.{k.__qualname__}" == "torchvision.models._api.WeightsEnum" for k in value.__mro__
    )


def is_function(value: Any) -> bool:
    """Whether a value is a class of the user's that extends ``torch.autograd.Function``."""
    return (
        isinstance(value, type)
        and issubclass(value, torch.autograd.Function)
        and value.__module__.partition(".")[0] not in _LIBRARIES
    )


def callable_path(function: Any) -> str | None:
    """The public path of a callable that belongs to PyTorch, or None."""
    while isinstance(function, functools.partial):
        function = function.func
    if function is torch.Tensor:
        return "torch.Tensor"
    if isinstance(function, type):
        return class_path(function)
    own = carried.path_of(function)
    if own is not None:
        return own
    if isinstance(function, torch.nn.Module):
        return None
    known = _known()[0].get(id(function)) or _service(function)
    if known:
        return known
    receiver = getattr(function, "__self__", None)
    name = getattr(function, "__name__", type(function).__name__)
    if isinstance(receiver, torch.Tensor):
        return f"torch.Tensor.{name}"
    module = getattr(function, "__module__", None) or ""
    if is_function(receiver) or isinstance(receiver, torch.autograd.function.FunctionCtx):
        return None
    if isinstance(receiver, torch.nn.Module):
        underlying = getattr(function, "__func__", None)
        if underlying is not None and (underlying.__module__ or "").partition(".")[0] == "torch":
            return _method_path(type(receiver), underlying.__qualname__)
        return None
    qualified = getattr(function, "__qualname__", name)
    if module.startswith("torch.nn.modules.") and "." in qualified:
        return f"torch.nn.{qualified}"
    if module.partition(".")[0] in _LIBRARIES:
        short = module.replace("torch._C._nn", "torch.nn.functional").replace("torch.nn.modules.", "torch.nn.")
        return _public(f"{short}.{qualified}".replace("._VariableFunctionsClass.", "."))
    if isinstance(receiver, type(torch)) or type(function).__name__ in (
        "builtin_function_or_method",
        "OpOverloadPacket",
    ):
        owner = getattr(receiver, "__name__", "")
        if owner.startswith("torch"):
            public = owner.replace("torch._C._VariableFunctions", "torch").replace(
                "torch._C._nn", "torch.nn.functional"
            )
            return f"{public}.{name}"
    return None


def _method_path(kind: type, name: str) -> str:
    """The path of a method by the public class: ``_BatchNorm.forward`` of a batch norm is ``BatchNorm2d``'s."""
    owner, _, method = name.rpartition(".")
    if owner.startswith("_"):
        stock = next((path for k in kind.__mro__ if (path := class_path(k)) is not None), None)
        return f"{stock or owner}.{method}"
    return f"torch.nn.{name}"


@functools.lru_cache(maxsize=4096)
def _public(path: str) -> str:
    """The shortest path of the same object: ``torch.jit.is_tracing``, not ``torch.jit._trace.is_tracing``."""
    try:
        found = resolve(path)
    except (ImportError, AttributeError):
        return path
    parts = path.split(".")
    for end in range(len(parts) - 1, 1, -1):
        shorter = ".".join([*parts[: end - 1], *parts[end:]])
        try:
            if resolve(shorter) is found:
                return _public(shorter)
        except (ImportError, AttributeError):
            continue
    return path


def qualified(value: Any) -> str:
    """The dotted name of any object, private modules included; empty where it has none."""
    if isinstance(value, torch.autograd.grad_mode.no_grad | torch.autograd.grad_mode.enable_grad | torch.autocast):
        value = type(value)
    if isinstance(value, type(torch)):
        return str(value.__name__)
    try:
        module = getattr(value, "__module__", "") or ""
        name = getattr(value, "__qualname__", getattr(value, "__name__", ""))
    except Exception:  # noqa: BLE001 - attributes may be computed, by any code
        return ""
    return f"{module}.{name}".replace("torch.autograd.grad_mode.", "torch.")
