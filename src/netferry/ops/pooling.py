"""Pooling over windows of a given size, and over as many windows as the output shall have."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from netferry.ops.conv import each
from netferry.ops.core import Case, Conversion, OpDef, Spelling
from netferry.ops.forms import supported, template
from netferry.ops.layer_forms import functional, keras_layer, support_layer, torch_layer
from netferry.ops.registry import register
from netferry.ops.shared import keras_support, layer_calling

Array = np.ndarray[Any, Any]
Reduce = Callable[[Array, tuple[range, ...]], Array]

_PADDING = Conversion("padding", {"valid": 0, "same": "same"}, {0: "valid", "same": "same"})
_UPPER_PADDING = Conversion("padding", {"VALID": 0, "SAME": "same"}, {0: "VALID", "same": "SAME"})
_EMPTY_STRIDE = Conversion("stride", "{} or None", "{} or ()")
_IN_32_BITS = dict.fromkeys(("tensorflow", "keras"), "TensorFlow pools three dimensions in 32 bits only")


def _is_final(padding: Any) -> bool:
    """Whether Keras knows the padding by name."""
    return padding in (0, "same")


def _is_one(value: Any) -> bool:
    return value == 1 or (isinstance(value, list | tuple) and all(v == 1 for v in value))


def _is_whole(size: Any) -> bool:
    """Whether every axis is told its size."""
    return None not in size if isinstance(size, list | tuple) else size is not None


# -- references ------------------------------------------------------------------------------------------------------


def _count(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool) -> int:
    """How many windows there are; with ``ceil`` one more may hang over if it starts inside the input or left of it."""
    rest = (size + 2 * padding - dilation * (kernel - 1) - 1) / stride
    found = (math.ceil(rest) if ceil else math.floor(rest)) + 1
    return found - 1 if ceil and (found - 1) * stride >= size + padding else found


def _windows(
    x: Array,
    reduce: Reduce,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Array:
    """``reduce`` applied to every window, given as the positions along each axis (outside the input too)."""
    n = x.ndim - 2
    kernel, dilation, padding = each(kernel_size, n), each(dilation, n), each(padding, n)
    stride = kernel if stride is None else each(stride, n)
    options = list(zip(kernel, stride, padding, dilation, strict=True))
    sizes = [_count(x.shape[2 + i], *o, ceil_mode) for i, o in enumerate(options)]
    out = np.zeros((*x.shape[:2], *sizes))
    for at in product(*map(range, sizes)):
        starts = [a * s - p for a, (_, s, p, _) in zip(at, options, strict=True)]
        spans = tuple(range(a, a + d * (k - 1) + 1, d) for a, (k, _, _, d) in zip(starts, options, strict=True))
        place: Any = (..., *at)
        out[place] = reduce(x, spans)
    return out


def _inside(x: Array, spans: tuple[range, ...]) -> Array:
    """The values of a window that lie inside the input, flattened."""
    index = [[p for p in span if 0 <= p < x.shape[2 + i]] for i, span in enumerate(spans)]
    found: Array = x[np.ix_(range(x.shape[0]), range(x.shape[1]), *index)]
    return found.reshape(*x.shape[:2], -1)


def _max_pool(x: Array, **attributes: Any) -> Array:
    return _windows(x, lambda x, spans: _inside(x, spans).max(-1), **attributes)


def _avg_pool(
    x: Array, *, count_include_pad: bool = True, divisor_override: int | None = None, **attributes: Any
) -> Array:
    padding = each(attributes.get("padding", 0), x.ndim - 2)

    def mean(x: Array, spans: tuple[range, ...]) -> Array:
        values = _inside(x, spans)
        ends = [size + p if count_include_pad else size for size, p in zip(x.shape[2:], padding, strict=True)]
        starts = [-p if count_include_pad else 0 for p in padding]
        counted = math.prod(
            len([p for p in span if a <= p < b]) for span, a, b in zip(spans, starts, ends, strict=True)
        )
        return values.sum(-1) / (divisor_override or counted)  # type: ignore[no-any-return]

    return _windows(x, mean, **attributes)


def _lp_pool(x: Array, *, norm_type: float, **attributes: Any) -> Array:
    total = _windows(x**norm_type, lambda x, spans: _inside(x, spans).sum(-1), **attributes)
    return np.sign(total) * np.abs(total) ** (1 / norm_type)


def _adaptive(reduce: str) -> Callable[..., Array]:
    def reference(x: Array, *, output_size: Any) -> Array:
        sizes = [
            size if wanted is None else wanted
            for size, wanted in zip(x.shape[2:], each(output_size, x.ndim - 2), strict=True)
        ]
        out = np.zeros((*x.shape[:2], *sizes))
        for at in product(*map(range, sizes)):
            cells = (
                slice(a * size // count, -(-(a + 1) * size // count))
                for a, size, count in zip(at, x.shape[2:], sizes, strict=True)
            )
            place: Any = (..., *at)
            window: Any = (..., *cells)
            out[place] = getattr(x[window].reshape(*x.shape[:2], -1), reduce)(-1)
        return out

    return reference


# -- definitions that generated files carry ----------------------------------------------------------------------------

keras_support(
    "pooling_pads",
    '''
def pooling_pads(size, kernel, stride, padding, dilation=1, ceil_mode=False):
    """What to pad before and after an axis of ``size``, so that the last window fits if ``ceil_mode`` keeps it."""
    count, rest = divmod(size + 2 * padding - dilation * (kernel - 1) - 1, stride)
    hangs_over = ceil_mode and rest and (count + 1) * stride < size + padding
    return padding, padding + (stride - rest if hangs_over else 0)
''',
)
keras_support(
    "pooling_options",
    '''
def pooling_options(x, *options):
    """The axes of channels-last data to pool, each with its own value of every option."""
    axes = range(1, len(x.shape) - 1)
    return zip(axes, *(o if isinstance(o, (tuple, list)) else (o,) * len(axes) for o in options))
''',
)
keras_support(
    "windows_along",
    '''
def windows_along(x, axis, kernel, stride, dilation=1):
    """For each place in the window, the values that it meets along an axis."""
    count = (x.shape[axis] - dilation * (kernel - 1) - 1) // stride + 1
    starts = [place * dilation for place in range(kernel)]
    return [x[(slice(None),) * axis + (slice(a, a + (count - 1) * stride + 1, stride),)] for a in starts]
''',
)
keras_support(
    "max_pool",
    '''
def max_pool(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Max pooling of channels-last data, axis by axis; padding never wins."""
    stride = kernel_size if stride is None else stride
    for axis, k, s, p, d in pooling_options(x, kernel_size, stride, padding, dilation):
        pads = [(0, 0)] * len(x.shape)
        pads[axis] = pooling_pads(x.shape[axis], k, s, p, d, ceil_mode)
        x = keras.ops.pad(x, pads, constant_values=-float("inf"))
        x = keras.ops.max(keras.ops.stack(windows_along(x, axis, k, s, d)), axis=0)
    return x
