"""Dropout of single values and of whole channels, as layers and as functions."""

from __future__ import annotations

from typing import Any

from netferry.ops.core import Case, OpDef, Spelling, Support
from netferry.ops.forms import supported, template
from netferry.ops.jax_forms import nnx_layer, nnx_support
from netferry.ops.layer_forms import functional, keras_layer, on_keras, support_layer, torch_layer
from netferry.ops.registry import register, register_support
from netferry.ops.shared import keras_support

_CALLS = {"tensorflow": "tf.nn.dropout", "keras": "keras.random.dropout"}
_SHAPES = {"tensorflow": "tf.shape", "keras": "keras.ops.shape"}


_BY_MODE = ("training",)
"""Layers know by themselves whether the network is being trained."""


def _reference(x: Any, **unused: Any) -> Any:
    """What dropout does outside training."""
    return x


def _layer(name: str, **options: Any) -> list[Spelling]:
    return [
        torch_layer(name, "p=0.5, inplace=False", maps={"p": "rate"}, ignore=("inplace",), silent=_BY_MODE, **options)
    ]


def _function(name: str, training: bool, **options: Any) -> Spelling:
    signature = f"p=0.5, training={training}, inplace=False"
    return functional(name, signature, maps={"p": "rate"}, ignore=("inplace",), **options)


def _of_samples(noise_shape: Any) -> bool:
    """Whether a sample is kept or dropped as a whole."""
    return isinstance(noise_shape, tuple) and noise_shape[:1] == (None,) and set(noise_shape[1:]) == {1}


register_support(
    Support(
        "StochasticDepth",
        {
            "torch": '''
class StochasticDepth(torch.nn.Module):
    """Drops whole samples at random in training, and scales up the others."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training:
            return x
        keep = x.new_empty(x.shape[0], *[1] * (x.ndim - 1)).bernoulli_(1 - self.p)
        return x * keep / (1 - self.p)
'''
        },
    )
)


def _calls(framework: str, noise_shape: str = "") -> list[Spelling]:
    """The function with a rate of zero outside training, which leaves the values alone."""
    tail = f", noise_shape={noise_shape})" if noise_shape else ")"
    call = f"{_CALLS[framework]}({{x}}, {{rate}}"
    return [
        template(call + tail, when={"training": True}),
        template("{x}", when={"training": False}, silent=("rate", "noise_shape")),
        template(f"{call} if {{training}} else 0.0{tail}"),
    ]


def _flax_calls(dims: str) -> list[Spelling]:
    """NNX's layer, made where it is called."""
    made = f"flax.nnx.Dropout({{rate}}{dims}, deterministic=DETERMINISTIC, rngs=rngs)({{x}})"
    return [
        template(made.replace("DETERMINISTIC", "False"), when={"training": True}),
        template("{x}", when={"training": False}, silent=("rate", "noise_shape")),
        template(made.replace("DETERMINISTIC", "not {training}")),
    ]


def _flax_samples() -> list[Spelling]:
    """NNX's layer, which drops a sample as a whole where all axes but the batch's share what they draw."""
    return [
        template(
            f"flax.nnx.Dropout({{rate}}, broadcast_dims={tuple(range(1, rank))}, rngs=rngs)",
            layer=True,
            call="inputs",
            maps={"inputs": "x"},
            silent=(*_BY_MODE, "noise_shape"),
            when={"noise_shape": (None, *[1] * (rank - 1))},
        )
        for rank in (2, 3, 4, 5)
    ]


def _in_keras(package: str, name: str, signature: str, *ignored: str) -> list[Spelling]:
    return [keras_layer(package, name, signature, ignore=(*ignored, "seed"), silent=_BY_MODE)]


