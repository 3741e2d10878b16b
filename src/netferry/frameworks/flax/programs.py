"""The compiled calls of a network, kept from call to call as a user's ``nnx.jit`` keeps them."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from flax import nnx
from flax.errors import TraceContextError

_NOT_COMPILED = (jax.errors.JAXTypeError, jax.errors.JAXIndexError, TraceContextError, TypeError, ValueError)
"""What code raises that needs numbers, or changes what was made before."""


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled as a whole, which is much faster than operation by operation; as it is where it cannot be."""

    def call(*args: Any) -> Any:
        try:
            return nnx.jit(function)(*args)
        except _NOT_COMPILED:
            return function(*args)

    return call


class Programs:
    """The compiled calls of the network called last, by mode and by what is given besides arrays."""

    def __init__(self) -> None:
        self._network: Callable[[], Any] = lambda: None
        self._kept: dict[Any, Callable[..., Any]] = {}
        self._calls: Counter[Any] = Counter()
        self._traces: Counter[Any] = Counter()
        self._failure = ""

    def call(self, network: Any, args: Sequence[Any], kwargs: Mapping[str, Any], mode: Any) -> Any:
        """The network's outputs: compiled where it can be, else operation by operation."""
        if not isinstance(network, nnx.Module):
            return compiled(lambda: network(*args, **kwargs))()
        if self._network() is not network:
            self._network, self._kept, self._failure = weakref.ref(network), {}, ""
            self._calls.clear()
            self._traces.clear()
        leaves, structure = jax.tree.flatten((tuple(args), dict(kwargs)))
        arrays = [leaf for leaf in leaves if isinstance(leaf, jax.Array)]
        rest = [None if isinstance(leaf, jax.Array) else leaf for leaf in leaves]
        key = (mode, structure, repr(rest))
        if key not in self._kept:
            self._kept[key] = nnx.jit(
                _whole(structure, rest, lambda given: self._traces.update([(key, _kinds(given))]))
            )
        self._calls[key, _kinds(arrays)] += 1
        try:
            return self._kept[key](network, arrays)
        except _NOT_COMPILED as error:
            outputs = network(*args, **kwargs)
            self._failure = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
            return outputs

    def remarks(self, network: Any) -> list[str]:
        """What the calls of this network have shown about compiling it; nothing where there were none."""
        if self._network() is not network:
            return []
        if self._failure:
            return [f"nnx.jit cannot compile it, so it ran operation by operation ({self._failure[:200]})"]
        again = [kind for kind, count in self._calls.items() if count > 1]
        if any(self._traces[kind] >= self._calls[kind] for kind in again):
            return ["nnx.jit compiles it anew in every call, as each changes what the network holds besides arrays"]
        return ["compiled with nnx.jit, once for all calls alike"] if again else []


def _kinds(arrays: Sequence[Any]) -> tuple[Any, ...]:
    return tuple((array.shape, str(array.dtype)) for array in arrays)


def _whole(structure: Any, rest: Sequence[Any], traced: Callable[[Sequence[Any]], None]) -> Callable[..., Any]:
    """A call in which only arrays are arguments; ``traced`` hears of every time that it is traced."""

    def call(network: Any, arrays: Sequence[Any]) -> Any:
        traced(arrays)
        given = iter(arrays)
        args, kwargs = jax.tree.unflatten(structure, [next(given) if leaf is None else leaf for leaf in rest])
        return network(*args, **kwargs)

    return call
