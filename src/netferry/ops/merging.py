"""Layers that merge a list of tensors into one, and small layers that rescale or repeat."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling, Support
from netferry.ops.forms import supported, template
from netferry.ops.layer_forms import keras_layer, on_keras, support_layer
from netferry.ops.registry import register, register_support

Array = np.ndarray[Any, Any]
_XS = {"inputs": "xs"}
_IN_JAX = {
    "average": "sum({xs}) / len({xs})",
    "maximum": "functools.reduce(jax.numpy.maximum, {xs})",
    "minimum": "functools.reduce(jax.numpy.minimum, {xs})",
}
"""What JAX says otherwise than Python's own functions do."""


def _register(name: str, keras_name: str, doc: str, function: str, reference: Callable[..., Array]) -> None:
    """One merging layer; ``function`` is what PyTorch computes of the list ``xs``."""
    code = f'''
class {keras_name}(torch.nn.Module):
    """{doc}"""

    def forward(self, xs):
        return {function.format(xs="xs")}
'''
    register_support(Support(keras_name, {"torch": code}))
    lower = keras_name.lower()

    def spellings(package: str) -> list[Spelling]:
        return [
            keras_layer(package, keras_name, maps=_XS),
            Spelling(f"{package}.layers.{lower}", "inputs, **kwargs", maps=_XS, ignore=("kwargs",)),
        ]

    register(
        OpDef(
            f"merge_{name}",
            "xs",
            doc,
            layout="elementwise",
            reference=reference,
            spellings={
                "torch": [support_layer(keras_name, maps={"x": "xs"}), template(function)],
                **on_keras(spellings),
                "flax": [template(_IN_JAX.get(name, function))],
            },
            cases=[Case({"xs": [(2, 3, 4)] * (2 if name == "subtract" else 3)})],
        )
    )


for _name, _layer, _doc, _function, _reference in (
    ("add", "Add", "The sum of tensors.", "sum({xs})", sum),
    ("multiply", "Multiply", "The product of tensors.", "math.prod({xs})", lambda xs: functools.reduce(np.multiply, xs)),
    ("subtract", "Subtract", "The difference of two tensors.", "{xs}[0] - {xs}[1]", lambda xs: xs[0] - xs[1]),
    (
        "average", "Average", "The mean of tensors.", "torch.stack(torch.broadcast_tensors(*{xs})).mean(0)",
        lambda xs: sum(xs) / len(xs),
    ),
    (
        "maximum", "Maximum", "The largest of tensors, element by element.",
        "torch.stack(torch.broadcast_tensors(*{xs})).amax(0)", lambda xs: functools.reduce(np.maximum, xs),
    ),
    (
        "minimum", "Minimum", "The smallest of tensors, element by element.",
        "torch.stack(torch.broadcast_tensors(*{xs})).amin(0)", lambda xs: functools.reduce(np.minimum, xs),
    ),
):  # fmt: skip
    _register(_name, _layer, _doc, _function, _reference)  # type: ignore[arg-type]


register_support(
    Support(
        "Rescaling",
        {
            "torch": '''
class Rescaling(torch.nn.Module):
    """Multiplies by a factor and adds an offset."""

    def __init__(self, scale, offset=0.0):
        super().__init__()
        self.scale = scale
        self.offset = offset

    def forward(self, x):
        return x * self.scale + self.offset
'''
        },
    )
)
register(
    OpDef(
        "rescaling",
        "x, *, scale, offset=0.0",
        "Multiplies by a factor and adds an offset.",
        layout="elementwise",
        reference=lambda x, scale, offset=0.0: x * scale + offset,
        spellings={
            "torch": [
                support_layer("Rescaling", "scale, offset=0.0", positional=2),
                template("{x} * {scale}", when={"offset": 0.0}),
                template("{x} * {scale} + {offset}"),
            ],
            **on_keras(lambda package: [keras_layer(package, "Rescaling", "scale, offset=0.0")]),
            "flax": [template("{x} * {scale}", when={"offset": 0.0}), template("{x} * {scale} + {offset}")],
        },
        cases=[Case({"x": (2, 3)}, {"scale": 0.5}), Case({"x": (2, 3)}, {"scale": 0.5, "offset": -1.0})],
    )
)
register_support(Support("rescale_channels", {"torch": '''
def rescale_channels(x, scale, offset=0.0):
    """Multiply each channel by a factor of its own and add an offset."""
    shape = (-1,) + (1,) * (x.ndim - 2)
    return x * x.new_tensor(scale).view(shape) + x.new_tensor(offset).view(shape)
'''}))  # fmt: skip
register_support(Support("ChannelRescaling", {"torch": '''
class ChannelRescaling(torch.nn.Module):
    """Multiplies each channel by a factor of its own and adds an offset."""

    def __init__(self, scale, offset=0.0):
        super().__init__()
        self.scale = scale
        self.offset = offset

    def forward(self, x):
        return rescale_channels(x, self.scale, self.offset)
'''}, ("rescale_channels",)))  # fmt: skip


def _each_channel(x: Array, scale: Any, offset: Any = 0.0) -> Array:
    factors, added = (np.reshape(v, (-1, *[1] * (x.ndim - 2))) for v in (scale, offset))
    found: Array = x * factors + added
    return found


register(
    OpDef(
        "channel_rescaling",
        "x, *, scale, offset=0.0",
        "Multiplies each channel by a factor of its own and adds an offset.",
        layout="channels",
        reference=_each_channel,
        spellings={
            "torch": [
                support_layer("ChannelRescaling", "scale, offset=0.0", positional=2),
                supported("rescale_channels", "x, scale, offset=0.0", positional=3),
            ],
            "flax": [
                template("{x} * jax.numpy.array({scale})", when={"offset": 0.0}),
                template("{x} * jax.numpy.array({scale}) + jax.numpy.array({offset})"),
            ],
        },
        cases=[Case({"x": (2, 3, 4)}, {"scale": [0.5, 2.0, 1.5], "offset": [1.0, 0.0, -0.5]})],
    )
)
register_support(
    Support(
        "Repeat",
        {
            "torch": '''
class Repeat(torch.nn.Module):
    """Repeats each vector of a batch: (batch, features) -> (batch, times, features)."""

    def __init__(self, times):
        super().__init__()
        self.times = times

    def forward(self, x):
        return x.unsqueeze(1).expand(-1, self.times, -1)
'''
        },
    )
)
register(
    OpDef(
        "repeat_vector",
        "x, *, times",
        "Repeats each vector of a batch along a new axis.",
        reference=lambda x, times: np.repeat(x[:, None], times, 1),
        spellings={
            "torch": [support_layer("Repeat", "times"), template("{x}.unsqueeze(1).expand(-1, {times}, -1)")],
            **on_keras(lambda package: [keras_layer(package, "RepeatVector", "n", maps={"n": "times"})]),
            "flax": [template("jax.numpy.repeat({x}[:, None], {times}, axis=1)")],
        },
        cases=[Case({"x": (2, 3)}, {"times": 4})],
    )
)
