"""Normalisation by statistics that were measured before training: kept as state, or given as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling, Support
from netferry.ops.jax_forms import nnx_support
from netferry.ops.layer_forms import keras_layer, on_keras, support_layer
from netferry.ops.registry import register, register_support

Array = np.ndarray[Any, Any]


def _channelwise(values: Array, x: Array) -> Array:
    return values.reshape(1, -1, *[1] * (x.ndim - 2))


register_support(
    Support(
        "Normalization",
        {
            "torch": '''
class Normalization(torch.nn.Module):
    """Shifts and scales channels by a mean and variance that stay as they were measured before training."""

    def __init__(self, num_features):
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("variance", torch.ones(num_features))

    def forward(self, x):
        shape = (-1, *[1] * (x.ndim - 2))
        return (x - self.mean.view(shape)) / self.variance.sqrt().clamp(min=1e-7).view(shape)
''',
            "flax": '''
class Normalization(flax.nnx.Module):
    """Shifts and scales channels by a mean and variance that stay as they were measured before training."""

    def __init__(self, num_features, *, rngs):
        self.mean = flax.nnx.BatchStat(jax.numpy.zeros(num_features))
        self.variance = flax.nnx.BatchStat(jax.numpy.ones(num_features))

    def __call__(self, x):
        return (x - self.mean[...]) / jax.numpy.maximum(jax.numpy.sqrt(self.variance[...]), 1e-7)
''',
        },
    )
)


_NOT_FINAL = dict.fromkeys(("tensorflow", "keras"), "Keras computes with copies that it makes when it has adapted")


def _adapted(package: str) -> list[Spelling]:
    return [
        keras_layer(
            package,
            "Normalization",
            "axis=-1, mean=None, variance=None, invert=False",
            fixed={"axis": -1, "mean": None, "variance": None, "invert": False},
            params={"adapt_mean": "mean: C", "adapt_variance": "var: C"},
            positional=0,
        )
    ]


def _by_adapted(x: Array, *, mean: Array, var: Array, **unused: Any) -> Array:
    return (x - _channelwise(mean, x)) / np.maximum(np.sqrt(_channelwise(var, x)), 1e-7)


register(
    OpDef(
        "adapted_norm",
        "x, *, num_features=...",
        "Shifts and scales channels by a mean and variance that stay as they were measured before training.",
        layout="channels",
        reference=_by_adapted,
        params={"mean": "C", "var": "C"},
        buffers=("mean", "var"),
        spellings={
            "torch": [
                support_layer(
                    "Normalization",
                    "num_features",
                    positional=1,
                    params={"mean": "mean: C", "variance": "var: C"},
                )
            ],
            **on_keras(_adapted),
            "flax": [
                nnx_support("Normalization", "num_features", params={"mean": "mean: C", "variance": "var: C"}),
            ],
        },
        cases=[
            Case({"x": (3, 4, 5, 2)}, {"num_features": 4}, skip=_NOT_FINAL),
            Case({"x": (3, 4)}, {"num_features": 4}, skip=_NOT_FINAL),
        ],
    )
)

register_support(
    Support(
        "Standardize",
        {
            "torch": '''
class Standardize(torch.nn.Module):
    """Subtracts the means of channels and divides by their standard deviations."""

    def __init__(self, mean, variance):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(variance).sqrt(), persistent=False)

    def forward(self, x):
        shape = (-1,) + (1,) * (x.ndim - 2)
        return (x - self.mean.view(shape)) / self.std.view(shape)
''',
            "flax": '''
class Standardize(flax.nnx.Module):
    """Subtracts the means of channels and divides by their standard deviations."""

    def __init__(self, mean, variance):
        self.mean, self.variance = tuple(mean), tuple(variance)

    def __call__(self, x):
        mean, variance = jax.numpy.array(self.mean, x.dtype), jax.numpy.array(self.variance, x.dtype)
        return (x - mean) / jax.numpy.sqrt(variance)
''',
        },
    )
)


def _by_given(x: Array, *, mean: Any, variance: Any) -> Array:
    return (x - _channelwise(np.asarray(mean), x)) / np.sqrt(_channelwise(np.asarray(variance), x))


register(
    OpDef(
        "standardize",
        "x, *, mean, variance",
        "Subtracts given means of channels and divides by the square roots of given variances.",
        layout="channels",
        reference=_by_given,
        spellings={
            "torch": [support_layer("Standardize", "mean, variance", positional=2)],
            "flax": [support_layer("Standardize", "mean, variance", positional=2)],
            **on_keras(
                lambda package: [
                    keras_layer(
                        package,
                        "Normalization",
                        "axis=-1, mean=None, variance=None, invert=False",
                        fixed={"axis": -1, "invert": False},
                    )
                ]
            ),
        },
        cases=[Case({"x": (3, 2, 5, 4)}, {"mean": [0.5, 1.5], "variance": [0.25, 2.0]})],
    )
)
