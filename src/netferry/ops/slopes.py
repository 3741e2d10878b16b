"""Keras's PReLU: a trained slope for every channel, shared by all places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling
from netferry.ops.forms import template
from netferry.ops.layer_forms import keras_layer, on_keras
from netferry.ops.registry import register

Array = np.ndarray[Any, Any]


def _in_keras(attributes: Mapping[str, Any]) -> dict[str, str]:
    """The places that share a slope are axes of length one."""
    return {"alpha": "weight: " + "1 " * len(attributes.get("shared_axes") or ()) + "C"}


def _reference(x: Array, *, weight: Array, **unused: Any) -> Array:
    slopes = weight.reshape(-1, *[1] * (x.ndim - 2))
    return np.maximum(x, 0) + slopes * np.minimum(x, 0)  # type: ignore[no-any-return]


def _layers(package: str) -> list[Spelling]:
    return [
        keras_layer(
            package,
            "PReLU",
            "alpha_initializer='Zeros', alpha_regularizer=None, alpha_constraint=None, shared_axes=None",
            ignore=("alpha_initializer", "alpha_regularizer", "alpha_constraint"),
            dynamic_params=_in_keras,
        )
    ]


register(
    OpDef(
        "channel_prelu",
        "x, *, num_channels=..., shared_axes=None",
        "ReLU with a trained slope for negative values, one for each channel.",
        layout="channels",
        reference=_reference,
        params={"weight": "C"},
        spellings={
            "torch": [
                template(
                    "torch.nn.PReLU({num_channels}, init=0.0)", layer=True, call="x", params={"weight": "weight: C"},
                    silent=("shared_axes",),
                )
            ],
            **on_keras(_layers),
            "flax": [
                template(
                    "PReLU({num_channels}, init=0.0)", layer=True, call="x", params={"alpha": "weight: C"},
                    silent=("shared_axes",), support="PReLU",
                )
            ],
        },
        cases=[
            Case({"x": (2, 3)}, {"num_channels": 3}),
            Case({"x": (2, 3, 4, 5)}, {"num_channels": 3, "shared_axes": [1, 2]}),
        ],
    )
)  # fmt: skip
