"""Grouped convolutions on CPUs while networks are compared.

Keras compiles each one anew whenever it is called, for TensorFlow has none there; a network of depthwise convolutions
then takes minutes. The same sums are put together from convolutions that TensorFlow has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def convolution() -> Callable[..., Any]:
    """``tf.nn.convolution`` that also takes channels-last data in groups."""
    import tensorflow as tf

    original = tf.nn.convolution

    def convolve(
        input: Any, filters: Any, strides: Any = None, padding: str = "VALID", data_format: str | None = None,
        dilations: Any = None, name: str | None = None,
    ) -> Any:  # fmt: skip
        x, kernel = tf.convert_to_tensor(input), tf.convert_to_tensor(filters)
        rank = len(x.shape) - 2
        groups = (x.shape[-1] or 0) // (kernel.shape[-2] or 1)
        last = data_format is None or not data_format.startswith("NC")
        steps = _all_axes(strides, rank)
        if groups > 1 and last and groups == x.shape[-1] and len(set(steps[-2:])) == 1:
            depthwise = _depthwise_volume if rank == 3 else _depthwise
            return depthwise(x, kernel, steps, padding, _all_axes(dilations, rank))
        if groups > 1 and last:
            parts = zip(tf.split(x, groups, -1), tf.split(kernel, groups, -1), strict=True)
            return tf.concat([original(a, k, strides, padding, data_format, dilations) for a, k in parts], -1)
        return original(input, filters, strides, padding, data_format, dilations, name)

    return convolve


def _all_axes(value: Any, rank: int) -> tuple[int, ...]:
    if value is None:
        return (1,) * rank
    return (int(value),) * rank if isinstance(value, int) else tuple(int(v) for v in value)


def _depthwise_volume(x: Any, kernel: Any, steps: tuple[int, ...], padding: str, dilations: tuple[int, ...]) -> Any:
    """The sum, over the kernel's slices in depth, of what each makes of the images that it meets."""
    import tensorflow as tf

    depth, step, dilation = kernel.shape[0], steps[0], dilations[0]
    reach = (depth - 1) * dilation + 1
    count = -(-(x.shape[1] - (reach - 1 if padding.upper() == "VALID" else 0)) // step)
    missing = max((count - 1) * step + reach - x.shape[1], 0)
    x = tf.pad(x, [(0, 0), (missing // 2, missing - missing // 2), (0, 0), (0, 0), (0, 0)])
    total: Any = 0.0
    for index in range(depth):
        first = index * dilation
        met = x[:, first : first + (count - 1) * step + 1 : step]
        images = tf.reshape(met, (-1, *met.shape[2:]))
        made = _depthwise(images, kernel[index], steps[1:], padding, dilations[1:])
        total = total + tf.reshape(made, (-1, count, *made.shape[1:]))
    return total


def _depthwise(x: Any, kernel: Any, steps: tuple[int, ...], padding: str, dilations: tuple[int, ...]) -> Any:
    import tensorflow as tf

    step = steps[0]

    flat = len(x.shape) == 3
    if flat:
        x, kernel, dilations = x[:, None], kernel[None], (1, *dilations)
    *window, _, filters = kernel.shape
    channels = x.shape[-1]
    kernel = tf.reshape(kernel, (*window, channels, filters // channels))
    y = tf.nn.depthwise_conv2d(x, kernel, (1, step, step, 1), padding.upper(), dilations=dilations)
    return y[:, 0] if flat else y


def uncompiled() -> Callable[..., Any]:
    """``tf.function`` that gives functions which are to be compiled by XLA as they are."""
    import tensorflow as tf

    original = tf.function

    def function(*args: Any, **options: Any) -> Any:
        return (lambda given: given) if options.get("jit_compile") and not args else original(*args, **options)

    return function
