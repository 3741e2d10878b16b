"""What the harness needs of each framework: tensors from NumPy, back again, gradients, layers and their parameters."""

from __future__ import annotations

import functools
import importlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
BACKEND = os.environ.get("KERAS_BACKEND", "tensorflow")


def flat(value: Any) -> list[Any]:
    """The tensors of a nested result, in order, without what is None; a shape is one array."""
    if value is None:
        return []
    if isinstance(value, tuple | list) and not (value and all(isinstance(item, int) for item in value)):
        return [leaf for item in value for leaf in flat(item)]
    if isinstance(value, Mapping):
        return [leaf for key in sorted(value) for leaf in flat(value[key])]
    return [value]


def at_path(layer: Any, path: str) -> Any:
    """A parameter by its dotted path, through sub-layers, lists of them and layers one after another."""
    for part in path.split("."):
        members = layer if isinstance(layer, list | tuple) else getattr(layer, "layers", layer)
        layer = members[int(part)] if part.isdigit() else getattr(layer, part)
    return layer


def is_float(array: Array) -> bool:
    """Whether the array can carry a gradient."""
    return array.dtype.kind == "f"


class Torch:
    """PyTorch, the reference for gradients."""

    def __init__(self) -> None:
        import torch

        self.names: dict[str, Any] = {"torch": torch, "math": math, "np": np}
        self._torch = torch

    def tensor(self, array: Array) -> Any:
        """A leaf tensor."""
        return self._torch.tensor(array, requires_grad=is_float(array))

    def array(self, value: Any) -> Array:
        """The NumPy array of a result."""
        return value.detach().resolve_conj().numpy() if isinstance(value, self._torch.Tensor) else np.asarray(value)

    def build(self, layer: Any, call: Callable[[], Any]) -> Any:
        """Make the layer ready to load parameters; returns it."""
        layer.double().eval()
        if any(self._torch.nn.parameter.is_lazy(p) for p in layer.parameters()):
            call()
        return layer

    def parts(self, layer: Any) -> list[Any]:
        """The layer and those within it."""
        return list(layer.modules())

    def parameter(self, layer: Any, path: str) -> Any:
        """A parameter or buffer of a layer by its dotted path."""
        return at_path(layer, path)

    def assign(self, parameter: Any, array: Array) -> None:
        """Load values."""
        parameter.data.copy_(self._torch.from_numpy(array))

    def run(
        self, function: Callable[..., Any], arrays: Sequence[Array], layer: Any, parameters: Sequence[Any], draw: Any
    ) -> tuple[list[Array], list[Array | None] | None]:
        """Results, and gradients of their random weighting: operands first, then parameters."""
        tensors = [self.tensor(a) for a in arrays]
        results = flat(function(tensors))
        outputs = [self.array(r) for r in results]
        live = [r for r in results if isinstance(r, self._torch.Tensor) and r.requires_grad]
        if draw is None or not live:
            return outputs, None
        weighed = [(r, draw(i, tuple(r.shape))) for i, r in enumerate(results) if _is(r, live)]
        loss = sum((r * self._torch.from_numpy(weight)).sum() for r, weight in weighed)
        leaves = [t for t in tensors if t.requires_grad] + [p for p in parameters if p.requires_grad]
        found = self._torch.autograd.grad(loss, leaves, allow_unused=True)
        return outputs, [None if g is None else g.numpy() for g in found]


def _is(value: Any, among: Sequence[Any]) -> bool:
    return any(value is other for other in among)


