"""Building and running Flax NNX networks for verification."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import nnx

from netferry import trees
from netferry.frameworks import base
from netferry.frameworks.base import Arguments, Array, Call, Precision, State, Variable, VarianceUpdate
from netferry.frameworks.flax import flags, paths, randomness, wide
from netferry.frameworks.flax.linen_runtime import LinenNetwork
from netferry.frameworks.flax.programs import Programs, compiled

# Compiling takes most of the time, and every program runs once or twice. JAX reads this when it first computes.
# Without fused multiplications what is computed twice is equal, on which the gradient of a maximum relies.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true --xla_cpu_max_isa=AVX",
)


class FlaxRuntime:
    """Flax NNX on the CPU."""

    variance_ddof = 0

    def __init__(self, name: str = "flax", *, reading: bool = False) -> None:
        self.name = name
        self._fixed = False
        # What is written must run as it is; only what is read may ask for fewer bits.
        self._reading = reading
        self.modules: Sequence[ModuleType] = ()
        """The source's modules, which may ask for types by name."""
        self._dtype: Precision = "float32"
        self._programs = Programs()
        self._first = _FirstPaths()

    @contextmanager
    def fixed_randomness(self) -> Iterator[None]:
        """Let every random number be the same one."""
        self._fixed = True
        try:
            yield
        finally:
            self._fixed = False

    @contextmanager
    def prepare(self, dtype: Precision) -> Iterator[None]:
        """Let JAX compute in 64 bits where ``dtype`` asks for it."""
        before = self._dtype
        self._dtype = dtype
        try:
            with jax.enable_x64(dtype == "float64"), self._wide(dtype):
                yield
        finally:
            self._dtype = before

    def _wide(self, dtype: Precision) -> AbstractContextManager[None]:
        return wide.wide_types(self.modules) if self._reading and dtype == "float64" else nullcontext()

    def seed(self, seed: int) -> None:
        """Make what follows repeatable; networks draw from generators of their own."""
        np.random.seed(seed)

    def build(self, factory: Callable[[], Any], dtype: Precision) -> Any:
        """The network with its floating state in ``dtype``."""
        with randomness.quick_initialisers():
            network = _made(factory)
        if isinstance(network, nn.Module):
            return LinenNetwork(network, dtype)
        for _, variable in _variables(network):
            value = variable[...]
            if jnp.issubdtype(value.dtype, jnp.floating) and (value.dtype != dtype or value.weak_type):
                # By way of NumPy, as JAX compiles a cast for every shape.
                variable.set_value(jnp.asarray(np.asarray(value), dtype=dtype))
        for _, module in _modules(network):
            if self._reading and dtype == "float64":
                wide.widen(module)
            # It notes the type that its table was made with, and casts to that.
            if isinstance(module, nnx.Embed) and module.dtype == jnp.float32:
                module.dtype = jnp.dtype(dtype)
        return network

    def tensors(self, value: Any) -> Any:
        """NumPy arrays as arrays of JAX."""
        return trees.convert(value, lambda v: _tensor(v, self._dtype))

    def arrays(self, value: Any) -> Any:
        """Arrays of JAX as NumPy arrays."""
        return trees.convert(value, _array)

    def state(self, network: Any) -> State:
        """All variables but the states of random generators; a shared one is listed under its first path."""
        if isinstance(network, LinenNetwork):
            return network.state()
        found: dict[str, Variable] = {}
        aliases: dict[str, str] = {}
        first: dict[int, str] = {}
        for path, variable in _variables(network):
            if id(variable) in first:
                aliases[path] = first[id(variable)]
                continue
            first[id(variable)] = path
            trained = isinstance(variable, nnx.Param)
            kind = "parameter" if trained else "buffer"
            value = variable[...]
            found[path] = Variable(path, tuple(value.shape), str(value.dtype), trained, kind)  # type: ignore[arg-type]
        return State(found, aliases)

    def resolve(self, network: Any, path: str) -> str:
        """The first path of the variable at ``path``."""
        if isinstance(network, LinenNetwork):
            network.place(path)
            return path
        return self._first.of(network, paths.find(network, path), path)

    def read(self, network: Any, path: str) -> Array:
        """A copy of one variable's values."""
        if isinstance(network, LinenNetwork):
            holder, name = network.place(path)
            return np.array(_array(holder[name]))
        return np.array(_array(paths.find(network, path)[...]))

    def assign(self, network: Any, path: str, array: Array) -> None:
        """Set one variable."""
        if isinstance(network, LinenNetwork):
            holder, name = network.place(path)
            base.check_shape(path, holder[name].shape, array)
            holder[name] = jnp.asarray(array, dtype=holder[name].dtype)
            return
        variable = paths.find(network, path)
        value = variable[...]
        base.check_shape(path, value.shape, array)
        variable.set_value(jnp.asarray(array, dtype=value.dtype))

    def fan_in(self, shape: Sequence[int]) -> int:
        """All axes but the last are summed over."""
        return int(np.prod(shape[:-1]))

    def run(self, network: Any, arguments: Arguments, training: bool) -> Any:
        """The outputs as NumPy."""
        return self.arrays(self._call(network, arguments, training))

    def gradients(
        self, network: Any, arguments: Arguments, cotangents: Sequence[Array | None], training: bool
    ) -> dict[str, Array]:
        """Gradients by every parameter."""

        args, kwargs = self._given(network, arguments, training)
        if isinstance(network, LinenNetwork):
            with randomness.modes(fixed=self._fixed):
                return network.gradients(args, kwargs, cotangents, training=training)

        def loss(network: Any) -> Any:
            outputs = [o for _, o in trees.numbers(network(*args, **kwargs))]
            return sum(_weighted(o, c) for o, c in base.paired(outputs, cotangents))

        with randomness.modes(fixed=self._fixed):
            found_state = compiled(nnx.grad(loss))(network)
        gradients = dict(nnx.to_flat_state(found_state))
        places = {id(v): p for p, v in nnx.iter_graph(network) if isinstance(v, nnx.Variable)}
        found: dict[str, Array] = {}
        for path, variable in _variables(network):
            if isinstance(variable, nnx.Param) and self.resolve(network, path) == path:
                gradient = gradients.get(places[id(variable)])
                shape = variable[...].shape
                found[path] = np.zeros(shape) if gradient is None else np.array(gradient[...])
        return found

    def disable_dropout(self, network: Any) -> None:
        """Set every attribute that is a dropout rate to zero."""
        for _, module in _modules(network):
            for name in base.dropout_rates(module, vars(module)):
                setattr(module, name, 0.0)

    def settle(self, network: Any, arguments: Arguments, random: np.random.Generator) -> None:
        """Running statistics stay as they were drawn."""

    def variance_updates(self, network: Any, arguments: Arguments) -> dict[str, VarianceUpdate]:
        """What the batch normalisations count."""
        found: dict[str, VarianceUpdate] = {}

        def before(module: Any, args: Sequence[Any], path: str) -> None:
            x = args[0]
            kept = found[path].kept if path in found else 1.0
            found[path] = VarianceUpdate(kept * module.momentum, x.size // x.shape[module.axis])

        if isinstance(network, LinenNetwork):
            with network.normalising(found):
                self.run(network, arguments, training=True)
            return found
        with ExitStack() as stack:
            for path, module in _modules(network):
                if isinstance(module, nnx.BatchNorm):
                    stack.enter_context(_watched(module, paths.joined(path, "var"), before=before))
            self.run(network, arguments, training=True)
        return found

    def submodule_calls(self, network: Any, arguments: Arguments) -> list[Call]:
        """The calls of all modules, in the order in which they return."""
        found: list[Call] = []

        def after(module: Any, args: Any, kwargs: Any, output: Any, path: str) -> None:
            found.append(Call(path, type(module).__name__, self.arrays((args, kwargs)), self.arrays(output)))

        args, kwargs = self._given(network, arguments, training=False)
        if isinstance(network, LinenNetwork):
            with randomness.modes(fixed=self._fixed):
                return network.calls(args, kwargs, self.arrays)
        with ExitStack() as stack:
            stack.enter_context(randomness.modes(fixed=self._fixed))
            for path, module in _modules(network):
                stack.enter_context(_watched(module, path, after=after))
            network(*args, **kwargs)
        return found

    def weights_file(self, network: Any) -> None:
        """Files use the names of :meth:`state`."""

    def compilation(self, network: Any) -> list[str]:
        """Whether ``nnx.jit`` compiles the network, and once for all calls alike."""
        return self._programs.remarks(network)

    def narrows(self, network: Any, arguments: Arguments) -> bool:
        """Whether some module returns fewer bits than float64."""
        calls = self.submodule_calls(network, arguments)
        kinds = {str(o.dtype) for c in calls for _, o in trees.leaves(c.outputs) if hasattr(o, "dtype")}
        return bool(kinds & {"float32", "float16"})

    def _call(self, network: Any, arguments: Arguments, training: bool) -> Any:
        args, kwargs = self._given(network, arguments, training)
        with randomness.modes(fixed=self._fixed):
            if isinstance(network, LinenNetwork):
                return network.call(args, kwargs, training=training)
            return self._programs.call(network, args, kwargs, (training, self._fixed))

    def _given(self, network: Any, arguments: Arguments, training: bool) -> Any:
        """What a network, switched to a mode, is called with: the mode too, and random generators, where it asks for them."""
        if isinstance(network, nnx.Module):
            (network.train if training else network.eval)()
        args, kwargs = self.tensors(arguments)
        asked = network.module if isinstance(network, LinenNetwork) else network
        return args, flags.given(asked, training, args, kwargs) | kwargs


def _made(factory: Callable[[], Any]) -> Any:
    """The network, its variables made by one program where NNX has them."""
    try:
        return compiled(factory)()
    except Exception:  # noqa: BLE001 - what is no module of NNX is no result of a program
        return factory()


class _FirstPaths:
    """The first path of every variable of the network asked for last, looked up anew when it has others."""

    def __init__(self) -> None:
        self._network: Callable[[], Any] = lambda: None
        self._paths: dict[int, str] = {}

    def of(self, network: Any, variable: Any, path: str) -> str:
        known = self._paths.get(id(variable)) if self._network() is network else None
        if known is None or paths.find(network, known) is not variable:
            self._network = weakref.ref(network)
            self._paths = {}
            for name, other in _variables(network):
                self._paths.setdefault(id(other), name)
            known = self._paths.get(id(variable))
        if known is None:
            raise KeyError(path)
        return known


@contextmanager
def _watched(
    module: Any, path: str, before: Callable[..., None] | None = None, after: Callable[..., None] | None = None
) -> Iterator[None]:
    """Tell about every call of one module: its class is another for a while."""
    original = type(module)

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if before is not None:
            before(self, args, path)
        output = original.__call__(self, *args, **kwargs)
        if after is not None:
            after(self, args, kwargs, output, path)
        return output

    module.__class__ = type(original.__name__, (original,), {"__call__": call})
    try:
        yield
    finally:
        module.__class__ = original


def _tensor(value: Any, dtype: Precision) -> Any:
    if not isinstance(value, np.ndarray | np.generic):
        return value
    return jnp.asarray(value, dtype=dtype if value.dtype.kind == "f" else None)


def _array(value: Any) -> Any:
    if isinstance(value, nnx.Variable):
        value = value[...]
    if not isinstance(value, jax.Array) or jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        return value
    return np.array(value.astype("float32") if value.dtype == jnp.bfloat16 else value)


def _weighted(output: Any, cotangent: Array) -> Any:
    weights = jnp.asarray(cotangent)
    if jnp.iscomplexobj(output):
        return (output.real * weights).sum() + (output.imag * weights).sum()
    return (output * weights).sum()


def _modules(network: Any) -> list[tuple[str, Any]]:
    return list(paths.modules(network)) if isinstance(network, nnx.Module) else []


def _variables(network: Any) -> list[tuple[str, Any]]:
    return list(paths.variables(network)) if isinstance(network, nnx.Module) else []