_UNSEEDED: dict[str, Any] = {"fixed": {"noise_shape": None}, "ignore": ("seed", "name"), "write": False}
_READ = {
    "tensorflow": [Spelling("tf.nn.dropout", "x, rate, noise_shape=None, seed=None, name=None", **_UNSEEDED)],
    "keras": [
        Spelling("keras.random.dropout", "inputs, rate, noise_shape=None, seed=None", maps={"inputs": "x"}, **_UNSEEDED)
    ],
}
_OUTSIDE_TRAINING = {"rate": 0.3, "training": False}
_LAYERS = on_keras(lambda package: _in_keras(package, "Dropout", "rate, noise_shape=None, seed=None"))
register(
    OpDef(
        "dropout",
        "x, *, rate=0.5, training=True, noise_shape=None",
        "Sets random values to zero in training, and scales up the others; those along axes of noise 1 together.",
        layout="dropout",
        reference=_reference,
        spellings={
            "torch": [
                *_layer("Dropout", when={"noise_shape": None}),
                support_layer(
                    "StochasticDepth", "p", positional=1, maps={"p": "rate"}, when={"noise_shape": _of_samples}
                ),
                _function("dropout", training=True, when={"noise_shape": None}),
                Spelling(
                    "torch.dropout",
                    "input, p, train",
                    maps={"input": "x", "p": "rate", "train": "training"},
                    write=False,
                ),
            ],
            **{framework: [*_LAYERS[framework], *_calls(framework), *_READ[framework]] for framework in _CALLS},
            "flax": [
                nnx_layer("Dropout", "rate, *, broadcast_dims=()", fixed={"broadcast_dims": ()}, silent=_BY_MODE),
                *_flax_samples(),
                *_flax_calls(""),
            ],
        },
        cases=[Case({"x": (2, 3, 4)}, _OUTSIDE_TRAINING)],
    )
)


def _flax_channels(n: int) -> list[Spelling]:
    made = f"flax.nnx.Dropout({{rate}}, broadcast_dims={tuple(range(1, n + 1))}, rngs=rngs)"
    return [template(made, layer=True, call="inputs", maps={"inputs": "x"}, silent=_BY_MODE)]


def _register_channels(n: int) -> None:
    """Dropout of whole channels."""
    layers = on_keras(
        lambda package: _in_keras(
            package, f"SpatialDropout{n}D", "rate, seed=None" if n == 1 else "rate, data_format=None, seed=None"
        )
    )
    ones = "".join(["1, "] * n)
    shapes = {f: f"({shape}({{x}})[0], {ones}{shape}({{x}})[-1])" for f, shape in _SHAPES.items()}
    register(
        OpDef(
            f"dropout{n}d",
            "x, *, rate=0.5, training=True",
            "Sets random channels to zero in training, and scales up the others.",
            layout="channels",
            reference=_reference,
            spellings={
                "torch": [*_layer(f"Dropout{n}d"), _function(f"dropout{n}d", training=True)],
                **{f: [*layers[f], *_calls(f, shapes[f])] for f in _CALLS},
                "flax": [*_flax_channels(n), *_flax_calls(f", broadcast_dims={tuple(range(1, n + 1))}")],
            },
            cases=[Case({"x": (2, 3, 4, 5, 6)[: n + 2]}, _OUTSIDE_TRAINING)],
        )
    )


for _n in (1, 2, 3):
    _register_channels(_n)

keras_support(
    "alpha_dropout",
    '''
def alpha_dropout(x, rate, training=False):
    """Dropout that keeps mean and variance of what a SELU gives: dropped values become its lowest one."""
    if not training or rate == 0:
        return x
    lowest = -1.7580993408473766
    kept = keras.random.uniform(keras.ops.shape(x), dtype=x.dtype) >= rate
    scale = ((1 - rate) * (1 + rate * lowest**2)) ** -0.5
    return scale * keras.ops.where(kept, x, lowest) - scale * lowest * rate
''',
)
register_support(Support("AlphaDropout", {"flax": '''
class AlphaDropout(flax.nnx.Module):
    """Dropout that keeps mean and variance of what a SELU gives: dropped values become its lowest one."""

    deterministic: bool = False

    def __init__(self, rate, *, rngs):
        self.rate = rate
        self.rngs = rngs

    def __call__(self, x):
        if self.deterministic or self.rate == 0:
            return x
        lowest = -1.7580993408473766
        kept = jax.random.bernoulli(self.rngs.dropout(), 1 - self.rate, x.shape)
        scale = ((1 - self.rate) * (1 + self.rate * lowest**2)) ** -0.5
        return scale * jax.numpy.where(kept, x, lowest) - scale * lowest * self.rate
'''}))  # fmt: skip
_ALPHA = on_keras(
    lambda package: [
        *_in_keras(package, "AlphaDropout", "rate, noise_shape=None, seed=None", "noise_shape"),
        supported("alpha_dropout", "x, rate, training=False", positional=2),
    ]
)
register(
    OpDef(
        "alpha_dropout",
        "x, *, rate=0.5, training=False",
        "Dropout that keeps mean and variance of what a SELU gives.",
        layout="dropout",
        reference=_reference,
        spellings={
            "torch": [*_layer("AlphaDropout"), _function("alpha_dropout", training=False)],
            **_ALPHA,
            "flax": [nnx_support("AlphaDropout", "rate")],
        },
        cases=[Case({"x": (2, 3, 4)}, {"rate": 0.3})],
    )
)