class Keras:
    """Keras 3 on the backend that KERAS_BACKEND names; ``tf.keras`` is the same on TensorFlow.

    Generated code sees the names of its own framework only.
    """

    def __init__(self, framework: str) -> None:
        import keras

        if BACKEND == "jax":
            # Keras rounds intermediate results to 32 bits on JAX, whatever the type asked for.
            importlib.import_module("keras.src.backend.common.dtypes").BIT64_TO_BIT32_DTYPE["float64"] = "float64"
        self.names: dict[str, Any] = {"math": math, "np": np}
        self._keras = keras
        if BACKEND == "tensorflow":
            import tensorflow as tf

            self._tf = tf
        self.names |= {"keras": keras} if framework == "keras" else {"tf": self._tf}

    def tensor(self, array: Array) -> Any:
        """A constant of the backend."""
        return self._keras.ops.convert_to_tensor(array)

    def array(self, value: Any) -> Array:
        """The NumPy array of a result."""
        return np.asarray(value.as_list() if hasattr(value, "as_list") else value)

    def build(self, layer: Any, call: Callable[[], Any]) -> Any:
        """Let the first call create the variables."""
        call()
        return layer

    def parts(self, layer: Any) -> list[Any]:
        """The layer and those within it."""
        return list(layer._flatten_layers()) if hasattr(layer, "_flatten_layers") else [layer]

    def parameter(self, layer: Any, path: str) -> Any:
        """A variable of a layer by its dotted path."""
        return at_path(layer, path)

    def assign(self, parameter: Any, array: Array) -> None:
        """Load values."""
        parameter.assign(array)

    def run(
        self, function: Callable[..., Any], arrays: Sequence[Array], layer: Any, parameters: Sequence[Any], draw: Any
    ) -> tuple[list[Array], list[Array | None] | None]:
        """Results, and gradients of their random weighting: operands first, then parameters."""
        tensors = [self.tensor(a) for a in arrays]
        if draw is None:
            return [self.array(r) for r in flat(function(tensors))], None
        if BACKEND == "jax":
            return self._run_jax(function, tensors, parameters, draw)
        return self._run_tensorflow(function, tensors, parameters, draw)

    def _run_tensorflow(
        self, function: Callable[..., Any], tensors: list[Any], parameters: Sequence[Any], draw: Any
    ) -> tuple[list[Array], list[Array | None] | None]:
        tf = self._tf
        leaves = [t for t in tensors if t.dtype.is_floating] + [p.value for p in parameters if p.trainable]
        with tf.GradientTape() as tape:
            tape.watch([t for t in tensors if t.dtype.is_floating])
            results = flat(function(tensors))
            parts = [
                tf.reduce_sum(r * draw(i, tuple(r.shape)))
                for i, r in enumerate(results)
                if tf.is_tensor(r) and r.dtype.is_floating
            ]
            loss = tf.add_n(parts) if parts else None
        outputs = [self.array(r) for r in results]
        if loss is None:
            return outputs, None
        found = [None if g is None else tf.convert_to_tensor(g).numpy() for g in tape.gradient(loss, leaves)]
        return outputs, found

    def _run_jax(
        self, function: Callable[..., Any], tensors: list[Any], parameters: Sequence[Any], draw: Any
    ) -> tuple[list[Array], list[Array | None] | None]:
        import jax

        jnp = jax.numpy
        floats = [i for i, t in enumerate(tensors) if jnp.issubdtype(t.dtype, jnp.floating)]
        trained = [p for p in parameters if p.trainable]

        def forward(leaves: list[Any]) -> Any:
            given = list(tensors)
            for position, leaf in zip(floats, leaves, strict=False):
                given[position] = leaf
            scope = self._keras.StatelessScope(
                state_mapping=list(zip(trained, leaves[len(floats) :], strict=True)), collect_losses=False
            )
            with scope:
                results = flat(function(given))
            kept = [i for i, r in enumerate(results) if hasattr(r, "dtype") and jnp.issubdtype(r.dtype, jnp.floating)]
            parts = [(results[i] * draw(i, tuple(results[i].shape))).sum() for i in kept]
            return (sum(parts) if parts else 0.0), results

        leaves = [tensors[i] for i in floats] + [p.value for p in trained]
        if not leaves:
            return [self.array(r) for r in flat(function(tensors))], None
        found, results = jax.grad(forward, has_aux=True)(leaves)
        return [self.array(r) for r in results], [np.asarray(g) for g in found]


