"""Convolutions and transposed convolutions in one to three dimensions, as layers and as functions."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling
from netferry.ops.registry import register

KERAS = {"tensorflow": "tf.keras", "keras": "keras"}
_KERAS_REST = (
    "data_format=None, dilation_rate=1, groups=1, activation=None, use_bias=True, kernel_initializer='glorot_uniform', "
    "bias_initializer='zeros', kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None, "
    "kernel_constraint=None, bias_constraint=None"
)
_NO_MEANING = (
    "kernel_initializer", "bias_initializer", "depthwise_initializer", "kernel_regularizer", "bias_regularizer",
    "depthwise_regularizer", "activity_regularizer", "kernel_constraint", "bias_constraint", "depthwise_constraint", "name", "dtype",
)  # fmt: skip


def each(value: Any, n: int) -> tuple[int, ...]:
    """A number for every dimension, or the tuple given."""
    return tuple(value) if isinstance(value, list | tuple) else (value,) * n


def axes(n: int) -> str:
    """The kernel's axis names: ``K1 K2``."""
    return " ".join(f"K{i + 1}" for i in range(n))


def conv(n: int, x: Any, weight: Any, bias: Any = None, **a: Any) -> Any:
    """The sum over channels and kernel positions, written out (float64 reference)."""
    stride, dilation = each(a.get("stride", 1), n), each(a.get("dilation", 1), n)
    groups, padding = a.get("groups", 1), a.get("padding", 0)
    kernel = weight.shape[2:]
    span = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if padding == "same":
        pads = [(s // 2, s - s // 2) for s in span]
    else:
        pads = [(p, p) for p in each(0 if padding == "valid" else padding, n)]
    x = np.pad(x, [(0, 0), (0, 0), *pads])
    size = [(x.shape[2 + i] - span[i] - 1) // stride[i] + 1 for i in range(n)]
    out = np.zeros((x.shape[0], weight.shape[0], *size))
    inside, outside = weight.shape[1], weight.shape[0] // groups
    for at in product(*map(range, kernel)):
        index = tuple(slice(at[i] * dilation[i], at[i] * dilation[i] + stride[i] * (size[i] - 1) + 1, stride[i]) for i in range(n))
        for g in range(groups):
            part = x[(slice(None), slice(g * inside, (g + 1) * inside), *index)]
            taps = weight[(slice(g * outside, (g + 1) * outside), slice(None), *at)]
            out[:, g * outside : (g + 1) * outside] += np.einsum("bi...,oi->bo...", part, taps)
    return out if bias is None else out + bias.reshape(1, -1, *[1] * n)


def conv_transpose(n: int, x: Any, weight: Any, bias: Any = None, **a: Any) -> Any:
    """Every input spreads its kernel over the output (float64 reference)."""
    stride, dilation = each(a.get("stride", 1), n), each(a.get("dilation", 1), n)
    padding, extra = each(a.get("padding", 0), n), each(a.get("output_padding", 0), n)
    kernel = weight.shape[2:]
    full = [(x.shape[2 + i] - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1 for i in range(n)]
    out = np.zeros((x.shape[0], weight.shape[1], *[f + e for f, e in zip(full, extra, strict=True)]))
    for at in product(*map(range, kernel)):
        index = tuple(slice(at[i] * dilation[i], at[i] * dilation[i] + stride[i] * (x.shape[2 + i] - 1) + 1, stride[i]) for i in range(n))
        out[(slice(None), slice(None), *index)] += np.einsum("bi...,io->bo...", x, weight[(slice(None), slice(None), *at)])
    out = out[(slice(None), slice(None), *[slice(p, s - p) for p, s in zip(padding, out.shape[2:], strict=True)])]
    return out if bias is None else out + bias.reshape(1, -1, *[1] * n)


def _torch_layer(n: int, name: str, extra: str = "") -> Spelling:
    signature = "in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True, padding_mode='zeros'"
    if extra:
        signature = f"in_channels, out_channels, kernel_size, stride=1, padding=0, {extra}, groups=1, bias=True, dilation=1, padding_mode='zeros'"
    return Spelling(
        f"torch.nn.{name}", f"{signature}, device=None, dtype=None", {"bias": "use_bias"}, ignore=("device", "dtype"),
        fixed={"padding_mode": "zeros"}, layer=True, call="input" if not extra else "input, output_size=None",
        params={"weight": f"weight: {'I O' if extra else 'O I'} {axes(n)}", "bias": "bias: O"}, positional=3,
    )  # fmt: skip


def _with_input(spelling: Spelling) -> Spelling:
    return replace(spelling, maps={**spelling.maps, "input": "x", "inputs": "x"})


def _lazy(spelling: Spelling, name: str) -> Spelling:
    signature = spelling.signature.replace("in_channels, ", "", 1)
    return replace(spelling, path=f"torch.nn.{name}", signature=signature, write=False)


def _keras_layer(framework: str, name: str, n: int, params: dict[str, str], signature: str = "", **options: Any) -> Spelling:
    signature = signature or f"filters, kernel_size, strides=1, padding='valid', {_KERAS_REST}"
    return Spelling(
        f"{KERAS[framework]}.layers.{name}", signature, options.pop("maps"), ignore=_NO_MEANING, call="inputs", layer=True,
        fixed={"data_format": None, "activation": None}, params=params, positional=1 if name.startswith("Depth") else 2, **options,
    )  # fmt: skip


_LAYER_MAPS = {"filters": "out_channels", "strides": "stride", "dilation_rate": "dilation", "inputs": "x"}
_OPS_MAPS = {"inputs": "x", "kernel": "weight", "strides": "stride", "dilation_rate": "dilation"}


def _functional(n: int) -> dict[str, list[Spelling]]:
    perm = tuple([*range(2, n + 2), 1, 0])
    moved = {"tensorflow": "tf.transpose({weight}, perm=%s)" % (perm,), "keras": "keras.ops.transpose({weight}, %s)" % (perm,)}
    made: dict[str, list[Spelling]] = {
        "torch": [Spelling(f"torch.nn.functional.conv{n}d", "input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1", {"input": "x"}),
                  Spelling(f"torch.conv{n}d", "input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1", {"input": "x"}, write=False)],
    }  # fmt: skip
    for framework, call in (("tensorflow", "tf.nn.convolution({x}, %s, strides={stride}, padding={padding}, dilations={dilation})"),
                            ("keras", "keras.ops.conv({x}, %s, strides={stride}, padding={padding}, dilation_rate={dilation})")):  # fmt: skip
        made[framework] = [Spelling("", template=call % moved[framework], read=False)]
    return made


def _conv(n: int) -> None:
    torch_layer = _with_input(_torch_layer(n, f"Conv{n}d"))
    params = {"kernel": f"weight: {axes(n)} I O", "bias": "bias: O"}
    size = (2, 4, 9, 7, 6)[: n + 2]
    cases = [
        Case({"x": size}, {"in_channels": 4, "out_channels": 6, "kernel_size": k, **more})
        for k, more in (
            (3, {}), (3, {"padding": 1}), (3, {"stride": 2, "padding": 1}), (2, {"stride": 2, "use_bias": False}),
            (5, {"padding": 2, "stride": 1}), (3, {"dilation": 2, "padding": 2}), (3, {"groups": 2}), (3, {"padding": "same"}),
        )
    ]  # fmt: skip
    register(OpDef(
        f"conv{n}d",
        "x, *, in_channels=..., out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, use_bias=True",
        f"Convolution over {n} spatial dimensions with zero padding.", layout="channels",
        reference=lambda x, *, weight, bias=None, **a: conv(n, x, weight, bias, **a),
        params={"weight": f"O I {axes(n)}", "bias": "O"}, optional={"bias": "use_bias"},
        spellings={
            "torch": [torch_layer, _lazy(torch_layer, f"LazyConv{n}d")],
            **{f: [_keras_layer(f, f"Conv{n}D", n, params, maps=_LAYER_MAPS)] for f in KERAS},
        },
        cases=cases,
    ))  # fmt: skip
    register(OpDef(
        f"conv{n}d_with", "x, weight, bias=None, *, stride=1, padding=0, dilation=1, groups=1",
        f"Convolution over {n} spatial dimensions with a kernel given as a tensor.", layout="channels",
        reference=lambda x, weight, bias=None, **a: conv(n, x, weight, bias, **a), spellings=_functional(n),
        cases=[Case({"x": size, "weight": (6, 4, *[3] * n)}, {"padding": 0}), Case({"x": size, "weight": (6, 4, *[3] * n)}, {"padding": 1, "stride": 1})],
    ))  # fmt: skip


def _depthwise(n: int) -> None:
    signature = (
        "kernel_size, strides=1, padding='valid', depth_multiplier=1, data_format=None, dilation_rate=1, activation=None, "
        "use_bias=True, depthwise_initializer='glorot_uniform', bias_initializer='zeros', depthwise_regularizer=None, "
        "bias_regularizer=None, activity_regularizer=None, depthwise_constraint=None, bias_constraint=None"
    )
    maps = {"strides": "stride", "dilation_rate": "dilation", "inputs": "x"}
    params = {"kernel": f"weight: {axes(n)} I M", "bias": "bias: O"}

    def reference(x: Any, *, weight: Any, bias: Any = None, depth_multiplier: int = 1, **a: Any) -> Any:
        return conv(n, x, weight, bias, **(a | {"groups": x.shape[1]}))

    register(OpDef(
        f"depthwise_conv{n}d",
        "x, *, kernel_size, stride=1, padding=0, depth_multiplier=1, dilation=1, use_bias=True, in_channels=...",
        "Convolution of every channel with kernels of its own.", layout="channels", reference=reference,
        params={"weight": f"(I M) 1 {axes(n)}", "bias": "O"}, optional={"bias": "use_bias"},
        spellings={f: [_keras_layer(f, f"DepthwiseConv{n}D", n, params, signature, maps=maps)] for f in KERAS},
    ))  # fmt: skip


def _transposed(n: int) -> None:
    signature = (
        "filters, kernel_size, strides=1, padding='valid', data_format=None, dilation_rate=1, activation=None, "
        "use_bias=True, kernel_initializer='glorot_uniform', bias_initializer='zeros', kernel_regularizer=None, "
        "bias_regularizer=None, activity_regularizer=None, kernel_constraint=None, bias_constraint=None"
    )
    torch_layer = _with_input(_torch_layer(n, f"ConvTranspose{n}d", "output_padding=0"))
    torch_layer = replace(torch_layer, fixed={"padding_mode": "zeros", "output_size": None, "groups": 1})
    params = {"kernel": f"weight: {axes(n)} O I", "bias": "bias: O"}
    size = (2, 4, 5, 6, 3)[: n + 2]
    register(OpDef(
        f"conv_transpose{n}d",
        "x, *, in_channels=..., out_channels, kernel_size, stride=1, padding=0, output_padding=0, dilation=1, use_bias=True",
        f"Transposed convolution over {n} spatial dimensions; ``padding`` is cut off the full result.", layout="channels",
        reference=lambda x, *, weight, bias=None, **a: conv_transpose(n, x, weight, bias, **a),
        params={"weight": f"I O {axes(n)}", "bias": "O"}, optional={"bias": "use_bias"},
        spellings={
            "torch": [torch_layer, _lazy(torch_layer, f"LazyConvTranspose{n}d")],
            **{f: [_keras_layer(f, f"Conv{n}DTranspose", n, params, signature, maps=_LAYER_MAPS)] for f in KERAS},
        },
        cases=[
            Case({"x": size}, {"in_channels": 4, "out_channels": 6, "kernel_size": k, **more})
            for k, more in ((3, {}), (2, {"stride": 2}), (4, {"stride": 2, "padding": 1}), (3, {"stride": 2, "padding": 1, "output_padding": 1}))
        ],
    ))  # fmt: skip


for _n in (1, 2, 3):
    _conv(_n)
    _transposed(_n)
for _n in (1, 2):
    _depthwise(_n)