''',
    requires=("pooling_pads", "pooling_options", "windows_along"),
)
keras_support(
    "average_pool",
    '''
def average_pool(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """Average pooling of channels-last data, axis by axis; ``count_include_pad`` lets padding count in the mean."""
    stride = kernel_size if stride is None else stride
    for axis, k, s, p in pooling_options(x, kernel_size, stride, padding):
        size = x.shape[axis]
        pads = [(0, 0)] * len(x.shape)
        pads[axis] = pooling_pads(size, k, s, p, ceil_mode=ceil_mode)
        x = sum(windows_along(keras.ops.pad(x, pads), axis, k, s))
        if divisor_override is None:
            first, last = (-p, size + p) if count_include_pad else (0, size)
            starts = [i * s - p for i in range(x.shape[axis])]
            counts = [min(start + k, last) - max(start, first) for start in starts]
            counts = keras.ops.convert_to_tensor(counts, dtype=x.dtype)
            x = x / keras.ops.reshape(counts, [-1] + [1] * (len(x.shape) - axis - 1))
    return x if divisor_override is None else x / divisor_override
''',
    requires=("pooling_pads", "pooling_options", "windows_along"),
)
keras_support(
    "lp_pool",
    '''
def lp_pool(x, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The p-norm of every window of channels-last data."""
    total = average_pool(x**norm_type, kernel_size, stride, ceil_mode=ceil_mode, divisor_override=1)
    return keras.ops.sign(total) * keras.ops.abs(total) ** (1 / norm_type)
''',
    requires=("average_pool",),
)
_WINDOWS = """for axis, count in enumerate({size}, start=1):
    size, count = x.shape[axis], count or x.shape[axis]
    x = keras.ops.swapaxes(x, 0, axis)
    windows = [x[i * size // count : -(-(i + 1) * size // count)] for i in range(count)]
    x = keras.ops.swapaxes(keras.ops.stack([keras.ops.{reduce}(w, axis=0) for w in windows]), 0, axis)
return x
"""
for _kind, _reduce in (("Average", "mean"), ("Max", "max")):
    _doc = f"{_kind} pooling of channels-last data by as many windows as `output_size` says, which may overlap."
    keras_support(
        f"adaptive_{_kind.lower()}_pool",
        f'''
def adaptive_{_kind.lower()}_pool(x, output_size):
    """{_doc}"""
{textwrap.indent(_WINDOWS.format(size="output_size", reduce=_reduce), "    ")}
''',
    )
    keras_support(
        f"Adaptive{_kind}Pooling",
        f'''
class Adaptive{_kind}Pooling(keras.layers.Layer):
    """{_doc}"""

    def __init__(self, output_size, **kwargs):
        super().__init__(**kwargs)
        self.output_size = output_size

    def call(self, x):
{textwrap.indent(_WINDOWS.format(size="self.output_size", reduce=_reduce), "        ")}
''',
    )


_MAX = "kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False"
_MEAN = "kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None"
layer_calling("MaxPooling", "max_pool", "Max pooling with padding, dilation or ceil mode.", _MAX)
layer_calling("AveragePooling", "average_pool", "Average pooling with padding, ceil mode or an own divisor.", _MEAN)
layer_calling(
    "PowerAveragePooling",
    "lp_pool",
    "The p-norm of every window.",
    "norm_type, kernel_size, stride=None, ceil_mode=False",
)

# -- declarations ------------------------------------------------------------------------------------------------------


def _torch(n: int, layer: str, function: str, layer_rest: str, function_rest: str, **options: Any) -> list[Spelling]:
    """The layer, the function, and the function's other address."""
    return [
        torch_layer(f"{layer}{n}d", layer_rest, **options),
        functional(f"{function}{n}d", function_rest, positional=2, **options),
    ]


_UNPADDED = ("count_include_pad",)
"""What means nothing where the framework's own pooling is called: there is no padding, or padding by rule."""


def _keras(n: int, kind: str, function: str, rest: str, plain: dict[str, Any]) -> dict[str, Any]:
    """Keras's own layer and function where they can say it, else support."""
    when = {"padding": _is_final, "ceil_mode": False, **plain}
    short = {"Max": "max_pool", "Average": "avg_pool"}[kind]

    def spellings(package: str) -> list[Spelling]:
        size = f"pool_size={2 if n == 1 else (2,) * n}" if kind == "Max" else "pool_size"
        own = keras_layer(
            package,
            f"{kind}Pooling{n}D",
            f"{size}, strides=None, padding='valid', data_format=None",
            maps={"pool_size": "kernel_size", "strides": "stride", "padding": _PADDING},
            when=when,
            silent=_UNPADDED,
        )
        return [own, support_layer(f"{kind}Pooling", rest, positional=2)]

    def call(strides: str, more: dict[str, Any]) -> Spelling:
        return template(
            f"tf.nn.{short}{n}d({{x}}, {{kernel_size}}, {{{strides}}}, {{padding}})",
            maps={"padding": _UPPER_PADDING},
            when={**when, **more},
            silent=_UNPADDED,
        )

    own_call = Spelling(
        f"keras.ops.{function}",
        "inputs, pool_size, strides=None, padding='valid', data_format=None",
        maps={"inputs": "x", "pool_size": "kernel_size", "strides": "stride", "padding": _PADDING},
        fixed={"data_format": None},
        when=when,
        silent=_UNPADDED,
        positional=3,
    )
    fallback = supported(function, f"x, {rest}", positional=3)
    return {
        # TensorFlow has no default stride.
        "tensorflow": [*spellings("tf.keras"), call("kernel_size", {"stride": None}), call("stride", {}), fallback],
        # On JAX, Keras's default stride has one axis too many.
        "keras": [*spellings("keras"), _with_kernel_as_stride(own_call), own_call, fallback],
    }


def _with_kernel_as_stride(spelling: Spelling) -> Spelling:
    maps = {**spelling.maps, "strides": "kernel_size"}
    return replace(spelling, maps=maps, when={**spelling.when, "stride": None}, read=False)


def _cases(n: int, base: dict[str, Any], *changes: dict[str, Any]) -> Iterator[Case]:
    """One case per change, over an awkward shape."""
    for change in changes:
        explicit = change.get("dilation") or change.get("ceil_mode") or "divisor_override" in change
        skip = _IN_32_BITS if n == 3 and not explicit else {}
        yield Case({"x": (2, 3, 9, 7, 6)[: n + 2]}, {**base, **change}, skip=skip)


def _register_max(n: int) -> None:
    rest = "kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False"
    indices = {"fixed": {"return_indices": False}}
    uneven = {"kernel_size": (2, 3, 1)[:n], "stride": (1, 2, 2)[:n], "padding": (1, 0, 0)[:n], "ceil_mode": True}
    register(
        OpDef(
            f"max_pool{n}d",
            f"x, *, {rest}",
            "The largest value of every window; padding never wins.",
            layout="channels",
            reference=_max_pool,
            spellings={
                "torch": [
                    *_torch(
                        n,
                        "MaxPool",
                        "max_pool",
                        "kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False",
                        f"{rest}, return_indices=False",
                        **indices,
                    ),
                    Spelling(
                        f"torch.max_pool{n}d",
                        "input, kernel_size, stride=(), padding=0, dilation=1, ceil_mode=False",
                        maps={"input": "x", "stride": _EMPTY_STRIDE},
                        write=False,
                    ),
                ],
                **_keras(n, "Max", "max_pool", rest, {"dilation": _is_one}),
            },
            cases=[
                *_cases(
                    n,
                    {"kernel_size": 3},
                    {"stride": 1},
                    {"stride": 2, "padding": 1},
                    {"stride": 1, "padding": 1},
                    {"padding": 1, "ceil_mode": True},
                    {"stride": 2, "padding": 1, "ceil_mode": True},
                    {"stride": 2, "dilation": 2},
                    {"stride": 1, "padding": 1, "dilation": 2},
                ),
                *_cases(n, {"kernel_size": 2}, {}, {"ceil_mode": True}),
                *_cases(n, {}, uneven),
            ],
        )
    )


def _register_average(n: int) -> None:
    rest = "kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True"
    full = f"{rest}, divisor_override=None"
    own = full if n > 1 else rest
    extra = ({"stride": 2, "divisor_override": 4, "padding": 1},) if n > 1 else ()
    torch = _torch(n, "AvgPool", "avg_pool", own, own)
    if n == 1:
        # The built-in function says with an empty tuple that the stride is the kernel size.
        empty = own.replace("stride=None", "stride=()")
        maps: dict[str, Conversion | str] = {"input": "x", "stride": _EMPTY_STRIDE}
        paths = ("torch.nn.functional.avg_pool1d", "torch.avg_pool1d")
        torch[1:] = [
            Spelling(path, f"input, {empty}", maps=maps, write=path is paths[0], positional=3) for path in paths
        ]
    register(
        OpDef(
            f"avg_pool{n}d",
            f"x, *, {full}",
            "The mean of every window; padding counts in it or not.",
            layout="channels",
            reference=_avg_pool,
            spellings={
                "torch": torch,
                **_keras(n, "Average", "average_pool", full, {"divisor_override": None}),
            },
            cases=[
                *_cases(
                    n,
                    {"kernel_size": 3},
                    {"stride": 1},
                    {"stride": 2, "padding": 1},
                    {"stride": 2, "padding": 1, "count_include_pad": False},
                    {"stride": 1, "padding": 1, "count_include_pad": False},
                    {"stride": 1, "padding": 1},
                    {"padding": 1, "ceil_mode": True},
                    {"stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False},
                    *extra,
                ),
                *_cases(n, {"kernel_size": 2}, {}, {"ceil_mode": True}),
            ],
        )
    )


def _register_power(n: int) -> None:
    rest = "norm_type, kernel_size, stride=None, ceil_mode=False"
    function = supported("lp_pool", f"x, {rest}", positional=4)
    layer = support_layer("PowerAveragePooling", rest, positional=3)
    register(
        OpDef(
            f"lp_pool{n}d",
            f"x, *, {rest}",
            "The p-norm of every window.",
            layout="channels",
            reference=_lp_pool,
            spellings={
                "torch": _torch(n, "LPPool", "lp_pool", rest, rest),
                "tensorflow": [layer, function],
                "keras": [layer, function],
            },
            cases=[
                Case({"x": (2, 3, 5, 4, 3)[: n + 2]}, {"norm_type": 2, "kernel_size": 3}),
                Case({"x": (2, 3, 5, 4, 3)[: n + 2]}, {"norm_type": 2, "kernel_size": 3, "stride": 1}),
            ],
        )
    )


def _register_adaptive(n: int, kind: str, reduce: str) -> None:
    """``kind`` is Keras's word, ``reduce`` NumPy's."""
    title = {"Average": "Avg", "Max": "Max"}[kind]
    rest = "output_size" if kind == "Average" else "output_size, return_indices=False"
    options: dict[str, Any] = {} if kind == "Average" else {"fixed": {"return_indices": False}}
    function = f"adaptive_{kind.lower()}_pool"
    axes = tuple(range(1, n + 1))
    when = {"output_size": _is_one}
    whole = {"output_size": _is_whole}
    exact = n < 3  # TensorFlow pools three dimensions in 32 bits only
    named = Spelling(
        f"keras.ops.{function}", "inputs, output_size, data_format=None", maps={"inputs": "x"},
        fixed={"data_format": None}, when=whole, positional=2, write=exact,
    )  # fmt: skip

    def spellings(package: str, ops: str) -> list[Spelling]:
        name, kinds = f"Adaptive{kind}Pooling", {"output_size": f"axes{n}"}
        return [
            template(f"{package}.layers.Global{kind}Pooling{n}D(keepdims=True)", layer=True, call="x", when=when),
            keras_layer(package, f"{name}{n}D", "output_size, data_format=None", kinds=kinds, when=whole, write=exact),
            support_layer(name, "output_size", kinds=kinds),
            template(f"{ops}{reduce}({{x}}, axis={axes}, keepdims=True)", when=when),
            *([named] if package == "keras" else []),
            supported(function, "x, output_size", positional=2),
        ]

    torch = _torch(n, f"Adaptive{title}Pool", f"adaptive_{title.lower()}_pool", rest, rest, **options)
    if kind == "Average" and n == 1:
        torch.append(Spelling("torch.adaptive_avg_pool1d", "input, output_size", maps={"input": "x"}, write=False))
    sizes = (1, 3, (1,) * n, (4, 5, 6)[:n], *([(None, 2, 3)[:n]] if n > 1 else []))
    register(
        OpDef(
            f"adaptive_{title.lower()}_pool{n}d",
            "x, *, output_size",
            f"The {'mean' if kind == 'Average' else 'largest value'} of as many windows as the output has places.",
            layout="channels",
            reference=_adaptive(reduce),
            spellings={
                "torch": torch,
                "tensorflow": spellings("tf.keras", "tf.reduce_"),
                "keras": spellings("keras", "keras.ops."),
            },
            cases=[Case({"x": (2, 3, 9, 7, 6)[: n + 2]}, {"output_size": size}) for size in sizes],
        )
    )


for _n in (1, 2, 3):
    _register_max(_n)
    _register_average(_n)
    _register_power(_n)
    _register_adaptive(_n, "Average", "mean")
    _register_adaptive(_n, "Max", "max")

for _n in (1, 2, 3):
    # Read so that the reason names the op; no target keeps the positions that it needs.
    register(
        OpDef(
            f"max_unpool{_n}d",
            "x, indices, *, kernel_size, stride=None, padding=0, output_size=None",
            "Puts values back to where max pooling found them.",
            layout="opaque",
            spellings={
                "torch": [
                    torch_layer(
                        f"MaxUnpool{_n}d",
                        "kernel_size, stride=None, padding=0",
                        call="input, indices, output_size=None",
                    ),
                    functional(f"max_unpool{_n}d", "indices, kernel_size, stride=None, padding=0, output_size=None"),
                ]
            },
        )
    )
