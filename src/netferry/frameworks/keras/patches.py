"""Ways to run Keras code otherwise than it is written: without dropout, in float64, with fixed random numbers."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

import keras

from netferry.frameworks.base import NORMAL, UNIFORM
from netferry.frameworks.keras import grouped, wide, widening
from netferry.frameworks.keras.patching import replaced


@contextmanager
def wide_types(dtype: str, modules: Sequence[ModuleType] = ()) -> Iterator[None]:
    """Let the backend compute in ``dtype`` where it would narrow it by default."""
    with ExitStack() as stack:
        if dtype == "float64":
            stack.enter_context(_replaced(keras.ops, "view_as_complex", wide.view_as_complex))
            types = importlib.import_module("keras.src.backend.common.dtypes")
            stack.enter_context(_replaced(types, "_resolve_weak_type", _whole(types._resolve_weak_type)))
        stack.enter_context(_wide_backend(dtype, modules))
        yield


def _whole(resolve: Callable[..., str]) -> Callable[..., str]:
    """Python's integers become as wide as they do in float32; Keras widens them along with the floats."""
    return lambda dtype, precision="32": resolve(dtype, "32" if "int" in dtype else precision)


@contextmanager
def quick_initialisers() -> Iterator[None]:
    """Let all weights start alike: drawing them takes long, and others are assigned before anything is compared."""

    def alike(self: Any, shape: Any, dtype: Any = None) -> Any:
        return keras.ops.full(shape, 0.01, dtype or keras.config.floatx())

    with ExitStack() as stack:
        for kind in _RANDOM:
            stack.enter_context(_replaced(kind, "__call__", alike))
        yield


@contextmanager
def _wide_backend(dtype: str, modules: Sequence[ModuleType]) -> Iterator[None]:
    if keras.backend.backend() == "jax":
        with _jax_wide(dtype):
            yield
    elif keras.backend.backend() == "tensorflow" and dtype == "float64":
        with _exact_constants(modules):
            yield
    else:
        yield


@contextmanager
def _exact_constants(modules: Sequence[ModuleType]) -> Iterator[None]:
    # TensorFlow keeps the constants of its leaky ReLU and GELU in float32, as it does Python's numbers given to a cast
    # (the scale in Keras's attention), which shows as 1e-9 in float64, and pools volumes in float32 only.
    import tensorflow as tf

    def leaky_relu(features: Any, alpha: float = 0.2, name: str | None = None) -> Any:
        features = tf.convert_to_tensor(features)
        return tf.where(features > 0, features, tf.constant(alpha, features.dtype) * features, name=name)

    def gelu(features: Any, approximate: bool = False, name: str | None = None) -> Any:
        features = tf.convert_to_tensor(features)
        if approximate:
            inner = math.sqrt(2 / math.pi) * (features + 0.044715 * features**3)
            return tf.multiply(0.5 * features, 1 + tf.math.tanh(inner), name=name)
        return tf.multiply(0.5 * features, tf.math.erfc(-math.sqrt(0.5) * features), name=name)

    narrowing_cast = tf.cast

    def cast(x: Any, dtype: Any, name: str | None = None) -> Any:
        dtype = tf.float64 if tf.as_dtype(dtype) == tf.float32 else dtype
        plain = isinstance(x, float | list | tuple) and all(type(n) in (int, float) for n in tf.nest.flatten(x))
        exact = plain and tf.as_dtype(dtype).is_floating
        return tf.constant(x, dtype, name=name or "Const") if exact else narrowing_cast(x, dtype, name=name)

    convert = keras.ops.convert_to_tensor

    def convert_to_tensor(x: Any, dtype: Any = None, sparse: bool | None = None, ragged: bool | None = None) -> Any:
        if dtype is None and isinstance(x, float | list | tuple):
            kinds = {type(leaf) for leaf in tf.nest.flatten(x)}
            dtype = keras.config.floatx() if float in kinds and kinds <= {float, int} else None
        return convert(x, dtype, sparse, ragged)

    def signbit(x: Any) -> Any:
        return tf.bitcast(narrowing_cast(x, tf.float64), tf.int64) < 0

    with ExitStack() as stack:
        numpy = importlib.import_module("keras.src.backend.tensorflow.numpy")
        stack.enter_context(_replaced(numpy, "signbit", signbit))  # Keras reads the bits of a cast to float32.
        stack.enter_context(widening.widened(_replaced, modules))
        stack.enter_context(_replaced(tf, "cast", cast))
        stack.enter_context(_replaced(keras.ops, "convert_to_tensor", convert_to_tensor))
        stack.enter_context(_replaced(tf.image, "resize", wide.resizing(tf.image.resize)))
        made: dict[str, Callable[..., Any]] = {"leaky_relu": leaky_relu, "gelu": gelu, **wide.volume_pools()}
        made |= dict.fromkeys(("lrn", "local_response_normalization"), wide.local_response)
        for name, function in made.items():
            stack.enter_context(_replaced(tf.nn, name, function))
        yield


