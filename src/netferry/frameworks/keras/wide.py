"""Operations that TensorFlow has in 32 bits only, put together from others that it has in 64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Pool = Callable[..., Any]


def view_as_complex(x: Any) -> Any:
    """Complex numbers of the pairs in the last axis, in 128 bits: Keras makes them of 64 whatever it is given."""
    import keras

    return keras.ops.cast(x[..., 0], "complex128") + 1j * keras.ops.cast(x[..., 1], "complex128")


def volume_pools() -> dict[str, Pool]:
    """By name in ``tf.nn``: pooling that also takes float64 volumes, plane by plane and then along the depth."""
    import tensorflow as tf

    made = {}
    for kind in ("max", "avg"):
        plane = getattr(tf.nn, f"{kind}_pool2d")
        for name in (f"{kind}_pool", f"{kind}_pool3d"):
            made[name] = _volume_pool(getattr(tf.nn, name), plane)
    return made


def _volume_pool(original: Pool, plane: Pool) -> Pool:
    import tensorflow as tf

    def pool(input: Any, ksize: Any, strides: Any, padding: str, *args: Any, **options: Any) -> Any:
        x = tf.convert_to_tensor(input)
        if x.dtype != tf.float64 or len(x.shape) != 5:
            return original(x, ksize, strides, padding, *args, **options)
        (depth, *window), (step, *steps) = _triple(ksize), _triple(strides)
        batch, size, height, width, channels = x.shape
        x = plane(tf.reshape(x, (batch * size, height, width, channels)), window, steps, padding)
        height, width = x.shape[1:3]
        x = plane(tf.reshape(x, (batch, size, height * width, channels)), (depth, 1), (step, 1), padding)
        return tf.reshape(x, (batch, x.shape[1], height, width, channels))

    return pool


def _triple(value: Any) -> tuple[int, ...]:
    """One number per axis of a volume, from one, three, or five with those of batch and channels."""
    if isinstance(value, int):
        return (value,) * 3
    return tuple(value) * 3 if len(value) == 1 else tuple(value)[-4:-1] if len(value) == 5 else tuple(value)
