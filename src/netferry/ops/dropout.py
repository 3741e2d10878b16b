"""Dropout, as layers and as functions."""

from __future__ import annotations

from typing import Any

from netferry.ops.core import Case, OpDef, Spelling
from netferry.ops.forms import template
from netferry.ops.registry import register

_KERAS = {"tensorflow": "tf.keras", "keras": "keras"}
_CALL = {"tensorflow": "tf.nn.dropout({x}, {rate})", "keras": "keras.random.dropout({x}, {rate})"}


def _layer(name: str, path: str, keras: str, doc: str, extra: str = "seed=None, name=None, dtype=None") -> None:
    register(OpDef(
        name, "x, *, rate=0.5", doc, layout="dropout", reference=lambda x, **_: x, stochastic=True,
        spellings={
            "torch": [Spelling(f"torch.nn.{path}", "p=0.5, inplace=False", {"p": "rate", "input": "x"}, ignore=("inplace",), layer=True, call="input")],
            **{f: [Spelling(f"{k}.layers.{keras}", f"rate, {extra}", {"inputs": "x"}, ignore=("seed", "name", "dtype", "noise_shape"), layer=True, call="inputs")]
               for f, k in _KERAS.items()},
        },
        cases=[Case({"x": (2, 3, 4, 5)[: 4 if "2" in name else 3]}, {"rate": 0.3})],
    ))  # fmt: skip


_layer("dropout", "Dropout", "Dropout", "Sets values to zero at random in training, and scales up the rest.", "noise_shape=None, seed=None")
_layer("alpha_dropout", "AlphaDropout", "AlphaDropout", "Dropout that keeps mean and variance of SELU networks.", "noise_shape=None, seed=None")
for _n in (1, 2, 3):
    _layer(f"dropout{_n}d", f"Dropout{_n}d", f"SpatialDropout{_n}D", "Drops whole channels.")


def _functional(name: str, *paths: str) -> None:
    register(OpDef(
        name, "x, *, rate=0.5, training=True", "Dropout as a function; ``training`` switches it.", layout="dropout",
        reference=lambda x, **_: x, stochastic=True,
        spellings={
            "torch": [Spelling(f"torch.{p}", "input, p=0.5, training=True, inplace=False", {"input": "x", "p": "rate"}, ignore=("inplace",), write=i == 0)
                      for i, p in enumerate(paths)],
            **{f: [template(c, when={"training": True}), template(c + " if {training} else {x}")] for f, c in _CALL.items()},
        },
    ))  # fmt: skip


_functional("dropout_function", "nn.functional.dropout", "dropout")


def channel_noise(n: int) -> Any:
    """Drops channels in the function form: one decision per sample and channel."""
    shape = {"tensorflow": "(tf.shape({x})[0], *[1] * %d, {x}.shape[-1])" % n, "keras": "(keras.ops.shape({x})[0], *[1] * %d, {x}.shape[-1])" % n}
    register(OpDef(
        f"dropout{n}d_function", "x, *, rate=0.5, training=True", "Drops whole channels; ``training`` switches it.", layout="channels",
        reference=lambda x, **_: x, stochastic=True,
        spellings={
            "torch": [Spelling(f"torch.nn.functional.dropout{n}d", "input, p=0.5, training=True, inplace=False", {"input": "x", "p": "rate"}, ignore=("inplace",))],
            "tensorflow": [template("tf.nn.dropout({x}, {rate}, noise_shape=%s) if {training} else {x}" % shape["tensorflow"])],
            "keras": [template("keras.random.dropout({x}, {rate}, noise_shape=%s) if {training} else {x}" % shape["keras"])],
        },
    ))  # fmt: skip
    return None


for _n in (1, 2, 3):
    channel_noise(_n)
