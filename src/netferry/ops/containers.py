"""Containers of layers that compute what their members compute in turn."""

from __future__ import annotations

from netferry.ops.core import OpDef, Spelling
from netferry.ops.layer_forms import on_keras
from netferry.ops.registry import register

register(
    OpDef(
        "sequential",
        "layers=None",
        "Applies layers one after another.",
        layout="none",
        spellings={
            "torch": [Spelling("torch.nn.Sequential", "*args", maps={"args": "layers"}, layer=True, read=False)],
            "flax": [Spelling("flax.nnx.Sequential", "*fns", maps={"fns": "layers"}, layer=True, read=False)],
            **on_keras(lambda package: [Spelling(f"{package}.Sequential", "layers=None", layer=True, read=False)]),
        },
    )
)