@contextmanager
def narrow_casts() -> Iterator[list[str]]:
    """Collects the calls that give less than float64 whatever they are given."""
    seen: list[str] = []
    if keras.backend.backend() != "tensorflow":
        yield seen
        return
    import tensorflow as tf

    cast, resize = tf.cast, tf.image.resize

    def watched_cast(*args: Any, **kwargs: Any) -> Any:
        made = cast(*args, **kwargs)
        if made.dtype in (tf.float32, tf.float16, tf.bfloat16):  # Not what it was asked for: that may be widened.
            seen.append("cast")
        return made

    def watched_resize(*args: Any, **kwargs: Any) -> Any:
        seen.append("resize")  # It computes so whatever it gives.
        return resize(*args, **kwargs)

    with _replaced(tf, "cast", watched_cast), _replaced(tf.image, "resize", watched_resize):
        yield seen


@contextmanager
def _jax_wide(dtype: str) -> Iterator[None]:
    import jax

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", dtype == "float64" or before)
    # Keras has a table of its own that rounds results to 32 bits on JAX; where it has gone, there is nothing to mend.
    try:
        narrowing: dict[str, str] = importlib.import_module("keras.src.backend.common.dtypes").BIT64_TO_BIT32_DTYPE
    except (ImportError, AttributeError):
        narrowing = {}
    kept = dict(narrowing)
    if dtype == "float64":
        narrowing["float64"] = "float64"
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)
        narrowing.update(kept)


def _normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    return _filled(shape, mean + NORMAL * stddev, dtype)


def _uniform(shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    value = minval + UNIFORM * (maxval - minval)
    whole = dtype is not None and "int" in keras.backend.standardize_dtype(dtype)
    return _filled(shape, int(value) if whole else value, dtype)


def _integers(shape: Any, minval: int, maxval: int, dtype: Any = "int32", seed: Any = None) -> Any:
    return _filled(shape, minval + int(UNIFORM * (maxval - minval)), dtype)


def _filled(shape: Any, value: Any, dtype: Any) -> Any:
    kind = keras.config.floatx() if dtype is None else keras.backend.standardize_dtype(dtype)
    return keras.ops.broadcast_to(keras.ops.convert_to_tensor(value, dtype=kind), shape)


def _passed_on(layer: Any, inputs: Any, training: bool = False) -> Any:
    return inputs


def _unchanged(x: Any, *args: Any, **kwargs: Any) -> Any:
    return x


_RANDOM = (
    keras.initializers.RandomNormal, keras.initializers.RandomUniform, keras.initializers.TruncatedNormal,
    keras.initializers.VarianceScaling, keras.initializers.Orthogonal,
)  # fmt: skip
"""The initialisers that draw numbers; those not listed extend one of these."""
_DROPPING = (
    keras.layers.Dropout, keras.layers.SpatialDropout1D, keras.layers.SpatialDropout2D, keras.layers.SpatialDropout3D,
)  # fmt: skip
_TENSORFLOW: Mapping[str, Callable[..., Any]] = {"normal": _normal, "uniform": _uniform, "shuffle": _unchanged}
_KERAS: Mapping[str, Callable[..., Any]] = {
    "normal": _normal,
    "uniform": _uniform,
    "randint": _integers,
    "shuffle": _unchanged,
}


@contextmanager
def modes(*, fixed: bool) -> Iterator[None]:
    """What applies to every run: no dropout, and ``fixed`` numbers for random ones where wanted."""
    dropouts: list[Any] = [keras.random]
    randoms: list[tuple[Any, Mapping[str, Callable[..., Any]]]] = [(keras.random, _KERAS)]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        dropouts.append(tf.nn)
        randoms.append((tf.random, _TENSORFLOW))
    with ExitStack() as stack:
        if keras.backend.backend() == "tensorflow":
            stack.enter_context(_replaced(tf, "function", grouped.uncompiled()))
            stack.enter_context(_replaced(tf.nn, "convolution", grouped.convolution()))
        for owner in dropouts:
            stack.enter_context(_replaced(owner, "dropout", _unchanged))
        for kind in _DROPPING:  # Those that a call makes anew have rates that nobody could set to zero.
            stack.enter_context(replaced(kind, "call", _passed_on))
        for owner, replacements in randoms if fixed else ():
            for name, replacement in replacements.items():
                stack.enter_context(_replaced(owner, name, replacement))
        yield


@contextmanager
def _replaced(owner: Any, name: str, replacement: Callable[..., Any]) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, replacement)
    try:
        yield
    finally:
        setattr(owner, name, original)
