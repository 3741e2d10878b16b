"""Attention over a list of query, value and key: the layers of Keras that have no heads."""

from __future__ import annotations

from typing import Any

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling, Support
from netferry.ops.layer_forms import keras_layer, on_keras, support_layer
from netferry.ops.registry import register, register_support

Array = np.ndarray[Any, Any]

_DOT = '''
class DotAttention(torch.nn.Module):
    """Attention by dot products, over a list of query, value and, if it is another one, key."""

    def __init__(self, use_scale=False):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(())) if use_scale else None

    def forward(self, xs):
        query, value, key = xs if len(xs) == 3 else (*xs, xs[1])
        scores = query @ key.transpose(-2, -1)
        scores = scores if self.scale is None else scores * self.scale
        return scores.softmax(-1) @ value
'''
_ADDITIVE = '''
class AdditiveAttention(torch.nn.Module):
    """Attention by sums, over a list of query, value and, if it is another one, key."""

    def __init__(self, size, use_scale=True):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.randn(size) * size**-0.5) if use_scale else None

    def forward(self, xs):
        query, value, key = xs if len(xs) == 3 else (*xs, xs[1])
        sums = torch.tanh(query.unsqueeze(-2) + key.unsqueeze(-3))
        scores = (sums if self.scale is None else sums * self.scale).sum(-1)
        return scores.softmax(-1) @ value
'''
register_support(Support("DotAttention", {"torch": _DOT}))
register_support(Support("AdditiveAttention", {"torch": _ADDITIVE}))


def _weighted(scores: Array, value: Array) -> Array:
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ value  # type: ignore[no-any-return]


def _parts(xs: list[Array]) -> tuple[Array, Array, Array]:
    return xs[0], xs[1], xs[2] if len(xs) == 3 else xs[1]


def _dot(xs: list[Array], *, scale: Any = 1.0, **unused: Any) -> Array:
    query, value, key = _parts(xs)
    return _weighted(query @ key.swapaxes(-2, -1) * scale, value)


def _additive(xs: list[Array], *, scale: Any = 1.0, **unused: Any) -> Array:
    query, value, key = _parts(xs)
    return _weighted((scale * np.tanh(query[..., None, :] + key[..., None, :, :])).sum(-1), value)


def _spelled(name: str, signature: str, **options: Any) -> Any:
    def in_keras(package: str) -> list[Spelling]:
        return [
            keras_layer(
                package, name, signature, maps={"inputs": "xs"}, ignore=("seed",), params={"scale": options["layout"]},
                fixed={"dropout": 0.0, **options.get("fixed", {})},
            )
        ]  # fmt: skip

    return on_keras(in_keras)


register(
    OpDef(
        "dot_attention",
        "xs, *, use_scale=False",
        "Attention by dot products over a list of query, value and key.",
        reference=_dot,
        params={"scale": ""},
        optional={"scale": "use_scale"},
        spellings={
            "torch": [
                support_layer("DotAttention", "use_scale=False", params={"scale": "scale:"}, maps={"x": "xs"}, positional=1)
            ],
            **_spelled(
                "Attention", "use_scale=False, score_mode='dot', dropout=0.0, seed=None", layout="scale:",
                fixed={"score_mode": "dot"},
            ),
        },
        cases=[Case({"xs": [(2, 3, 4), (2, 5, 4)]}), Case({"xs": [(2, 3, 4), (2, 5, 6), (2, 5, 4)]})],
    )
)  # fmt: skip
register(
    OpDef(
        "additive_attention",
        "xs, *, in_features=..., use_scale=True",
        "Attention by sums over a list of query, value and key.",
        reference=_additive,
        params={"scale": "D"},
        optional={"scale": "use_scale"},
        spellings={
            "torch": [
                support_layer(
                    "AdditiveAttention",
                    "size, use_scale=True",
                    params={"scale": "scale: D"},
                    maps={"x": "xs", "size": "in_features"},
                    positional=1,
                )
            ],
            **_spelled("AdditiveAttention", "use_scale=True, dropout=0.0, seed=None", layout="scale: D"),
        },
        cases=[Case({"xs": [(2, 3, 4), (2, 5, 4)]}, {"in_features": 4})],
    )
)
