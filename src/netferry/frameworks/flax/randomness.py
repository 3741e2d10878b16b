"""Ways to run Flax code otherwise than it is written: without dropout, with fixed random numbers."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen, nnx

from netferry.frameworks.base import NORMAL, UNIFORM


def _normal(key: Any, shape: Any = (), dtype: Any = float, **options: Any) -> Any:
    return jnp.full(shape, NORMAL, dtype)


def _uniform(
    key: Any, shape: Any = (), dtype: Any = float, minval: Any = 0.0, maxval: Any = 1.0, **options: Any
) -> Any:
    return jnp.full(shape, minval + UNIFORM * (maxval - minval), dtype)


def _integers(key: Any, shape: Any, minval: Any, maxval: Any, dtype: Any = int, **options: Any) -> Any:
    return jnp.full(shape, minval + int(UNIFORM * (maxval - minval)), dtype)


def _bernoulli(key: Any, p: Any = 0.5, shape: Any = None, **options: Any) -> Any:
    kept = jnp.asarray(p) > UNIFORM
    return kept if shape is None else jnp.broadcast_to(kept, shape)


def _permutation(key: Any, x: Any, axis: int = 0, **options: Any) -> Any:
    return jnp.arange(x) if isinstance(x, int) else x


_FIXED: dict[str, Callable[..., Any]] = {
    "normal": _normal, "uniform": _uniform, "randint": _integers, "bernoulli": _bernoulli, "permutation": _permutation,
}  # fmt: skip


def _unchanged(self: Any, inputs: Any, *args: Any, **options: Any) -> Any:
    return inputs


@contextmanager
def modes(*, fixed: bool) -> Iterator[None]:
    """What applies to every run: no dropout, and ``fixed`` numbers for random ones where wanted."""
    with ExitStack() as stack:
        for layer in (nnx.Dropout, linen.Dropout):
            stack.enter_context(replaced(layer, "__call__", _unchanged))
        for name, replacement in _FIXED.items() if fixed else ():
            stack.enter_context(replaced(jax.random, name, replacement))
        yield


@contextmanager
def quick_initialisers() -> Iterator[None]:
    """Let all weights start alike: drawing them takes long, and others are assigned before anything is compared."""

    def alike(key: Any, *args: Any, shape: Any = None, dtype: Any = None, **options: Any) -> Any:
        sizes = shape if shape is not None else next((a for a in args if isinstance(a, tuple | list)), ())
        return jnp.full(sizes, 0.01)

    # The initialisers see another module than the one that everybody imports.
    modules = (jax.random, inspect.unwrap(jax.nn.initializers.normal).__globals__.get("random", jax.random))
    with ExitStack() as stack:
        for module, name in itertools.product(modules, ("normal", "uniform", "truncated_normal", "orthogonal")):
            stack.enter_context(replaced(module, name, alike))
        # The hash in it takes longer to compile than everything else.
        stack.enter_context(replaced(jax.random, "fold_in", lambda key, data: key))
        yield


@contextmanager
def replaced(owner: Any, name: str, replacement: Any) -> Iterator[None]:
    """Let something be another for a while."""
    original = getattr(owner, name)
    setattr(owner, name, replacement)
    try:
        yield
    finally:
        setattr(owner, name, original)
