"""What differs between the backends of Keras: gradients, wide types, dropout functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import keras


def gradients(loss: Callable[[], Any], network: Any, variables: Sequence[Any]) -> list[Any]:
    """The gradient of ``loss()`` by each variable; None where it does not depend on it."""
    backend = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    return list(backend[keras.backend.backend()](loss, network, variables))


def _tensorflow(loss: Callable[[], Any], network: Any, variables: Sequence[Any]) -> Sequence[Any]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch([v.value for v in variables])
        total = loss()
    found = tape.gradient(total, [v.value for v in variables])
    return [None if g is None else tf.convert_to_tensor(g) for g in found]


def _jax(loss: Callable[[], Any], network: Any, variables: Sequence[Any]) -> Sequence[Any]:
    import jax

    others = [v for v in network.variables if not any(v is w for w in variables)]
    fixed = [(v, v.value) for v in others]

    def of(values: Sequence[Any]) -> Any:
        with keras.StatelessScope(state_mapping=[*zip(variables, values, strict=True), *fixed]):
            return loss()

    return list(jax.grad(of)([v.value for v in variables]))


def _torch(loss: Callable[[], Any], network: Any, variables: Sequence[Any]) -> Sequence[Any]:
    import torch

    return torch.autograd.grad(loss(), [v.value for v in variables], allow_unused=True)


@contextmanager
def wide_types(dtype: str) -> Iterator[None]:
    """Let the backend compute in ``dtype`` where it would narrow it by default."""
    if keras.backend.backend() == "jax":
        with _jax_wide(dtype):
            yield
    elif keras.backend.backend() == "tensorflow" and dtype == "float64":
        with _exact_constants():
            yield
    else:
        yield


@contextmanager
def _exact_constants() -> Iterator[None]:
    # TensorFlow keeps the constants of its leaky ReLU and GELU in float32, which shows as 1e-9 in float64.
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

    with _replaced(tf.nn, "leaky_relu", leaky_relu), _replaced(tf.nn, "gelu", gelu):
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

    def watched_cast(x: Any, dtype: Any, name: str | None = None) -> Any:
        if tf.as_dtype(dtype) in (tf.float32, tf.float16, tf.bfloat16):
            seen.append("cast")
        return cast(x, dtype, name=name)

    def watched_resize(*args: Any, **kwargs: Any) -> Any:
        seen.append("resize")
        return resize(*args, **kwargs)

    with _replaced(tf, "cast", watched_cast), _replaced(tf.image, "resize", watched_resize):
        yield seen


@contextmanager
def _jax_wide(dtype: str) -> Iterator[None]:
    import jax

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", dtype == "float64" or before)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)


@contextmanager
def without_dropout() -> Iterator[None]:
    """Make the dropout functions return their input, so that two training runs agree."""
    owners = [keras.random]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        owners.append(tf.nn)
    with ExitStack() as stack:
        for owner in owners:
            stack.enter_context(_replaced(owner, "dropout", _unchanged))
        yield


def _unchanged(x: Any, *args: Any, **kwargs: Any) -> Any:
    return x


@contextmanager
def _replaced(owner: Any, name: str, replacement: Callable[..., Any]) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, replacement)
    try:
        yield
    finally:
        setattr(owner, name, original)
