"""Ops that join tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling, Support, values
from netferry.ops.forms import (
    keras,
    template,
    tensorflow,
)
from netferry.ops.layer_forms import keras_layer, support_layer
from netferry.ops.registry import register, register_support

_AXIS = {"dim": "axis"}


def _join(name: str, rest: str = "", **options: Any) -> Spelling:
    """``torch.name(tensors, rest)``."""
    return Spelling(
        f"torch.{name}",
        ", ".join(filter(None, ("tensors", rest, "*, out=None"))),
        maps={"tensors": "xs", "dim": "axis", "axis": "axis"},
        ignore=("out",),
        **options,
    )


register_support(
    Support(
        "Concatenate",
        {
            "torch": '''
class Concatenate(torch.nn.Module):
    """Joins tensors along an axis."""

    def __init__(self, dim=0):
        super().__init__()
        self.dim = dim

    def forward(self, xs):
        return torch.cat(xs, dim=self.dim)
'''
        },
    )
)


def _merging(package: str) -> list[Spelling]:
    """Keras's layer, and the function that makes and applies it."""
    return [
        keras_layer(package, "Concatenate", "axis=-1", maps={"inputs": "xs"}, write=False),
        Spelling(
            f"{package}.layers.concatenate", "inputs, axis=-1, **kwargs", maps={"inputs": "xs"}, ignore=("kwargs",),
            write=False,
        ),
    ]  # fmt: skip


register(
    OpDef(
        "concat",
        "xs, *, axis=0",
        "Joins tensors along an axis.",
        layout="concat",
        reference=lambda xs, axis=0: np.concatenate(xs, axis),
        spellings={
            "torch": [
                _join("cat", "dim=0"),
                _join("concat", "dim=0", write=False),
                _join("concatenate", "dim=0", write=False),
                support_layer("Concatenate", "dim=0", maps={"dim": "axis", "x": "xs"}),
            ],
            "tensorflow": [
                tensorflow("concat", "values, axis, name='concat'", maps={"values": "xs"}),
                *_merging("tf.keras"),
            ],
            "keras": [keras("concatenate", "xs, axis=0"), *_merging("keras")],
        },
        cases=[
            Case({"xs": [(2, 3), (4, 3)]}),
            Case({"xs": [(2, 3, 5), (2, 4, 5), (2, 1, 5)]}, {"axis": 1}),
            Case({"xs": [(2, 3), (2, 4)]}, {"axis": -1}),
        ],
    )
)
register(
    OpDef(
        "stack",
        "xs, *, axis=0",
        "Joins tensors along a new axis.",
        layout="stack",
        reference=lambda xs, axis=0: np.stack(xs, axis),
        spellings={
            "torch": [_join("stack", "dim=0")],
            "tensorflow": [tensorflow("stack", "values, axis=0, name='stack'", maps={"values": "xs"})],
            "keras": [keras("stack", "x, axis=0", maps={"x": "xs"})],
        },
        cases=[Case({"xs": [(2, 3)] * 4}, {"axis": axis}) for axis in (0, 1, -1)],
    )
)


def _register_numpy_stacks() -> None:
    """hstack, vstack and dstack, whose axis depends on the rank."""
    for name, axis, low_rank, low_text in (
        ("hstack", 1, 1, "concat({xs}, axis=0)"),
        ("vstack", 0, 1, "stack({xs})"),
        ("dstack", 2, 2, "stack({xs}, axis=-1)"),
    ):
        np_function = getattr(np, name)
        register(
            OpDef(
                name,
                "xs, *, rank=...",
                f"NumPy's {name} of tensors of one rank.",
                reference=lambda xs, rank=None, np_function=np_function: np_function(xs),
                spellings={
                    "torch": [_join(name)],
                    "tensorflow": [
                        template(f"tf.{low_text}", when={"rank": low_rank}),
                        template(f"tf.concat({{xs}}, axis={axis})"),
                    ],
                    "keras": [
                        template(f"keras.ops.{low_text.replace('concat', 'concatenate')}", when={"rank": low_rank}),
                        template(f"keras.ops.concatenate({{xs}}, axis={axis})"),
                    ],
                },
                cases=[
                    Case({"xs": [(2, 3, 4), (2, 3, 4)]}, {"rank": 3}),
                    Case({"xs": [(2, 3)[-low_rank:]] * 2}, {"rank": low_rank}),
                ],
            )
        )


_register_numpy_stacks()


register(
    OpDef(
        "meshgrid",
        "xs, *, indexing='ij'",
        "The coordinates of a grid, one tensor per axis.",
        layout="none",
        reference=lambda xs, indexing="ij": np.meshgrid(*xs, indexing=indexing),
        spellings={
            "torch": [
                Spelling(
                    "torch.meshgrid",
                    "*tensors, indexing=None",
                    maps={"tensors": "xs", "indexing": values("indexing", {None: "ij", "ij": "ij", "xy": "xy"})},
                )
            ],
            "tensorflow": [Spelling("tf.meshgrid", "*args, indexing='xy'", maps={"args": "xs"})],
            "keras": [keras("meshgrid", "*x, indexing='xy'", maps={"x": "xs"})],
        },
        cases=[Case({"xs": [(2,), (3,)]}), Case({"xs": [(2,), (3,), (4,)]}, {"indexing": "xy"})],
    )
)
