"""Convolutions and transposed convolutions in one to three dimensions: layers, and functions of a given kernel."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from netferry.ops.core import Case, Conversion, OpDef, Spelling
from netferry.ops.forms import supported, template
from netferry.ops.jax_forms import nnx_layer, nnx_support
from netferry.ops.layer_forms import functional, keras_layer, on_keras, support_layer, torch_layer
from netferry.ops.registry import register
from netferry.ops.shared import keras_support

Array = np.ndarray[Any, Any]

_PADDING = Conversion("padding", {"valid": 0, "same": "same"}, {0: "valid", "valid": "valid", "same": "same"})
"""Keras pads by rule; every other padding has become a layer or call of its own before."""
_CAUSAL = Conversion(
    "padding",
    {"valid": 0, "same": "same", "causal": "causal"},
    {0: "valid", "valid": "valid", "same": "same", "causal": "causal"},
)
"""Sequences may also be padded at their start alone."""
_UPPER_PADDING = Conversion("padding", {"VALID": 0, "SAME": "same"}, {0: "VALID", "valid": "VALID", "same": "SAME"})
_BY_SHAPE = ("groups",)
"""The groups of a convolution with a given kernel follow from the kernel's shape."""
_ZEROS = {"padding_mode": "zeros"}
_INITIALIZERS = "kernel_initializer='glorot_uniform', bias_initializer='zeros'"
_IGNORED = ("kernel_initializer", "bias_initializer")


def each(value: Any, n: int) -> tuple[Any, ...]:
    """A value for every dimension: itself, if it already is one per dimension."""
    return tuple(value) if isinstance(value, list | tuple) else (value,) * n


def ones(n: int) -> Any:
    """How Keras writes a default of one per dimension."""
    return 1 if n == 1 else (1,) * n


def kernel_axes(n: int) -> str:
    """The names of a kernel's axes: ``K1 K2``."""
    return " ".join(f"K{i + 1}" for i in range(n))


def _last(*items: Any) -> Any:
    """The index of the last axes."""
    return (..., *items)


def _taps(at: Sequence[int], dilation: Sequence[int], stride: Sequence[int], sizes: Sequence[int]) -> Any:
    """Where the tap ``at`` of the kernel meets the strided axis, for all ``sizes`` windows."""
    starts = [a * d for a, d in zip(at, dilation, strict=True)]
    return _last(*(slice(a, a + s * (n - 1) + 1, s) for a, s, n in zip(starts, stride, sizes, strict=True)))


def _biased(x: Array, bias: Array | None) -> Array:
    return x if bias is None else x + bias.reshape(1, -1, *[1] * (x.ndim - 2))


