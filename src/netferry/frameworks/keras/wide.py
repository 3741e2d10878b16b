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


def local_response(
    input: Any, depth_radius: int = 5, bias: float = 1.0, alpha: float = 1.0, beta: float = 0.5, name: str | None = None
) -> Any:
    """``tf.nn.local_response_normalization``."""
    import tensorflow as tf

    channels = input.shape[-1]
    squares = tf.pad(tf.square(input), [[0, 0]] * (len(input.shape) - 1) + [[depth_radius, depth_radius]])
    total = tf.add_n([squares[..., i : i + channels] for i in range(2 * depth_radius + 1)])
    return tf.divide(input, (bias + alpha * total) ** beta, name=name)


def resizing(original: Pool) -> Pool:
    """``tf.image.resize``, which gives 32 bits whatever it is given."""
    import numpy as np
    import tensorflow as tf

    def resize(images: Any, size: Any, method: str = "bilinear", *args: Any, **options: Any) -> Any:
        x = tf.convert_to_tensor(images)
        plain = not args and not any(options.get(n) for n in ("preserve_aspect_ratio", "antialias"))
        if x.dtype != tf.float64 or len(x.shape) != 4 or method not in ("bilinear", "nearest") or not plain:
            return original(images, size, method, *args, **options)
        for axis, count in zip((1, 2), np.asarray(size).tolist(), strict=True):
            length = x.shape[axis]
            places = (np.arange(count) + 0.5) * length / count
            if method == "nearest":
                x = tf.gather(x, np.minimum(np.floor(places).astype(int), length - 1), axis=axis)
                continue
            low = np.floor(places - 0.5)
            part = tf.reshape(tf.constant(places - 0.5 - low, tf.float64), [-1] + [1] * (3 - axis))
            before, after = (tf.gather(x, np.clip(low + i, 0, length - 1).astype(int), axis=axis) for i in (0, 1))
            x = before * (1 - part) + after * part
        return x

    return resize


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