class Flax:
    """Flax NNX; layers are made with the free name ``rngs``, and evaluated without dropout."""

    def __init__(self) -> None:
        import flax.nnx
        import jax

        # It asks for programs that are compiled quickly, before JAX first computes.
        importlib.import_module("netferry.frameworks.flax.runtime")
        self._jax = jax
        self._nnx = flax.nnx
        self.names: dict[str, Any] = {
            "flax": flax, "jax": jax, "functools": functools, "math": math, "np": np, "rngs": flax.nnx.Rngs(0)
        }  # fmt: skip

    def tensor(self, array: Array) -> Any:
        """An array of JAX."""
        return self._jax.numpy.asarray(array)

    def array(self, value: Any) -> Array:
        """The NumPy array of a result."""
        return np.asarray(value)

    def build(self, layer: Any, call: Callable[[], Any]) -> Any:
        """Variables in double precision; functions stand for layers that have none."""
        if isinstance(layer, self._nnx.Module):
            for variable in self._variables(layer):
                value = variable[...]
                if self._floats(value):
                    variable.set_value(value.astype("float64"))
            for module in self.parts(layer):
                if getattr(module, "dtype", None) == self._jax.numpy.float32:
                    module.dtype = self._jax.numpy.float64
            layer.eval()
        return layer

    def _variables(self, layer: Any) -> list[Any]:
        return [v for _, v in self._nnx.iter_graph(layer) if isinstance(v, self._nnx.Variable)]

    def _floats(self, value: Any) -> bool:
        return hasattr(value, "dtype") and bool(self._jax.numpy.issubdtype(value.dtype, self._jax.numpy.floating))

    def parts(self, layer: Any) -> list[Any]:
        """The layer and those within it."""
        return [m for _, m in self._nnx.iter_modules(layer)] if isinstance(layer, self._nnx.Module) else [layer]

    def parameter(self, layer: Any, path: str) -> Any:
        """A variable of a layer by its dotted path."""
        return at_path(layer, path)

    def assign(self, parameter: Any, array: Array) -> None:
        """Load values."""
        parameter.set_value(self.tensor(array))

    def run(
        self, function: Callable[..., Any], arrays: Sequence[Array], layer: Any, parameters: Sequence[Any], draw: Any
    ) -> tuple[list[Array], list[Array | None] | None]:
        """Results, and gradients of their random weighting: operands first, then parameters."""
        tensors = [self.tensor(a) for a in arrays]
        places = [i for i, a in enumerate(arrays) if is_float(a)]
        trained = [p for p in parameters if isinstance(p, self._nnx.Param)]
        if draw is None or not (places or trained):
            return [self.array(r) for r in flat(function(tensors))], None

        module = layer.object if isinstance(getattr(layer, "object", None), self._nnx.Module) else None
        graph, trainable, rest = self._nnx.split(module, self._nnx.Param, ...) if module is not None else ((), {}, {})

        def forward(leaves: list[Any], trainable: Any) -> Any:
            given = list(tensors)
            for place, leaf in zip(places, leaves, strict=True):
                given[place] = leaf
            if module is not None:
                layer.object = self._nnx.merge(graph, trainable, rest)
            results = flat(function(given))
            parts = [(r * draw(i, tuple(r.shape))).sum() for i, r in enumerate(results) if self._floats(r)]
            return (sum(parts) if parts else 0.0), results

        take = self._jax.grad(forward, argnums=(0, 1), has_aux=True, allow_int=True)
        (operands, by_parameter), results = take([tensors[i] for i in places], trainable)
        if module is not None:
            layer.object = module
        found = [*operands, *(self._gradient(module, p, by_parameter) for p in trained)]
        return [self.array(r) for r in results], [np.asarray(g) for g in found]

    def _gradient(self, module: Any, parameter: Any, gradients: Any) -> Any:
        path = next(path for path, member in self._nnx.iter_graph(module) if member is parameter)
        return dict(self._nnx.to_flat_state(gradients))[path][...]


@functools.cache
def backend(framework: str) -> Any:
    """The adaptor of a framework."""
    if framework == "flax":
        return Flax()
    return Torch() if framework == "torch" else Keras(framework)