def conv_reference(
    x: Array, weight: Array, bias: Array | None = None, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1, padding_mode: str = "zeros", **unused: Any,
) -> Array:  # fmt: skip
    """The sum over channels and kernel positions, written out."""
    n = x.ndim - 2
    stride, dilation, kernel = each(stride, n), each(dilation, n), weight.shape[2:]
    spans = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if padding == "same":
        pads = [(s // 2, s - s // 2) for s in spans]
    else:
        pads = [(p, p) for p in each(0 if padding == "valid" else padding, n)]
    mode = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}[padding_mode]
    x = np.pad(x, [(0, 0), (0, 0), *pads], mode=mode)  # type: ignore[call-overload]
    sizes = [(x.shape[2 + i] - spans[i] - 1) // stride[i] + 1 for i in range(n)]
    parts = zip(np.split(x, groups, 1), np.split(weight, groups), strict=True)
    outputs = []
    for part, kernels in parts:
        taps = (
            np.einsum("bi...,oi->bo...", part[_taps(at, dilation, stride, sizes)], kernels[_last(*at)])
            for at in product(*map(range, kernel))
        )
        outputs.append(sum(taps, np.zeros(())))
    return _biased(np.concatenate(outputs, 1), bias)


def conv_transpose_reference(
    x: Array, weight: Array, bias: Array | None = None, *, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    dilation: Any = 1, groups: int = 1, **unused: Any,
) -> Array:  # fmt: skip
    """Every input spreads its kernel over the output; ``padding`` is cut off the result."""
    n, sizes, kernel = x.ndim - 2, x.shape[2:], weight.shape[2:]
    stride, dilation, padding, extra = (each(a, n) for a in (stride, dilation, padding, output_padding))
    full = [(sizes[i] - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1 + extra[i] for i in range(n)]
    outputs = []
    for part, kernels in zip(np.split(x, groups, 1), np.split(weight, groups), strict=True):
        out = np.zeros((x.shape[0], weight.shape[1], *full))
        for at in product(*map(range, kernel)):
            out[_taps(at, dilation, stride, sizes)] += np.einsum("bi...,io->bo...", part, kernels[_last(*at)])
        outputs.append(out[_last(*(slice(p, f - p) for p, f in zip(padding, full, strict=True)))])
    return _biased(np.concatenate(outputs, 1), bias)


def _torch_layers(n: int, name: str, rest: str, layout: str, call: str = "input") -> list[Spelling]:
    """The layer and its lazy form."""
    options: dict[str, Any] = {
        "typed": True,
        "params": {"weight": f"weight: {layout} {kernel_axes(n)}", "bias": "bias: O"},
        "call": call,
        "maps": {"bias": "use_bias"},
        "fixed": {"output_size": None} if "output_size" in call else {},
    }
    return [
        torch_layer(f"{name}{n}d", f"in_channels, out_channels, kernel_size, {rest}", positional=3, **options),
        torch_layer(f"Lazy{name}{n}d", f"out_channels, kernel_size, {rest}", write=False, **options),
    ]


def _torch_functions(name: str, rest: str) -> list[Spelling]:
    return [
        functional(name, f"weight, bias=None, {rest}"),
        Spelling(f"torch.{name}", f"input, weight, bias=None, {rest}", maps={"input": "x"}, write=False),
    ]


def _keras_conv(n: int, package: str) -> list[Spelling]:
    one = ones(n)
    return [
        keras_layer(
            package,
            f"Conv{n}D",
            f"filters, kernel_size, strides={one}, padding='valid', data_format=None, dilation_rate={one}, groups=1, "
            f"activation=None, use_bias=True, {_INITIALIZERS}",
            maps={
                "filters": "out_channels",
                "strides": "stride",
                "padding": _CAUSAL if n == 1 else _PADDING,
                "dilation_rate": "dilation",
            },
            ignore=_IGNORED,
            params={"kernel": f"weight: {kernel_axes(n)} I O", "bias": "bias: O"},
            when=_ZEROS,
            positional=2,
        )
    ]


_FLAX_NAMES: dict[str, Conversion | str] = {
    "in_features": "in_channels",
    "out_features": "out_channels",
    "strides": "stride",
    "kernel_dilation": "dilation",
}


FLAX_PADDING = Conversion("padding", "dict(SAME='same', VALID=0, CAUSAL='causal').get({}, {})")
"""Words in capitals; a legalisation has found the word before one is written."""


def _flax_conv(n: int) -> list[Spelling]:
    return [
        nnx_layer(
            "Conv",
            "in_features, out_features, kernel_size, strides=1, *, padding='SAME', kernel_dilation=1, "
            "feature_group_count=1, use_bias=True",
            maps={**_FLAX_NAMES, "feature_group_count": "groups", "padding": FLAX_PADDING},
            params={"kernel": f"weight: {kernel_axes(n)} I O", "bias": "bias: O"},
            when=_ZEROS,
            kinds={"kernel_size": f"axes{n}"},
            positional=3,
        )
    ]


def _register_conv(n: int) -> None:
    shape = (2, 4, 9, 7, 6)[: n + 2]
    base = {"in_channels": 4, "out_channels": 6}
    uneven = {"kernel_size": (1, 3, 2)[:n], "padding": (0, 1, 2)[:n], "stride": (1, 2, 1)[:n]}
    rest = "stride=1, padding=0, dilation=1, groups=1, bias=True, padding_mode='zeros'"
    register(
        OpDef(
            f"conv{n}d",
            f"x, *, in_channels=..., out_channels, kernel_size, {rest.replace('bias', 'use_bias')}",
            f"Convolution (cross-correlation) over {n} spatial dimensions; padding is 'same', 'valid' or added on both sides.",
            layout="channels",
            reference=conv_reference,
            params={"weight": f"O I {kernel_axes(n)}", "bias": "O"},
            optional={"bias": "use_bias"},
            spellings={
                "torch": _torch_layers(n, "Conv", rest, "O I"),
                **on_keras(lambda package: _keras_conv(n, package)),
                "flax": _flax_conv(n),
            },
            cases=[
                Case({"x": shape}, base | {"kernel_size": 3}),
                Case({"x": shape}, base | {"kernel_size": 3, "padding": 1, "use_bias": False}),
                Case({"x": shape}, base | {"kernel_size": 3, "padding": 1, "stride": 2}),
                Case({"x": shape}, base | {"kernel_size": 2, "padding": 1, "stride": 2}),
                Case({"x": shape}, base | {"kernel_size": 4, "padding": "same"}),
                Case({"x": shape}, base | {"kernel_size": 3, "padding": 2, "dilation": 2}),
                Case({"x": shape}, base | {"kernel_size": 3, "dilation": 2}),
                Case({"x": shape}, base | uneven),
                Case({"x": shape}, base | {"kernel_size": 3, "groups": 2, "padding": 1}),
                *(
                    Case({"x": shape}, base | {"kernel_size": 3, "padding": 2, "padding_mode": mode})
                    for mode in ("reflect", "replicate", "circular")
                ),
            ],
        )
    )


def _flax_function(n: int) -> list[Spelling]:
    """The general convolution of JAX; its options have a number for each axis."""
    data, kernel = "N" + "DHW"[3 - n :] + "C", "OI" + "DHW"[3 - n :]
    return [
        template(
            "jax.lax.conv_general_dilated({x}, {weight}, window_strides={stride}, padding={padding}"
            + (", rhs_dilation={dilation}" if dilated else "")
            + (", feature_group_count={groups}" if grouped else "")
            + f", dimension_numbers=('{data}', '{kernel}', '{data}'))",
            when={**({} if dilated else {"dilation": 1}), **({} if grouped else {"groups": 1})},
        )
        for dilated, grouped in product((False, True), repeat=2)
    ]


def _register_conv_function(n: int) -> None:
    perm = (*range(2, n + 2), 1, 0)
    options = "strides={stride}, padding={padding}"
    # Without it TensorFlow has no gradient in three dimensions.
    order = ", data_format='NDHWC'" if n == 3 else ""

    def on_ops(package: str, transpose: str) -> Spelling:
        return template(
            f"{package}.ops.conv({{x}}, {transpose}({{weight}}, {perm}), {options}, dilation_rate={{dilation}})",
            maps={"padding": _PADDING},
            silent=_BY_SHAPE,
        )

    shape = (2, 4, 9, 7, 6)[: n + 2]
    weight = (6, 4, *(3, 2, 1)[:n])
    register(
        OpDef(
            f"conv{n}d_with",
            "x, weight, bias=None, *, stride=1, padding=0, dilation=1, groups=1",
            f"Convolution over {n} spatial dimensions with a given kernel.",
            layout="channels",
            reference=conv_reference,
            spellings={
                "torch": _torch_functions(f"conv{n}d", "stride=1, padding=0, dilation=1, groups=1"),
                "tensorflow": [
                    template(
                        f"tf.nn.convolution({{x}}, tf.transpose({{weight}}, {perm}), {options}, dilations={{dilation}}{order})",
                        maps={"padding": _UPPER_PADDING},
                        when={"groups": 1},
                    ),
                    on_ops("tf.keras", "tf.transpose"),
                ],
                "keras": [on_ops("keras", "keras.ops.transpose")],
                "flax": _flax_function(n),
            },
            cases=[
                Case({"x": shape, "weight": weight}),
                Case({"x": shape, "weight": weight, "bias": (6,)}, {"padding": 1, "stride": 2}),
                Case({"x": shape, "weight": weight}, {"padding": "same", "dilation": 2}),
                Case(
                    {"x": shape, "weight": (6, 2, *weight[2:]), "bias": (6,)}, {"groups": 2, "padding": (1, 0, 2)[:n]}
                ),
            ],
        )
    )


def _depthwise_reference(x: Array, *, weight: Array, **attributes: Any) -> Array:
    """The sum over kernel positions of every channel."""
    return conv_reference(x, weight.reshape(-1, 1, *weight.shape[2:]), groups=x.shape[1], **attributes)


def _depthwise_torch(n: int) -> list[Spelling]:
    """Groups of one channel each."""
    outputs = {"{in_channels}": {"multiplier": 1}, "{in_channels} * {multiplier}": {}}
    return [
        template(
            f"torch.nn.Conv{n}d({{in_channels}}, {written}, {{kernel_size}}, stride={{stride}}, "
            "padding={padding}, dilation={dilation}, groups={in_channels}, bias={use_bias})",
            layer=True,
            params={"weight": f"weight: (I M) 1 {kernel_axes(n)}", "bias": "bias: O"},
            maps={"input": "x"},
            call="input",
            when=when,
        )
        for written, when in outputs.items()
    ]


def _depthwise_keras(n: int, package: str) -> list[Spelling]:
    one = ones(n)
    return [
        keras_layer(
            package,
            f"DepthwiseConv{n}D",
            f"kernel_size, strides={one}, padding='valid', depth_multiplier=1, data_format=None, dilation_rate={one}, "
            "activation=None, use_bias=True, depthwise_initializer='glorot_uniform', bias_initializer='zeros'",
            maps={
                "strides": "stride", "padding": _CAUSAL if n == 1 else _PADDING, "dilation_rate": "dilation", "depth_multiplier": "multiplier",
            },
            ignore=("depthwise_initializer", "bias_initializer"),
            params={"kernel": f"weight: {kernel_axes(n)} I M", "bias": "bias: O"},
            when=_ZEROS,
        )
    ]  # fmt: skip


def _depthwise_flax(n: int) -> list[Spelling]:
    """Groups of one channel each."""
    outputs = {"{in_channels}": {"multiplier": 1}, "{in_channels} * {multiplier}": {}}
    return [
        template(
            f"flax.nnx.Conv({{in_channels}}, {written}, {{kernel_size}}, strides={{stride}}, padding={{padding}}, "
            "kernel_dilation={dilation}, feature_group_count={in_channels}, use_bias={use_bias}, rngs=rngs)",
            layer=True,
            params={"kernel": f"weight: {kernel_axes(n)} 1 (I M)", "bias": "bias: O"},
            maps={"inputs": "x"},
            call="inputs",
            when={**when, **_ZEROS},
        )
        for written, when in outputs.items()
    ]


def _register_depthwise(n: int) -> None:
    """What Keras has a layer of its own for: every channel has kernels of its own."""
    shape = (2, 4, 9, 7)[: n + 2]
    register(
        OpDef(
            f"depthwise_conv{n}d",
            "x, *, in_channels=..., kernel_size, stride=1, padding=0, dilation=1, use_bias=True, padding_mode='zeros', "
            "multiplier=1",
            f"Convolution over {n} spatial dimensions of every channel by itself.",
            layout="channels",
            reference=_depthwise_reference,
            params={"weight": f"I M {kernel_axes(n)}", "bias": "O"},
            optional={"bias": "use_bias"},
            sizes={"M": "multiplier"},
            spellings={
                "torch": _depthwise_torch(n),
                **on_keras(lambda package: _depthwise_keras(n, package)),
                "flax": _depthwise_flax(n),
            },
            cases=[
                Case({"x": shape}, {"in_channels": 4, "kernel_size": 3}),
                Case({"x": shape}, {"in_channels": 4, "kernel_size": 3, "padding": 1, "stride": 2, "use_bias": False}),
                Case({"x": shape}, {"in_channels": 4, "kernel_size": 3, "padding": 2, "dilation": 2}),
                Case({"x": shape}, {"in_channels": 4, "kernel_size": 3, "multiplier": 2}),
            ],
        )
    )


_GROUPED_TRANSPOSE = '''
class GroupedConvTranspose(keras.layers.Layer):
    """A transposed convolution in groups of channels, each with kernels of its own."""

    def __init__(
        self, filters, kernel_size, strides=1, padding="valid", output_padding=None, dilation_rate=1, groups=1, use_bias=True, **kwargs
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.options = {
            "strides": strides, "padding": padding, "output_padding": output_padding, "dilation_rate": dilation_rate
        }
        self.groups = groups
        self.use_bias = use_bias

    def build(self, input_shape):
        rank = len(input_shape) - 2
        size = (self.kernel_size,) * rank if isinstance(self.kernel_size, int) else tuple(self.kernel_size)
        self.kernel = self.add_weight(shape=(*size, self.filters // self.groups, input_shape[-1]), name="kernel")
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias") if self.use_bias else None

    def call(self, inputs):
        parts = zip(keras.ops.split(inputs, self.groups, axis=-1), keras.ops.split(self.kernel, self.groups, axis=-1))
        x = keras.ops.concatenate([keras.ops.conv_transpose(x, kernel, **self.options) for x, kernel in parts], axis=-1)
        return x if self.bias is None else x + self.bias
'''
_FLAX_GROUPED = '''
class GroupedConvTranspose(flax.nnx.Module):
    """A transposed convolution in groups of channels, each with kernels of its own."""

    def __init__(
        self, in_features, out_features, kernel_size, strides, padding, kernel_dilation=1, groups=1, use_bias=True, *,
        rngs
    ):
        rank = len(kernel_size)
        self.strides = (strides,) * rank if isinstance(strides, int) else strides
        self.padding = padding
        self.kernel_dilation = (kernel_dilation,) * rank if isinstance(kernel_dilation, int) else kernel_dilation
        self.groups = groups
        shape = (*kernel_size, out_features // groups, in_features)
        self.kernel = flax.nnx.Param(flax.nnx.initializers.lecun_normal(-1, -2)(rngs.params(), shape))
        self.bias = flax.nnx.Param(jax.numpy.zeros(out_features)) if use_bias else None

    def __call__(self, x):
        kernels = jax.numpy.split(self.kernel[...], self.groups, axis=-1)
        parts = [
            jax.lax.conv_transpose(
                part, kernel, self.strides, self.padding, self.kernel_dilation, transpose_kernel=True
            )
            for part, kernel in zip(jax.numpy.split(x, self.groups, axis=-1), kernels)
        ]
        x = jax.numpy.concatenate(parts, axis=-1)
        return x if self.bias is None else x + self.bias[...]
'''
keras_support("GroupedConvTranspose", _GROUPED_TRANSPOSE, flax=_FLAX_GROUPED)

_TRANSPOSE_FUNCTION = '''
def conv_transpose(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Transposed convolution of channels-last data with a kernel of shape (inputs, outputs / groups, *sizes).

    ``padding`` is cut off both sides of the result, ``output_padding`` added at its end.
    """
    rank = len(x.shape) - 2
    kernel = keras.ops.transpose(weight, (*range(2, rank + 2), 1, 0))
    parts = zip(keras.ops.split(x, groups, axis=-1), keras.ops.split(kernel, groups, axis=-1))
    x = keras.ops.concatenate(
        [keras.ops.conv_transpose(part, k, stride, "valid", output_padding, dilation_rate=dilation) for part, k in parts],
        axis=-1,
    )
    padding = (padding,) * rank if isinstance(padding, int) else padding
    x = x[(slice(None), *(slice(p, size - p) for p, size in zip(padding, x.shape[1:-1])))]
    return x if bias is None else x + bias
'''
_FLAX_TRANSPOSE = '''
def conv_transpose(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Transposed convolution of channels-last data with a kernel of shape (inputs, outputs / groups, *sizes).

    ``padding`` is cut off both sides of the result, ``output_padding`` added at its end.
    """
    options = (stride, padding, output_padding, dilation)
    stride, padding, output_padding, dilation = ((o,) * (x.ndim - 2) if isinstance(o, int) else o for o in options)
    ends = [d * (k - 1) - p for d, k, p in zip(dilation, weight.shape[2:], padding)]
    pads = [(end, end + extra) for end, extra in zip(ends, output_padding)]
    kernels = jax.numpy.split(jax.numpy.moveaxis(weight, (0, 1), (-1, -2)), groups, axis=-1)
    parts = [
        jax.lax.conv_transpose(part, kernel, stride, pads, dilation, transpose_kernel=True)
        for part, kernel in zip(jax.numpy.split(x, groups, axis=-1), kernels)
    ]
    x = jax.numpy.concatenate(parts, axis=-1)
    return x if bias is None else x + bias
'''
keras_support("conv_transpose", _TRANSPOSE_FUNCTION, flax=_FLAX_TRANSPOSE)


def _transposed_layers(n: int, package: str) -> list[Spelling]:
    one = ones(n)
    maps: dict[str, Conversion | str] = {
        "filters": "out_channels",
        "strides": "stride",
        "padding": _PADDING,
        "dilation_rate": "dilation",
    }
    params = {"kernel": f"weight: {kernel_axes(n)} O I", "bias": "bias: O"}
    # Keras itself puts these two in another order in three dimensions.
    two = "data_format=None, output_padding=None" if n == 3 else "output_padding=None, data_format=None"
    return [
        keras_layer(
            package,
            f"Conv{n}DTranspose",
            f"filters, kernel_size, strides={one}, padding='valid', {two}, dilation_rate={one}, activation=None, "
            f"use_bias=True, {_INITIALIZERS}",
            maps=maps,
            ignore=_IGNORED,
            params=params,
            when={"groups": 1},
            positional=2,
        ),
        support_layer(
            "GroupedConvTranspose",
            "filters, kernel_size, strides=1, padding='valid', output_padding=None, dilation_rate=1, groups=1, use_bias=True",
            maps=maps,
            params=params,
            positional=2,
        ),
    ]


def _flax_transposed(n: int) -> list[Spelling]:
    """NNX's layer, whose padding is that of the stretched input; kernels are turned around as PyTorch's are."""
    params = {"kernel": f"weight: {kernel_axes(n)} O I", "bias": "bias: O"}
    given = "in_features, out_features, kernel_size, strides=None, *, padding='SAME', {}use_bias=True, transpose_kernel=False"
    own: dict[str, Any] = {
        "maps": _FLAX_NAMES, "params": params, "fixed": {"transpose_kernel": True}, "positional": 3, "read": False,
    }  # fmt: skip
    plain = {"groups": 1, "output_padding": 0, **_ZEROS}
    return [
        nnx_layer("ConvTranspose", given.format(""), when={**plain, "dilation": 1}, **own),
        nnx_layer("ConvTranspose", given.format("kernel_dilation=None, "), when=plain, **own),
        nnx_support(
            "GroupedConvTranspose",
            "in_features, out_features, kernel_size, strides, padding, kernel_dilation=1, groups=1, use_bias=True",
            maps=_FLAX_NAMES,
            params=params,
            when={"output_padding": 0, **_ZEROS},
            positional=5,
        ),
    ]


def _register_transpose(n: int) -> None:
    rest = "stride=1, padding=0, output_padding=0, groups=1, bias=True, dilation=1, padding_mode='zeros'"
    shape = (2, 4, 5, 6, 3)[: n + 2]
    base = {"in_channels": 4, "out_channels": 6}
    dilated = "TensorFlow dilates transposed convolutions on GPUs only"
    skip = dict.fromkeys(("tensorflow", "keras"), dilated)
    register(
        OpDef(
            f"conv_transpose{n}d",
            f"x, *, in_channels=..., out_channels, kernel_size, {rest.replace('bias', 'use_bias')}",
            f"Transposed convolution over {n} spatial dimensions; padding is cut off the result on both sides.",
            layout="channels",
            reference=conv_transpose_reference,
            params={"weight": f"I O {kernel_axes(n)}", "bias": "O"},
            optional={"bias": "use_bias"},
            spellings={
                "torch": _torch_layers(n, "ConvTranspose", rest, "I O", "input, output_size=None"),
                **on_keras(lambda package: _transposed_layers(n, package)),
                "flax": _flax_transposed(n),
            },
            cases=[
                Case({"x": shape}, base | {"kernel_size": 2, "stride": 2}),
                Case({"x": shape}, base | {"kernel_size": 4, "stride": 2, "padding": 1, "use_bias": False}),
                Case({"x": shape}, base | {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1}),
                Case({"x": shape}, base | {"kernel_size": 3, "padding": 1}),
                Case({"x": shape}, base | {"kernel_size": 2, "stride": 3}),
                Case({"x": shape}, base | {"kernel_size": 3, "stride": 2, "output_padding": 1}),
                Case({"x": shape}, base | {"kernel_size": 3, "stride": 2, "padding": 1, "groups": 2}),
                Case({"x": shape}, base | {"kernel_size": 2, "padding": 1, "dilation": 2}, skip=skip),
            ],
        )
    )
    options = "stride=1, padding=0, output_padding=0, groups=1, dilation=1"
    call = supported("conv_transpose", f"x, weight, bias=None, {options}")
    register(
        OpDef(
            f"conv_transpose{n}d_with",
            f"x, weight, bias=None, *, {options}",
            f"Transposed convolution over {n} spatial dimensions with a given kernel.",
            layout="channels",
            reference=conv_transpose_reference,
            spellings={
                "torch": _torch_functions(f"conv_transpose{n}d", options),
                "tensorflow": [call],
                "keras": [call],
                "flax": [call],
            },
            cases=[
                Case({"x": shape, "weight": (4, 3, *(2, 3, 1)[:n])}),
                Case(
                    {"x": shape, "weight": (4, 3, *(3, 3, 3)[:n]), "bias": (6,)},
                    {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2},
                ),
            ],
        )
    )


for _n in (1, 2, 3):
    _register_conv(_n)
    _register_conv_function(_n)
    _register_transpose(_n)
    if _n < 3:
        _register_depthwise(_n)
