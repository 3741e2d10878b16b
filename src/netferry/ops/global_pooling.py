"""Pooling of whole images and sequences: one value for each channel."""

from __future__ import annotations

from typing import Any

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling
from netferry.ops.forms import template
from netferry.ops.layer_forms import keras_layer, on_keras
from netferry.ops.registry import register

Array = np.ndarray[Any, Any]


def _reference(reduce: str) -> Any:
    def reference(x: Array, *, keepdims: bool = False) -> Array:
        found: Array = getattr(x, reduce)(axis=tuple(range(2, x.ndim)), keepdims=keepdims)
        return found

    return reference


def _register(n: int, kind: str, title: str, reduce: str) -> None:
    word = "mean" if kind == "Average" else "largest value"
    pool = f"torch.nn.Adaptive{title}Pool{n}d(1)"
    axes = tuple(range(2, n + 2))
    function = "mean" if kind == "Average" else "amax"

    method, spatial = function.removeprefix("a"), tuple(range(1, n + 1))

    def spellings(package: str) -> list[Spelling]:
        rest = "data_format=None, keepdims=False"
        name = (
            {"mean": "tf.reduce_mean", "max": "tf.reduce_max"}[method] if package != "keras" else f"keras.ops.{method}"
        )
        return [
            keras_layer(package, f"Global{kind}Pooling{n}D", rest),
            template(f"{name}({{x}}, axis={spatial}, keepdims=True)", when={"keepdims": True}),
            template(f"{name}({{x}}, axis={spatial})"),
        ]

    register(
        OpDef(
            f"global_{title.lower()}_pool{n}d",
            "x, *, keepdims=False",
            f"The {word} of each channel over {n} spatial dimensions.",
            layout="channels",
            reference=_reference(reduce),
            spellings={
                "torch": [
                    template(pool, layer=True, call="x", when={"keepdims": True}),
                    template(f"torch.nn.Sequential({pool}, torch.nn.Flatten())", layer=True, call="x"),
                    template(f"{{x}}.{function}({axes}, keepdim=True)", when={"keepdims": True}),
                    template(f"{{x}}.{function}({axes})"),
                ],
                **on_keras(spellings),
                "flax": [
                    template(f"{{x}}.{method}(axis={spatial}, keepdims=True)", when={"keepdims": True}),
                    template(f"{{x}}.{method}(axis={spatial})"),
                ],
            },
            cases=[
                Case({"x": (2, 3, 5, 4, 6)[: n + 2]}),
                Case({"x": (2, 3, 5, 4, 6)[: n + 2]}, {"keepdims": True}),
            ],
        )
    )


for _n in (1, 2, 3):
    _register(_n, "Average", "Avg", "mean")
    _register(_n, "Max", "Max", "max")
