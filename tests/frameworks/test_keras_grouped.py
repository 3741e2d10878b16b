"""Grouped convolutions while networks are compared give what Keras gives."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from netferry.frameworks.keras import patches

LAYERS = {
    "depthwise": (keras.layers.Conv2D, (2, 9, 8, 6), {"filters": 12, "kernel_size": 3, "groups": 6, "strides": 2}),
    "dilated": (
        keras.layers.Conv2D,
        (2, 9, 8, 6),
        {"filters": 6, "kernel_size": 3, "groups": 6, "padding": "same", "dilation_rate": 2},
    ),
    "groups": (keras.layers.Conv2D, (2, 9, 8, 6), {"filters": 9, "kernel_size": (3, 1), "groups": 3}),
    "sequence": (keras.layers.Conv1D, (2, 9, 6), {"filters": 12, "kernel_size": 3, "groups": 6, "strides": 2}),
    "volume": (keras.layers.Conv3D, (2, 5, 6, 7, 4), {"filters": 8, "kernel_size": 2, "groups": 4}),
    "depthwise volume": (
        keras.layers.Conv3D,
        (2, 5, 9, 7, 70),
        {"filters": 140, "kernel_size": 3, "groups": 70, "strides": (1, 2, 2), "padding": "same"},
    ),
    "shallow volume": (
        keras.layers.Conv3D,
        (2, 6, 5, 5, 4),
        {"filters": 4, "kernel_size": (3, 2, 2), "groups": 4, "strides": 2},
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_same_values(name: str) -> None:
    kind, shape, given = LAYERS[name]
    x: Any = np.random.default_rng(0).normal(size=shape)
    layer = kind(**given, dtype="float64")
    expected = np.asarray(layer(x))
    with patches.modes(fixed=False):
        found = np.asarray(layer(x))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)
