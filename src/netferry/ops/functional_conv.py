"""Convolution and pooling functions of TensorFlow and Keras, and what PyTorch needs for them where strides and ``same`` meet."""

from __future__ import annotations

from typing import Any

import numpy as np

from netferry.ops import registry
from netferry.ops.conv import conv_reference, each
from netferry.ops.core import Case, Conversion, OpDef, Spelling, Support
from netferry.ops.forms import supported
from netferry.ops.registry import register, register_support
from netferry.ops.same_padding import pads_of

Array = np.ndarray[Any, Any]

_UPPER = Conversion("padding", {"VALID": 0, "SAME": "same"}, {0: "VALID", "same": "SAME"})
_LOWER = Conversion("padding", {"valid": 0, "same": "same"}, {0: "valid", "same": "same"})
_READ: dict[str, Any] = {"write": False}
_CONVOLUTION = "input, filters, strides=None, padding='VALID', data_format=None, dilations=None, name=None"


def _convolutions(n: int) -> list[tuple[str, Spelling]]:
    maps: dict[str, Any] = {
        "input": "x",
        "filters": "weight",
        "stride": "stride",
        "strides": "stride",
        "padding": _UPPER,
        "dilations": "dilation",
    }
    ignored = ("data_format", "name")
    order = ("NWC", "NHWC", "NDHWC")[n - 1]
    step = "stride" if n == 1 else "strides"
    given = f"input, filters, {step}, padding, data_format='{order}', dilations=None, name=None"
    keras: dict[str, Any] = {
        "inputs": "x",
        "kernel": "weight",
        "strides": "stride",
        "padding": _LOWER,
        "dilation_rate": "dilation",
    }
    return [
        ("tensorflow", Spelling(f"tf.nn.conv{n}d", given, maps=maps, ignore=ignored, **_READ)),
        ("tensorflow", Spelling("tf.nn.convolution", _CONVOLUTION, maps=maps, ignore=ignored, **_READ)),
        (
            "keras",
            Spelling(
                "keras.ops.conv",
                "inputs, kernel, strides=1, padding='valid', data_format=None, dilation_rate=1",
                maps=keras,
                ignore=("data_format",),
                **_READ,
            ),
        ),
    ]


def _pools(n: int, kind: str) -> list[tuple[str, Spelling]]:
    maps: dict[str, Any] = {"input": "x", "ksize": "kernel_size", "strides": "stride", "padding": _UPPER}
    keras: dict[str, Any] = {"inputs": "x", "pool_size": "kernel_size", "strides": "stride", "padding": _LOWER}
    more: dict[str, Any] = {"implies": {"count_include_pad": False}} if kind == "avg" else {}
    ignored = ("data_format", "name")
    signature = "input, ksize, strides, padding, data_format={order}, name=None"
    orders = {f"tf.nn.{kind}_pool": None, f"tf.nn.{kind}_pool{n}d": ("NWC", "NHWC", "NDHWC")[n - 1]}
    word = {"max": "max", "avg": "average"}[kind]
    return [
        *(
            (
                "tensorflow",
                Spelling(name, signature.format(order=repr(order)), maps=maps, ignore=ignored, **more, **_READ),
            )
            for name, order in orders.items()
        ),
        (
            "keras",
            Spelling(
                f"keras.ops.{word}_pool",
                "inputs, pool_size, strides=None, padding='valid', data_format=None",
                maps=keras,
                ignore=("data_format",),
                **more,
                **_READ,
            ),
        ),
    ]


for _n in (1, 2, 3):
    for _framework, _found in _convolutions(_n):
        registry.extend(f"conv{_n}d_with", _framework, _found)
    for _kind in ("max", "avg"):
        for _framework, _found in _pools(_n, _kind):
            registry.extend(f"{_kind}_pool{_n}d", _framework, _found)
registry.extend(
    "add",
    "tensorflow",
    Spelling("tf.nn.bias_add", "value, bias, data_format=None, name=None", maps={"value": "x", "bias": "other"},
             ignore=("data_format", "name"), write=False),
)  # fmt: skip

_SAME = '''
def same_conv{n}d(x, weight, bias=None, stride=1, dilation=1, groups=1):
    """A convolution whose result has ``ceil(size / stride)`` places along every axis."""
    stride, dilation = (v if isinstance(v, (tuple, list)) else (v,) * {n} for v in (stride, dilation))
    x = torch.nn.functional.pad(x, same_padding(x, weight.shape[2:], stride, dilation))
    return torch.nn.functional.conv{n}d(x, weight, bias, stride=stride, dilation=dilation, groups=groups)
'''


def _same(
    x: Array, weight: Array, bias: Array | None = None, *, stride: Any = 1, dilation: Any = 1, **rest: Any
) -> Array:
    padded = np.pad(x, pads_of(x, weight.shape[2:], stride, dilation))
    return conv_reference(padded, weight, bias, stride=each(stride, x.ndim - 2), dilation=dilation, **rest)


for _n in (1, 2, 3):
    _name = f"same_conv{_n}d"
    register_support(Support(_name, {"torch": _SAME.format(n=_n)}, ("same_padding",)))
    _shape, _weight = (2, 4, 9, 8, 7)[: _n + 2], (6, 4, *(3, 2, 1)[:_n])
    register(
        OpDef(
            f"{_name}_with",
            "x, weight, bias=None, *, stride=1, dilation=1, groups=1",
            f"Convolution over {_n} spatial dimensions with a given kernel and as many results as strides begin.",
            layout="channels",
            reference=_same,
            spellings={
                "torch": [
                    supported(_name, "x, weight, bias=None, stride=1, dilation=1, groups=1", positional=3),
                ]
            },
            cases=[Case({"x": _shape, "weight": _weight}, {"stride": 2})],
        )
    )
