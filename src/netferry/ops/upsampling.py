"""Enlarging images and sequences by whole factors, as layers say it."""

from __future__ import annotations

from typing import Any

import numpy as np

from netferry.ops.conv import each
from netferry.ops.core import Case, Conversion, OpDef, Spelling
from netferry.ops.forms import template
from netferry.ops.layer_forms import keras_layer, on_keras
from netferry.ops.registry import register

Array = np.ndarray[Any, Any]


def _repeated(x: Array, *, factor: Any = 2, mode: str = "nearest") -> Array:
    for axis, count in enumerate(each(factor, x.ndim - 2), start=2):
        x = np.repeat(x, count, axis)
    return x


def _in_flax(n: int) -> list[Spelling]:
    """Copies of places, or JAX's own resizing, which asks for the sizes of all axes."""
    factors = ["{factor}"] if n == 1 else [f"{{factor}}[{axis}]" for axis in range(n)]
    copies = "".join(f".repeat({factor}, axis={axis})" for axis, factor in enumerate(factors, start=1))
    sizes = ", ".join(f"{{x}}.shape[{axis}] * {factor}" for axis, factor in enumerate(factors, start=1))
    shape = f"({{x}}.shape[0], {sizes}, {{x}}.shape[{n + 1}])"
    return [
        template(f"{{x}}{copies}", when={"mode": "nearest"}),
        template(f"jax.image.resize({{x}}, {shape}, {{mode}})", when={"mode": "bilinear"}),
    ]


def _register(n: int) -> None:
    factor = 2 if n == 1 else (2,) * n
    more = ", interpolation='nearest'" if n == 2 else ""
    layout = "" if n == 1 else ", data_format=None"
    smooth = "mode='bilinear'"

    def spellings(package: str) -> list[Spelling]:
        same = Conversion(
            "mode", {"nearest": "nearest", "bilinear": "bilinear"}, {"nearest": "nearest", "bilinear": "bilinear"}
        )
        return [
            keras_layer(
                package, f"UpSampling{n}D", f"size={factor}{layout}{more}", maps={"size": "factor", "interpolation": same},
                positional=1,
            )
        ]  # fmt: skip

    register(
        OpDef(
            f"upsample{n}d",
            f"x, *, factor={factor}, mode='nearest'",
            f"Enlarges {n} spatial dimensions by whole factors.",
            layout="channels",
            reference=_repeated,
            spellings={
                "torch": [
                    template(
                        "torch.nn.Upsample(scale_factor={factor})", layer=True, call="x", when={"mode": "nearest"}
                    ),
                    template(
                        f"torch.nn.Upsample(scale_factor={{factor}}, {smooth})",
                        layer=True,
                        call="x",
                        when={"mode": "bilinear"},
                    ),
                    template("torch.nn.functional.interpolate({x}, scale_factor={factor})", when={"mode": "nearest"}),
                    template(
                        f"torch.nn.functional.interpolate({{x}}, scale_factor={{factor}}, {smooth})",
                        when={"mode": "bilinear"},
                    ),
                ],
                **on_keras(spellings),
                "flax": _in_flax(n),
            },
            cases=[Case({"x": (2, 3, 4, 5, 3)[: n + 2]}, {"factor": 3})],
        )
    )


for _n in (1, 2, 3):
    _register(_n)
