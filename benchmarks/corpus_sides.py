"""How the second opinion builds and runs the networks of each framework: in float64, with a state of their own."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from benchmarks import corpus_source

Array = np.ndarray[Any, Any]
Given = tuple[list[Any], dict[str, Any]]
"""Positional and keyword arguments."""


class Side(Protocol):
    """One framework."""

    def build(self, make: Callable[[], Any]) -> Any:
        """A network in float64 and eval mode."""

    def stir(self, network: Any, given: Given, seed: int) -> None:
        """Give every array of the network's state values of its own."""

    def ready(self, network: Any, given: Given) -> None:
        """Make the network have all its state."""

    def run(self, network: Any, given: Given) -> Any:
        """The output in eval mode."""

    def tensor(self, value: Any) -> Any:
        """An array as the framework's own."""


class Torch:
    """PyTorch."""

    def build(self, make: Callable[[], Any]) -> Any:
        """A network in float64 and eval mode."""
        import torch

        torch.set_default_dtype(torch.float64)
        return corpus_source.evaluated(make().double())

    def stir(self, network: Any, given: Given, seed: int) -> None:
        """Noise on parameters and running statistics."""
        import torch

        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in network.parameters():
                scale = parameter.abs().mean().clamp(min=0.05)
                parameter.add_(0.3 * scale * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
            for name, buffer in network.named_buffers():
                if name.endswith("running_mean"):
                    buffer.add_(0.2 * torch.randn(buffer.shape, generator=generator, dtype=buffer.dtype))
                elif name.endswith("running_var"):
                    buffer.mul_(0.5 + torch.rand(buffer.shape, generator=generator, dtype=buffer.dtype))

    def ready(self, network: Any, given: Given) -> None:
        """Lazy layers get their sizes from a first call."""
        import torch

        if any(isinstance(p, torch.nn.parameter.UninitializedParameter) for p in network.parameters()):
            self.run(network, given)

    def run(self, network: Any, given: Given) -> Any:
        """The output in eval mode."""
        import torch

        args, kwargs = given
        with torch.no_grad():
            return network(
                *(corpus_source.as_tensors(a) for a in args),
                **{k: corpus_source.as_tensors(v) for k, v in kwargs.items()},
            )

    def tensor(self, value: Any) -> Any:
        """A tensor."""
        import torch

        return torch.from_numpy(np.array(value))


class Keras:
    """Keras, as ``keras`` and as ``tf.keras``."""

    def build(self, make: Callable[[], Any]) -> Any:
        """A network in float64."""
        import keras

        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")  # A policy chosen earlier in the process would outlive the type above.
        return make()

    def stir(self, network: Any, given: Given, seed: int) -> None:
        """Noise on every variable of real numbers; variances stay positive."""
        generator = np.random.default_rng(seed)
        for variable in network.variables:
            values = np.asarray(variable)
            if values.dtype.kind == "f":
                variable.assign(_stirred(values, str(variable.name), generator))
        for layer in _layers(network):
            if hasattr(layer, "finalize_state"):  # Some compute with copies of their variables.
                layer.finalize_state()

    def ready(self, network: Any, given: Given) -> None:
        """Calls create the weights, those in training mode the ones of parts that only training reaches."""
        args, kwargs = self._arguments(network, given)
        network(*args, **kwargs)
        with contextlib.suppress(Exception):
            network(*args, training=True, **kwargs)

    def run(self, network: Any, given: Given) -> Any:
        """The output in eval mode."""
        args, kwargs = self._arguments(network, given)
        flag = {"training": False} if _takes(network, "training") else {}
        return network(*args, **flag, **kwargs)

    def tensor(self, value: Any) -> Any:
        """A tensor of the backend."""
        import keras

        return keras.ops.convert_to_tensor(value)

    def _arguments(self, network: Any, given: Given) -> Given:
        """Keras takes only tensors by position: from the first plain value on, arguments go by name."""
        args, kwargs = mapped(given, self.tensor)
        first = next((i for i, a in enumerate(args) if isinstance(a, bool | int | float | str)), len(args))
        if first == len(args):
            return args, kwargs
        names = list(inspect.signature(network.call).parameters)[first:]
        return args[:first], dict(zip(names, args[first:], strict=False)) | kwargs


class Flax:
    """Flax NNX."""

    def build(self, make: Callable[[], Any]) -> Any:
        """A network in float64 and eval mode."""
        import jax
        from flax import nnx

        jax.config.update("jax_enable_x64", True)
        network = make()
        for variable in self._variables(network):
            if variable[...].dtype.kind == "f":
                variable.set_value(variable[...].astype("float64"))
        if isinstance(network, nnx.Module):
            network.eval()
        return network

    def stir(self, network: Any, given: Given, seed: int) -> None:
        """Noise on every variable of real numbers; variances stay positive."""
        generator = np.random.default_rng(seed)
        for path, variable in self._named(network):
            values = np.asarray(variable[...])
            if values.dtype.kind == "f":
                variable.set_value(self.tensor(_stirred(values, str(path[-1]), generator)))

    def ready(self, network: Any, given: Given) -> None:
        """NNX makes all state when it builds."""

    def run(self, network: Any, given: Given) -> Any:
        """The output in eval mode."""
        args, kwargs = mapped(given, self.tensor)
        return network(*args, **kwargs)

    def tensor(self, value: Any) -> Any:
        """An array of JAX."""
        import jax.numpy as jnp

        return jnp.asarray(value)

    def _variables(self, network: Any) -> list[Any]:
        return [variable for _, variable in self._named(network)]

    def _named(self, network: Any) -> list[tuple[tuple[Any, ...], Any]]:
        from flax import nnx

        found = [(path, v) for path, v in nnx.iter_graph(network) if isinstance(v, nnx.Variable)]
        return [(path, v) for path, v in found if not isinstance(v, nnx.RngState)]


def _stirred(values: Array, name: str, generator: np.random.Generator) -> Array:
    if "var" in name:
        made: Array = values * (0.5 + generator.random(values.shape))
        return made
    scale = max(float(np.abs(values).mean()) if values.size else 0.0, 0.05)
    return values + 0.3 * scale * generator.standard_normal(values.shape)


def _layers(network: Any) -> list[Any]:
    """All layers, where the network can tell."""
    listed = getattr(network, "_flatten_layers", None)
    return list(listed()) if listed is not None else []


def _takes(network: Any, name: str) -> bool:
    try:
        return name in inspect.signature(network.call).parameters or hasattr(network, "layers")
    except (AttributeError, TypeError, ValueError):
        return False


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """The same containers with every array in them changed."""
    if isinstance(value, dict):
        return {k: mapped(v, change) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(mapped(v, change) for v in value)
    return change(value) if hasattr(value, "dtype") else value


SIDES: Mapping[str, Side] = {"torch": Torch(), "tensorflow": Keras(), "keras": Keras(), "flax": Flax()}
