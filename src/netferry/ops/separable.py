"""Separable convolutions: of every channel by itself, and then of the channels at each place."""

from __future__ import annotations

from typing import Any

import numpy as np

from netferry.ops.conv import FLAX_PADDING, conv_reference, kernel_axes, ones
from netferry.ops.core import Case, Conversion, OpDef, Spelling, Support
from netferry.ops.jax_forms import nnx_support
from netferry.ops.layer_forms import keras_layer, on_keras
from netferry.ops.registry import register, register_support

Array = np.ndarray[Any, Any]
_PADDING = Conversion("padding", {"valid": "valid", "same": "same"}, {"valid": "valid", "same": "same"})


def _reference(n: int) -> Any:
    def reference(
        x: Array, *, depthwise: Array, pointwise: Array, bias: Array | None = None, padding: Any = "valid",
        stride: Any = 1, dilation: Any = 1, **unused: Any,
    ) -> Array:  # fmt: skip
        axes = (n, n + 1, *range(n))
        kernel = depthwise.transpose(axes)
        kernel = kernel.reshape(-1, 1, *kernel.shape[2:])
        x = conv_reference(
            x, kernel, padding=0 if padding == "valid" else padding, stride=stride, dilation=dilation, groups=x.shape[1]
        )
        return conv_reference(x, pointwise.transpose(n + 1, n, *range(n)), bias)

    return reference


register_support(Support("SeparableConv", {"flax": '''
class SeparableConv(flax.nnx.Module):
    """A convolution of every channel by itself, then one of the channels at each place."""

    def __init__(
        self, in_features, out_features, kernel_size, strides=1, *, padding="SAME", kernel_dilation=1, multiplier=1,
        use_bias=True, rngs
    ):
        depth = in_features * multiplier
        self.depthwise = flax.nnx.Conv(
            in_features, depth, kernel_size, strides, padding=padding, kernel_dilation=kernel_dilation,
            feature_group_count=in_features, use_bias=False, rngs=rngs
        )
        self.pointwise = flax.nnx.Conv(depth, out_features, (1,) * len(kernel_size), use_bias=use_bias, rngs=rngs)

    def __call__(self, x):
        return self.pointwise(self.depthwise(x))
'''}))  # fmt: skip


def _flax(n: int) -> Spelling:
    axes, single = kernel_axes(n), " ".join("1" for _ in range(n))
    return nnx_support(
        "SeparableConv",
        "in_features, out_features, kernel_size, strides=1, *, padding='SAME', kernel_dilation=1, multiplier=1, use_bias=True",
        maps={
            "in_features": "in_channels",
            "out_features": "out_channels",
            "strides": "stride",
            "padding": FLAX_PADDING,
            "kernel_dilation": "dilation",
        },
        params={
            "depthwise.kernel": f"depthwise: {axes} 1 (I M)",
            "pointwise.kernel": f"pointwise: {single} Q O",
            "pointwise.bias": "bias: O",
        },
        kinds={"kernel_size": f"axes{n}"},
        positional=3,
    )


def _register(n: int) -> None:
    name = f"SeparableConv{n}d"
    plain = f"torch.nn.Conv{n}d"
    code = f'''
class {name}(torch.nn.Module):
    """A convolution of every channel by itself, then one of the channels at each place."""

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding="valid", dilation=1, multiplier=1, bias=True
    ):
        super().__init__()
        layer = Conv{n}dSame if padding == "same" and stride not in (1, (1,) * {n}) else {plain}
        depth = in_channels * multiplier
        self.depthwise = layer(
            in_channels, depth, kernel_size, stride, padding, dilation, groups=in_channels, bias=False
        )
        self.pointwise = {plain}(depth, out_channels, 1, bias=bias)

    def forward(self, x):
        return self.pointwise(self.depthwise(x))
'''
    code = code.replace(
        "        depth = in", f'        padding = "valid" if layer is Conv{n}dSame else padding\n        depth = in'
    )
    register_support(Support(name, {"torch": code}, (f"Conv{n}dSame",)))
    axes = kernel_axes(n)
    single = " ".join("1" for _ in range(n))
    one = ones(n)

    def in_keras(package: str) -> list[Spelling]:
        return [
            keras_layer(
                package,
                f"SeparableConv{n}D",
                f"filters, kernel_size, strides={one}, padding='valid', data_format=None, dilation_rate={one}, "
                "depth_multiplier=1, activation=None, use_bias=True, depthwise_initializer='glorot_uniform', "
                "pointwise_initializer='glorot_uniform', bias_initializer='zeros'",
                maps={
                    "filters": "out_channels", "strides": "stride", "padding": _PADDING, "dilation_rate": "dilation",
                    "depth_multiplier": "multiplier",
                },
                ignore=("depthwise_initializer", "pointwise_initializer", "bias_initializer"),
                params={
                    "depthwise_kernel": f"depthwise: {axes} I M", "pointwise_kernel": f"pointwise: {single} Q O",
                    "bias": "bias: O",
                },
            )
        ]  # fmt: skip

    torch = Spelling(
        name,
        "in_channels, out_channels, kernel_size, stride=1, padding='valid', dilation=1, multiplier=1, bias=True",
        maps={"bias": "use_bias"},
        call="x",
        params={
            "depthwise.weight": f"depthwise: (I M) 1 {axes}", "pointwise.weight": f"pointwise: O Q {single}",
            "pointwise.bias": "bias: O",
        },
        support=name,
        layer=True,
        read=False,
        positional=3,
    )  # fmt: skip
    base = {"in_channels": 4, "out_channels": 5, "kernel_size": 3}
    shape = (2, 4, 9, 7)[: n + 2]
    register(
        OpDef(
            f"separable_conv{n}d",
            "x, *, in_channels=..., out_channels, kernel_size, stride=1, padding='valid', dilation=1, multiplier=1, use_bias=True",
            f"A depthwise convolution over {n} spatial dimensions and one of the channels at each place.",
            layout="channels",
            reference=_reference(n),
            params={"depthwise": f"{axes} I M", "pointwise": f"{single} Q O", "bias": "O"},
            optional={"bias": "use_bias"},
            sizes={"M": "multiplier"},
            spellings={"torch": [torch], **on_keras(in_keras), "flax": [_flax(n)]},
            cases=[Case({"x": shape}, base), Case({"x": shape}, base | {"padding": "same", "multiplier": 2})],
        )
    )


for _n in (1, 2):
    _register(_n)
