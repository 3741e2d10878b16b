"""Running Linen networks for verification: a network and its variables as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from netferry import trees
from netferry.frameworks import base
from netferry.frameworks.base import Array, Call, State, Variable, VarianceUpdate
from netferry.frameworks.flax.linen import TRAINED, flat, in_mode, keys
from netferry.frameworks.flax.randomness import quick_initialisers

Variables = dict[str, Any]


class LinenNetwork:
    """A network with its variables, which it gets when it is first called."""

    def __init__(self, module: Any, dtype: str) -> None:
        self.module = module
        self.dtype = dtype
        self.variables: Variables = {}
        self.applied = 0

    def apply(self, variables: Variables, args: Any, kwargs: Any, *, training: bool) -> tuple[Any, Any]:
        """The outputs, and the variables that the call changed."""
        mutable = [name for name in variables if name != TRAINED] if training else False
        self.applied += 1  # No two calls draw the same numbers, as nobody counts on it.
        output = in_mode(self.module, training=training).apply(
            variables, *args, rngs=keys(self.applied), mutable=mutable, **kwargs
        )
        return output if training and mutable is not False else (output, {})

    def settle(self, args: Any, kwargs: Any) -> None:
        """Make the variables."""
        if self.variables:
            return
        with quick_initialisers():
            made = _plain(compiled(lambda key: self.module.init(key, *args, **kwargs))(keys()))
        self.variables = jax.tree.map(self._wide, {k: v for k, v in made.items() if k != "intermediates"})

    def _wide(self, array: Any) -> Any:
        return array.astype(self.dtype) if jnp.issubdtype(array.dtype, jnp.floating) else array

    def call(self, args: Any, kwargs: Any, *, training: bool) -> Any:
        """The outputs; training changes the variables that it keeps."""
        self.settle(args, kwargs)
        found, changed = compiled(lambda v: self.apply(v, args, kwargs, training=training))(self.variables)
        self.variables = {**self.variables, **_plain(changed)}
        return found

    def gradients(self, args: Any, kwargs: Any, cotangents: Sequence[Any], *, training: bool) -> dict[str, Array]:
        """Gradients by every variable that is trained."""
        self.settle(args, kwargs)

        def loss(trained: Any) -> Any:
            found, _ = self.apply({**self.variables, TRAINED: trained}, args, kwargs, training=training)
            outputs = [o for _, o in trees.numbers(found)]
            return sum((o * jnp.asarray(c)).sum() for o, c in base.paired(outputs, cotangents))

        found = compiled(jax.grad(loss))(self.variables.get(TRAINED, {}))
        return {".".join(path): np.array(array) for path, array in flat(_plain(found))}

    # -- variables ---------------------------------------------------------------------------------------------------

    def state(self) -> State:
        """All variables by the path of their module."""
        found: dict[str, Variable] = {}
        for collection, tree in self.variables.items():
            trained = collection == TRAINED
            for path, array in flat(tree):
                name = ".".join(path)
                kind = "parameter" if trained else "buffer"
                found[name] = Variable(name, tuple(array.shape), str(array.dtype), trained, kind)  # type: ignore[arg-type]
        return State(found)

    def place(self, path: str) -> tuple[dict[str, Any], str]:
        """The dictionary that holds a variable, and its key; raises KeyError."""
        parts = path.split(".")
        for tree in self.variables.values():
            found: Any = tree
            for part in parts[:-1]:
                found = found.get(part) if isinstance(found, Mapping) else None
            if isinstance(found, Mapping) and hasattr(found.get(parts[-1]), "shape"):
                return found, parts[-1]  # type: ignore[return-value]
        raise KeyError(path)

    # -- what happens inside -------------------------------------------------------------------------------------------

    def calls(self, args: Any, kwargs: Any, arrays: Callable[[Any], Any]) -> list[Call]:
        """The calls of all modules, in the order in which they return."""
        found: list[Call] = []

        def watch(following: Any, given: Any, options: Any, context: Any) -> Any:
            output = following(*given, **options)
            if context.method_name == "__call__":
                path = ".".join(context.module.path)
                found.append(Call(path, type(context.module).__name__, arrays((given, options)), arrays(output)))
            return output

        self.settle(args, kwargs)
        with nn.intercept_methods(watch):
            self.apply(self.variables, args, kwargs, training=False)
        return found

    @contextmanager
    def normalising(self, found: dict[str, VarianceUpdate]) -> Iterator[None]:
        """Note what the batch normalisations count."""

        def watch(following: Any, given: Any, options: Any, context: Any) -> Any:
            module = context.module
            if isinstance(module, nn.BatchNorm) and context.method_name == "__call__":
                path, x = ".".join((*module.path, "var")), given[0]
                kept = found[path].kept if path in found else 1.0
                found[path] = VarianceUpdate(kept * module.momentum, x.size // x.shape[module.axis])
            return following(*given, **options)

        with nn.intercept_methods(watch):
            yield


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled as a whole; as it is where it cannot be."""

    def call(*args: Any) -> Any:
        try:
            return jax.jit(function)(*args)
        except (jax.errors.JAXTypeError, jax.errors.JAXIndexError, TypeError, ValueError):
            return function(*args)

    return call


def _plain(tree: Any) -> Any:
    """Nested dictionaries of arrays, whatever held them."""
    if isinstance(tree, Mapping):
        return {str(k): _plain(v) for k, v in tree.items()}
    return tree.unbox() if hasattr(tree, "unbox") else tree
