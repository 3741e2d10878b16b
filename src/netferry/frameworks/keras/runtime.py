"""Building and running Keras networks for verification, whatever backend Keras runs on."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from types import ModuleType
from typing import Any

import keras
import numpy as np

from netferry import trees
from netferry.frameworks import base
from netferry.frameworks.base import Arguments, Array, Call, Precision, State, Variable, VarianceUpdate
from netferry.frameworks.keras import differentiate, flags, older, patches, paths
from netferry.frameworks.keras.checkpoint import locate
from netferry.weights.map import TargetFile


class KerasRuntime:
    """Keras on the CPU."""

    variance_ddof = 0

    def __init__(self, name: str = "keras", *, reading: bool = False) -> None:
        # What is written must run as it is; only what is read may be older than the Keras that is installed.
        self._older: Callable[[], AbstractContextManager[None]] = older.accepted if reading else nullcontext
        self._walked: tuple[weakref.ref[Any], int, dict[int, str]] | None = None
        self.name = name
        self._fixed = False
        self.modules: Sequence[ModuleType] = ()
        """Modules that may know functions of the framework by names of their own."""

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
        """Make ``dtype`` the type of new layers and constants."""
        before = keras.config.floatx(), keras.config.dtype_policy()
        with self._older(), patches.wide_types(dtype, self.modules), patches.quick_initialisers():
            keras.config.set_floatx(dtype)
            keras.config.set_dtype_policy(dtype)
            try:
                yield
            finally:
                keras.config.set_floatx(before[0])
                keras.config.set_dtype_policy(before[1])

    def seed(self, seed: int) -> None:
        """Make what follows repeatable."""
        keras.utils.set_random_seed(seed)

    def build(self, factory: Callable[[], Any], dtype: Precision) -> Any:
        """The network; its layers take their type from :meth:`prepare`, and the same names each time."""
        keras.src.utils.naming.reset_uids()
        return factory()

    def tensors(self, value: Any) -> Any:
        """NumPy arrays as tensors of the backend."""
        return trees.convert(value, _tensor)

    def arrays(self, value: Any) -> Any:
        """Tensors as NumPy arrays."""
        return trees.convert(value, _array)

    def state(self, network: Any) -> State:
        """All variables but the states of random generators."""
        found: dict[str, Variable] = {}
        aliases: dict[str, str] = {}
        first: dict[int, str] = {}
        trained = _trained(network)
        for path, variable in _variables(network):
            if id(variable) in first:
                aliases[path] = first[id(variable)]
                continue
            first[id(variable)] = path
            kind = "parameter" if variable.trainable else "buffer"
            shape = tuple(variable.shape)
            dtype = keras.backend.standardize_dtype(variable.dtype)
            found[path] = Variable(path, shape, dtype, id(variable) in trained, kind)  # type: ignore[arg-type]
        return State(found, aliases)

    def resolve(self, network: Any, path: str) -> str:
        """The first path of the variable at ``path``."""
        variable = paths.find(network, path)
        known = self._first_paths(network)
        if id(variable) not in known:
            raise KeyError(path)
        return known[id(variable)]

    def _first_paths(self, network: Any) -> dict[int, str]:
        """Variable -> its first path; walked again only when the network has other variables than before."""
        count = len(network.variables)
        if self._walked is None or self._walked[0]() is not network or self._walked[1] != count:
            found: dict[int, str] = {}
            for path, variable in _variables(network):
                found.setdefault(id(variable), path)
            self._walked = (weakref.ref(network), count, found)
        return self._walked[2]

    def read(self, network: Any, path: str) -> Array:
        """A copy of one variable's values."""
        return np.array(_array(paths.tensor(_lookup(network, path))))

    def assign(self, network: Any, path: str, array: Array) -> None:
        """Set one variable."""
        variable = _lookup(network, path)
        base.check_shape(path, variable.shape, array)
        variable.assign(array.astype(keras.backend.standardize_dtype(variable.dtype), copy=False))
        if variable.name in ("mean", "variance"):
            _finalize(network, variable)

    def fan_in(self, shape: Sequence[int]) -> int:
        """All axes but the last are summed over."""
        return int(np.prod(shape[:-1]))

    def run(self, network: Any, arguments: Arguments, training: bool) -> Any:
        """The outputs as NumPy."""
        return self.arrays(self._call(network, arguments, training))

    def gradients(
        self, network: Any, arguments: Arguments, cotangents: Sequence[Array | None], training: bool
    ) -> dict[str, Array]:
        """Gradients by every trainable variable."""
        trained = _trained(network)
        wanted = {p: v for p, v in _variables(network) if id(v) in trained}
        unique = {id(v): (p, v) for p, v in reversed(wanted.items())}
        names, variables = zip(*reversed(unique.values()), strict=True) if unique else ((), ())

        def loss() -> Any:
            outputs = [o for _, o in trees.numbers(self._call(network, arguments, training))]
            return sum(keras.ops.sum(_real(o) * keras.ops.convert_to_tensor(_real_array(c)))
                       for o, c in base.paired(outputs, cotangents))  # fmt: skip

        found = differentiate.gradients(loss, network, variables)
        return {
            path: np.zeros(tuple(variable.shape)) if gradient is None else _array(gradient)
            for path, variable, gradient in zip(names, variables, found, strict=True)
        }

    def disable_dropout(self, network: Any) -> None:
        """Set every attribute that is a dropout rate to zero."""
        for _, layer in _layers(network):
            for name in base.dropout_rates(layer, vars(layer)):
                setattr(layer, name, 0.0)

    def variance_updates(self, network: Any, arguments: Arguments) -> dict[str, VarianceUpdate]:
        """What the batch normalisations count."""
        found: dict[str, VarianceUpdate] = {}

        def before(layer: Any, path: str, args: Any, kwargs: Any) -> None:
            x = args[0] if args else kwargs["inputs"]
            count = int(np.prod(x.shape)) // int(x.shape[layer.axis])
            kept = found[path].kept if path in found else 1.0
            found[path] = VarianceUpdate(kept * layer.momentum, count)

        with ExitStack() as stack:
            for path, layer in _layers(network):
                if isinstance(layer, keras.layers.BatchNormalization):
                    stack.enter_context(_wrapped(layer, f"{path}.moving_variance".lstrip("."), before=before))
            self.run(network, arguments, training=True)
        return found

    def settle(self, network: Any, arguments: Arguments, random: np.random.Generator) -> None:
        """Bring the running statistics of batch normalisations near those of the data."""

        def before(layer: Any, path: str, args: Any, kwargs: Any) -> None:
            x = args[0] if args else kwargs["inputs"]
            axes = [a for a in range(len(x.shape)) if a != layer.axis % len(x.shape)]
            mean, variance = (_array(v) for v in keras.ops.moments(x, axes))
            layer.moving_mean.assign(mean * random.uniform(-0.3, 0.3, mean.shape))
            # The second moment, as the variance at a single place is none.
            layer.moving_variance.assign((variance + mean**2 + 1e-2) * random.uniform(0.8, 1.2, variance.shape))

        with ExitStack() as stack:
            for path, layer in _layers(network):
                if isinstance(layer, keras.layers.BatchNormalization):
                    stack.enter_context(_wrapped(layer, path, before=before))
            self.run(network, arguments, training=False)

    def submodule_calls(self, network: Any, arguments: Arguments) -> list[Call]:
        """Every call of a layer, through a wrapped ``call``."""
        found: list[Call] = []

        def after(layer: Any, path: str, args: Any, kwargs: Any, output: Any) -> None:
            given = {k: v for k, v in kwargs.items() if k not in ("training", "mask")}
            found.append(Call(path, type(layer).__name__, self.arrays((args, given)), self.arrays(output)))

        with ExitStack() as stack:
            for path, layer in _layers(network):
                stack.enter_context(_wrapped(layer, path, after=after))
            self.run(network, arguments, training=False)
        return found

    def weights_file(self, network: Any) -> TargetFile | None:
        """Where a ``.weights.h5`` file keeps each variable."""
        return locate(network) if isinstance(network, keras.Model) else None

    def compilation(self, network: Any) -> list[str]:
        """Calls are not compiled."""
        return []

    def narrows(self, network: Any, arguments: Arguments) -> bool:
        """Whether some layer returns fewer bits than float64, or a call is known to compute with fewer."""
        with patches.narrow_casts() as seen:
            calls = self.submodule_calls(network, arguments)
        kinds = {str(o.dtype) for c in calls for _, o in trees.leaves(c.outputs) if hasattr(o, "dtype")}
        return bool(seen or kinds & {"float32", "float16"})

    def _call(self, network: Any, arguments: Arguments, training: bool) -> Any:
        args, kwargs = self.tensors(arguments)
        if len(args) > 1 and paths.is_graph(network):
            args = (keras.tree.pack_sequence_as(network._inputs_struct, list(args)),)
        if isinstance(network, keras.layers.Layer):
            args, kwargs = _by_keyword(network, args, kwargs)
        if isinstance(network, keras.layers.Layer) and flags.called(network) == network.call:
            kwargs = kwargs | {"training": training}
        kwargs = kwargs | flags.given(network, training)
        with patches.modes(fixed=self._fixed):
            return network(*args, **kwargs)


