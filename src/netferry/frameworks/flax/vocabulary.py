"""From JAX and Flax objects back to the public names that the vocabulary uses."""

from __future__ import annotations

import functools
import importlib
import types
from typing import Any

import jax
import numpy as np
from flax import linen, nnx

from netferry.ops import carried, registry
from netferry.pivot.facts import Tensor

LIBRARIES = ("flax", "jax", "jaxlib", "optax", "orbax", "chex", "jraph", "clu", "einops")
CONTAINERS = (
    "flax.nnx.Module",
    "flax.linen.Module",
    "flax.linen.Sequential",
    "flax.nnx.Sequential",
    "flax.nnx.List",
    "flax.nnx.Dict",
    "flax.nnx.Pytree",
)
"""Classes whose own call, if any, is that of others."""
_PART = "_IndexUpdateRef"
"""The class of what ``x.at[index]`` gives."""
_HOMES = (
    ("flax.nnx.", "flax.nnx"), ("flax.linen.", "flax.linen"), ("jax._src.nn.functions", "jax.nn"), ("jax._src.nn.initializers", "jax.nn.initializers"),
    ("jax._src.random", "jax.random"), ("jax._src.image", "jax.image"), ("jax._src.lax", "jax.lax"),
    ("jax._src.numpy", "jax.numpy"),
)  # fmt: skip


def resolve(path: str) -> Any:
    """The object of a dotted path."""
    parts = path.split(".")
    for split in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:split]))
        except ImportError:
            continue
        return functools.reduce(getattr, parts[split:], found)
    raise ImportError(path)


@functools.cache
def _known() -> tuple[dict[int, str], list[Any]]:
    """Identity of every callable in the vocabulary -> its path (the objects are kept, so identities stay)."""
    table: dict[int, str] = {}
    kept: list[Any] = []
    for path, _, spelling in registry.paths("flax"):
        if spelling.kind in ("method", "attribute"):
            continue
        try:
            found = resolve(path)
        except (ImportError, AttributeError):
            continue
        table.setdefault(id(found), path)
        kept.append(found)
    return table, kept


def _is_library(module: str) -> bool:
    return module.partition(".")[0] in LIBRARIES


def class_path(kind: type) -> str | None:
    """The public path of a class of JAX or Flax; None for the user's own."""
    own = carried.path_of(kind)
    if own is not None:
        return own
    module = getattr(kind, "__module__", None) or ""
    if not _is_library(module):
        return None
    known = _known()[0].get(id(kind))
    if known:
        return known
    if issubclass(kind, nnx.Variable):
        return f"flax.nnx.{kind.__name__}"
    if issubclass(kind, jax.Array):
        return "jax.Array"
    for home in ("flax.nnx", "flax.linen"):
        if module.startswith(f"{home}."):
            return f"{home}.{kind.__name__}"
    return _public(module, kind.__qualname__)


def _public(module: str, name: str) -> str:
    for private, public in _HOMES:
        if module.startswith(private):
            return f"{public.removesuffix('.')}.{name}"
    return f"{module}.{name}"


def is_array(value: Any) -> bool:
    """Whether a value is an array of JAX or a variable that holds one."""
    return isinstance(value.get_raw_value() if isinstance(value, nnx.Variable) else value, jax.Array)


def is_random(value: Any) -> bool:
    """Whether an observed value is a random generator, or a key of one."""
    if isinstance(value, nnx.Rngs | nnx.RngStream | nnx.RngState):
        return True
    return isinstance(value, Tensor) and value.dtype.startswith("key<")


def _method_name(function: Any) -> str:
    """The name of a method of an array, which knows it only by a closure while shapes alone are computed."""
    inner = getattr(function, "__func__", function)
    if inner.__name__ == "meth" and inner.__closure__:
        found = [c.cell_contents for c in inner.__closure__ if isinstance(c.cell_contents, str)]
        if found:
            return str(found[0])
    return str(inner.__name__).removeprefix("_")


def callable_path(function: Any) -> str | None:
    """The public path of a callable that belongs to JAX or Flax, or None."""
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, type):
        return class_path(function)
    own = carried.path_of(function)
    if own is not None:
        return own
    if isinstance(function, nnx.Module | linen.Module | nnx.Variable | np.ndarray):
        return None
    known = _known()[0].get(id(function))
    if known:
        return known
    receiver = getattr(function, "__self__", None)
    if isinstance(receiver, jax.Array | nnx.Variable) and isinstance(function, types.MethodType):
        name = _method_name(function)
        is_own = isinstance(receiver, nnx.Variable) and name in vars(nnx.Variable)
        return f"flax.nnx.Variable.{name}" if is_own else f"jax.Array.{name}"
    if type(receiver).__name__ == _PART:
        return f"jax.Array.at.{function.__name__}"
    module = getattr(function, "__module__", None) or ""
    if not _is_library(module):
        return None
    name = str(getattr(function, "__qualname__", "") or getattr(function, "__name__", type(function).__name__))
    if isinstance(receiver, nnx.Module) and not isinstance(receiver, nnx.Rngs):
        return f"flax.nnx.{name}"
    return _public(module, name)


def opened(value: Any) -> Any:
    """The array that a variable holds; of a part of an array that is to be replaced, the array and the index."""
    if isinstance(value, nnx.Variable):
        return value.get_raw_value()
    return (value.array, value.index) if type(value).__name__ == _PART else value
