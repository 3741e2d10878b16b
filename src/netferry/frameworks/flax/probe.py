"""What the observer must know about JAX and Flax: arrays, callables, modules, and how to run them in shapes only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import nnx

from netferry.frameworks.flax import flags, linen, paths
from netferry.frameworks.flax.randomness import replaced
from netferry.frameworks.flax.vocabulary import CONTAINERS, callable_path, class_path, is_array, opened
from netferry.inputs import InputSpec, materialise

if TYPE_CHECKING:
    from netferry.observe.recorder import Recorder

_LIFTED = (
    (jax, "jit"),
    (jax, "checkpoint"),
    (jax, "remat"),
    (nnx, "jit"),
    (nnx, "remat"),
    (nn, "jit"),
    (nn, "remat"),
    (nn, "checkpoint"),
)
"""Transformations that change how, not what is computed."""


class FlaxProbe:
    """The recorder's view of JAX and Flax."""

    name = "flax"

    def __init__(self) -> None:
        self._training = False
        self._real = False
        self._recorder: Any = None

    def is_tensor(self, value: Any) -> bool:
        """Whether ``value`` is an array, variables included."""
        return is_array(value)

    def array(self, value: Any) -> Any:
        """The array that a variable holds: both are the same value; of a part of an array, the array and the index."""
        return opened(value)

    def describe(self, value: Any) -> tuple[tuple[int, ...], str]:
        """Shape and canonical dtype."""
        return tuple(int(n) for n in value.shape), str(value.dtype)

    def path(self, function: Any) -> str | None:
        """The public path of a callable of JAX or Flax."""
        return callable_path(function)

    def tensor_path(self, attribute: str) -> str:
        """The path of an attribute or method of arrays."""
        return f"jax.Array.{attribute}"

    def inherited(self, function: Any) -> None:
        """What ``super().__call__`` computes is read by its name."""

    def layer_path(self, instance: Any) -> str | None:
        """The class path of a stock layer instance (or of the stock class whose call a subclass inherits)."""
        if isinstance(instance, nn.Module):
            return linen.layer_path(instance)
        if not isinstance(instance, nnx.Module):
            return None
        kind = next((k for k in type(instance).__mro__ if "__call__" in k.__dict__), None)
        if kind is None or class_path(kind) is None:
            return None
        path = next(p for k in type(instance).__mro__ if (p := class_path(k)) is not None)
        return None if path == "flax.nnx.Module" else path

    @contextmanager
    def abstract(self, *, real: bool) -> Iterator[None]:
        """What only changes how things are computed is left out; compiled functions keep no Python to be observed."""
        self._real = real
        with ExitStack() as stack:
            stack.enter_context(jax.enable_x64(False))  # Types are those of the source, not of whoever runs this.
            for owner, name in _LIFTED:
                stack.enter_context(replaced(owner, name, _plain))
            yield

    def shaped(self, run: Callable[[], None]) -> None:
        """Run in shapes only, unless numbers are needed."""
        with jax.disable_jit():
            if self._real:
                run()
            else:
                jax.eval_shape(run)

    def inside_containers(self, recorder: Recorder) -> AbstractContextManager[None]:
        """Report layers that containers call."""
        self._recorder = recorder

        def call(container: Any, *args: Any, **kwargs: Any) -> Any:
            output: Any = args
            for member in container.layers:
                output = self._member(recorder, member, output if isinstance(output, tuple) else (output,), kwargs)
                kwargs = {}
            return output

        return replaced(nnx.Sequential, "__call__", call)

    def _member(self, recorder: Recorder, member: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call what a container holds; it is reported where it is the framework's own."""
        output = member(*args, **kwargs)
        path = self.layer_path(member)
        if path is not None and path not in CONTAINERS:
            recorder.event(None, path, args, kwargs, output, instance=member)
        elif path is None and (function := self.path(member)) is not None:
            recorder.event(None, function, args, kwargs, output)
        return output

    def arguments(self, specs: Sequence[InputSpec]) -> tuple[list[Any], dict[str, Any]]:
        """The network's arguments as arrays."""
        random = np.random.default_rng(0)
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for spec in specs:
            value = _arrays(materialise(spec, random, self.evaluate))
            if spec.name:
                kwargs[spec.name] = value
            else:
                args.append(value)
        return args, kwargs

    def evaluate(self, text: str) -> Any:
        """An input given as an expression, as NumPy arrays."""
        value = eval(text, {"jax": jax, "jnp": jnp, "nnx": nnx, "np": np})  # noqa: S307 - the user's own input expression
        return np.asarray(value) if is_array(value) else value

    def defining_modules(self, network: Any) -> set[str]:
        """The Python modules that define the classes of a network's parts."""
        if isinstance(network, nn.Module):
            return {k.__module__ for m in linen.walk(network) for k in type(m.instance).__mro__}
        return {k.__module__ for _, module in paths.modules(network) for k in type(module).__mro__}

    def seen(self, network: Any) -> None:
        """Networks are applied when they are called."""

    def set_training(self, network: Any, training: bool) -> None:
        """Switch a network between training and inference."""
        self._training = training
        if isinstance(network, nnx.Module):
            (network.train if training else network.eval)()

    def call(self, network: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Call a network, in the mode that was set, with the random generators that it asks for."""
        kwargs = flags.given(network, self._training, args, kwargs) | kwargs
        if isinstance(network, nn.Module):
            return linen.observed(self._recorder, network, args, kwargs, training=self._training)
        return network(*args, **kwargs)

    def initial(self, namespace: dict[str, Any], prelude: str) -> None:
        """Run the prelude; ``nnx`` is known to calls of the network."""
        for name, value in (("nnx", nnx), ("nn", nn), ("jax", jax), ("jnp", jnp)):
            namespace.setdefault(name, value)
        if prelude:
            exec(prelude, namespace)  # noqa: S102 - given by the user beside the call


def _plain(function: Any = None, *args: Any, **options: Any) -> Any:
    """A transformation that leaves its function as it is."""
    return function if function is not None else lambda inner: inner


def _arrays(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return jnp.asarray(value)
    if isinstance(value, list | tuple):
        return type(value)(_arrays(v) for v in value)
    if isinstance(value, dict):
        return {k: _arrays(v) for k, v in value.items()}
    return value