def _by_keyword(network: Any, args: Sequence[Any], kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with plain data given by keyword: Keras layers take only tensors by position."""
    first = next((i for i, a in enumerate(args) if isinstance(a, bool | int | float | str)), len(args))
    names = list(inspect.signature(network.call).parameters)
    return tuple(args[:first]), {**dict(zip(names[first:], args[first:], strict=False)), **kwargs}


@contextmanager
def _wrapped(
    layer: Any, path: str, before: Callable[..., None] | None = None, after: Callable[..., None] | None = None
) -> Iterator[None]:
    """Tell about every call of one layer."""
    original = layer.call

    def call(*args: Any, **kwargs: Any) -> Any:
        if before is not None:
            before(layer, path, args, kwargs)
        output = original(*args, **kwargs)
        if after is not None:
            after(layer, path, args, kwargs, output)
        return output

    object.__setattr__(layer, "call", call)
    try:
        yield
    finally:
        object.__delattr__(layer, "call")


def _tensor(value: Any) -> Any:
    if not isinstance(value, np.ndarray | np.generic):
        return value
    dtype = keras.config.floatx() if value.dtype.kind == "f" else str(value.dtype)
    return keras.ops.convert_to_tensor(value, dtype=dtype)


def _array(value: Any) -> Any:
    value = getattr(value, "value", value) if isinstance(value, keras.Variable) else value
    if not keras.ops.is_tensor(value) and not hasattr(value, "__array__"):
        return value
    array = keras.ops.convert_to_numpy(value)
    return array.astype("float32") if str(array.dtype) == "bfloat16" else np.asarray(array)


def _real(value: Any) -> Any:
    if "complex" not in str(value.dtype):
        return value
    return keras.ops.stack([keras.ops.real(value), keras.ops.imag(value)], axis=-1)


def _real_array(value: Array) -> Array:
    return np.stack([value, value], axis=-1) if value.dtype.kind == "c" else value


def _layers(network: Any) -> list[tuple[str, Any]]:
    return list(paths.layers(network)) if paths.is_holder(network) else []


def _variables(network: Any) -> list[tuple[str, Any]]:
    return list(paths.variables(network)) if paths.is_holder(network) else []


def _finalize(network: Any, variable: Any) -> None:
    """Let the layer that keeps statistics of the data compute with the ones that it has got."""
    for _, layer in _layers(network):
        if isinstance(layer, keras.layers.Normalization) and any(v is variable for v in layer.variables):
            layer.finalize_state()


def _trained(network: Any) -> set[int]:
    """The identities of the variables that training would change: not those of frozen layers."""
    found = network.trainable_variables if paths.is_holder(network) else ()
    # Variables of TensorFlow's own that a Keras layer holds are not listed, but a tape finds and trains them.
    plain = (v for _, v in _variables(network) if not isinstance(v, keras.Variable) and v.trainable)
    return {id(variable) for variable in (*found, *plain)}


def _lookup(network: Any, path: str) -> Any:
    try:
        return paths.find(network, path)
    except KeyError:
        for name, variable in _variables(network):
            if name == path:
                return variable
        raise
