"""Convolution and pooling with TensorFlow's ``same`` padding where strides make it depend on the size of the input."""

from __future__ import annotations

from typing import Any

import numpy as np

from netferry.ops.conv import conv_reference, each, kernel_axes
from netferry.ops.core import Case, OpDef, Spelling, Support
from netferry.ops.registry import register, register_support

Array = np.ndarray[Any, Any]

_PADS = '''
def same_padding(x, kernel_size, stride, dilation):
    """The padding, from the last axis on, with which strided windows give ``ceil(size / stride)`` results."""
    pads = []
    for size, k, s, d in reversed(list(zip(x.shape[2:], kernel_size, stride, dilation))):
        total = max((math.ceil(size / s) - 1) * s + (k - 1) * d + 1 - size, 0)
        pads += [total // 2, total - total // 2]
    return pads
'''
register_support(Support("same_padding", {"torch": _PADS}))


def pads_of(x: Array, kernel: Any, stride: Any, dilation: Any) -> list[tuple[int, int]]:
    n = x.ndim - 2
    pairs = [(0, 0), (0, 0)]
    for size, k, s, d in zip(x.shape[2:], each(kernel, n), each(stride, n), each(dilation, n), strict=True):
        total = max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
        pairs.append((total // 2, total - total // 2))
    return pairs


def _conv(x: Array, *, kernel_size: Any, stride: Any = 1, dilation: Any = 1, **options: Any) -> Array:
    padded = np.pad(x, pads_of(x, kernel_size, stride, dilation))
    return conv_reference(padded, kernel_size=kernel_size, stride=stride, dilation=dilation, **options)


_LAZY = '''
class Lazy{name}(torch.nn.LazyConv{n}d, {name}):
    """One that learns how many channels come in from its first call."""

    cls_to_become = {name}
'''


def _register_conv(n: int) -> None:
    name = f"Conv{n}dSame"
    code = f'''
class {name}(torch.nn.Conv{n}d):
    """A convolution whose result has ``ceil(size / stride)`` places along every axis."""

    def forward(self, x):
        return super().forward(torch.nn.functional.pad(x, same_padding(x, self.kernel_size, self.stride, self.dilation)))
'''
    register_support(Support(name, {"torch": code}, ("same_padding",)))
    register_support(Support(f"Lazy{name}", {"torch": _LAZY.format(name=name, n=n)}, (name,)))
    for prefix, size in (("", "in_channels=..., "), ("lazy_", "")):
        _register_same(n, prefix, size)


def _register_same(n: int, prefix: str, size: str) -> None:
    """The convolution, or (``lazy_``) the one that is not told how many channels come in."""
    name = f"{prefix.title().removesuffix('_')}Conv{n}dSame"
    spelling = Spelling(
        name,
        f"{'in_channels, ' if size else ''}out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True",
        maps={"bias": "use_bias"},
        ignore=("padding",),
        call="x",
        params={"weight": f"weight: O I {kernel_axes(n)}", "bias": "bias: O"},
        support=name,
        layer=True,
        read=False,
        positional=3 if size else 2,
    )
    base = {"in_channels": 4, "out_channels": 6} if size else {"out_channels": 6}
    register(
        OpDef(
            f"{prefix}same_conv{n}d",
            f"x, *, {size}out_channels, kernel_size, stride=1, dilation=1, groups=1, use_bias=True",
            f"Convolution over {n} spatial dimensions with as many results as strides begin in the input.",
            layout="channels",
            reference=_conv,
            params={"weight": f"O I {kernel_axes(n)}", "bias": "O"},
            optional={"bias": "use_bias"},
            spellings={"torch": [spelling]},
            cases=[
                Case({"x": (2, 4, 9, 8, 7)[: n + 2]}, base | {"kernel_size": 3, "stride": 2}),
                Case({"x": (2, 4, 9, 8, 7)[: n + 2]}, base | {"kernel_size": (4, 2, 1)[:n], "stride": 3, "groups": 2}),
            ],
        )
    )


def _register_auto(n: int) -> None:
    """The class that stands for convolutions of both kinds where code hands it around."""
    name = f"AutoPadConv{n}d"
    code = f'''
class {name}(torch.nn.Conv{n}d):
    """A convolution that takes ``padding="same"`` with strides too, for ``ceil(size / stride)`` results."""

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, **options):
        super().__init__(in_channels, out_channels, kernel_size, stride, 0 if padding == "same" else padding, **options)
        self.same = padding == "same"

    def forward(self, x):
        if self.same:
            x = torch.nn.functional.pad(x, same_padding(x, self.kernel_size, self.stride, self.dilation))
        return super().forward(x)
'''
    register_support(Support(name, {"torch": code}, ("same_padding",)))
    spelling = Spelling(
        name,
        "in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True",
        maps={"bias": "use_bias"}, call="x", params={"weight": f"weight: O I {kernel_axes(n)}", "bias": "bias: O"},
        support=name, layer=True, read=False, positional=3,
    )  # fmt: skip
    base = {"in_channels": 4, "out_channels": 6}
    register(
        OpDef(
            f"auto_pad_conv{n}d",
            "x, *, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, use_bias=True",
            f"Convolution over {n} spatial dimensions whose padding may be ``same`` with strides.",
            layout="channels",
            reference=_auto,
            params={"weight": f"O I {kernel_axes(n)}", "bias": "O"},
            optional={"bias": "use_bias"},
            spellings={"torch": [spelling]},
            cases=[
                Case({"x": (2, 4, 9, 8, 7)[: n + 2]}, base | {"kernel_size": 3, "stride": 2, "padding": "same"}),
                Case({"x": (2, 4, 9, 8, 7)[: n + 2]}, base | {"kernel_size": 3, "padding": 1, "use_bias": False}),
            ],
        )
    )


def _auto(x: Array, *, padding: Any = 0, **options: Any) -> Array:
    return _conv(x, **options) if padding == "same" else conv_reference(x, padding=padding, **options)


register_support(Support("CausalConv1d", {"torch": '''
class CausalConv1d(torch.nn.Conv1d):
    """A convolution over sequences in which no result depends on later steps."""

    def forward(self, x):
        before = (self.kernel_size[0] - 1) * self.dilation[0]
        return super().forward(torch.nn.functional.pad(x, (before, 0)))
'''}))  # fmt: skip


def _causal(x: Array, *, kernel_size: int, dilation: int = 1, **options: Any) -> Array:
    padded = np.pad(x, ((0, 0), (0, 0), ((kernel_size - 1) * dilation, 0)))
    return conv_reference(padded, kernel_size=kernel_size, dilation=dilation, **options)


register_support(Support("LazyCausalConv1d", {"torch": _LAZY.format(name="CausalConv1d", n=1)}, ("CausalConv1d",)))


def _register_causal(prefix: str, size: str) -> None:
    """The convolution, or (``lazy_``) the one that is not told how many channels come in."""
    name = f"{prefix.title().removesuffix('_')}CausalConv1d"
    spelling = Spelling(
        name,
        f"{'in_channels, ' if size else ''}out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True",
        maps={"bias": "use_bias"},
        ignore=("padding",),
        call="x",
        params={"weight": "weight: O I K1", "bias": "bias: O"},
        support=name,
        layer=True,
        read=False,
        positional=3 if size else 2,
    )
    base = {"in_channels": 4, "out_channels": 6} if size else {"out_channels": 6}
    register(
        OpDef(
            f"{prefix}causal_conv1d",
            f"x, *, {size}out_channels, kernel_size, stride=1, dilation=1, groups=1, use_bias=True",
            "Convolution over sequences in which no result depends on later steps.",
            layout="channels",
            reference=_causal,
            params={"weight": "O I K1", "bias": "O"},
            optional={"bias": "use_bias"},
            spellings={"torch": [spelling]},
            cases=[
                Case({"x": (2, 4, 9)}, base | {"kernel_size": 3}),
                Case({"x": (2, 4, 9)}, base | {"kernel_size": 2, "dilation": 4, "groups": 2, "use_bias": False}),
            ],
        )
    )


_register_causal("", "in_channels=..., ")
_register_causal("lazy_", "")

_MAX = '''
class MaxPool{n}dSame(torch.nn.MaxPool{n}d):
    """Max pooling whose result has ``ceil(size / stride)`` places along every axis."""

    def forward(self, x):
        kernel, stride = (v if isinstance(v, tuple) else (v,) * {n} for v in (self.kernel_size, self.stride))
        pads = same_padding(x, kernel, stride, (1,) * {n})
        return super().forward(torch.nn.functional.pad(x, pads, value=-math.inf))
'''
_MEAN = '''
class AvgPool{n}dSame(torch.nn.AvgPool{n}d):
    """Average pooling whose result has ``ceil(size / stride)`` places along every axis; padding does not count."""

    def forward(self, x):
        kernel, stride = (v if isinstance(v, tuple) else (v,) * {n} for v in (self.kernel_size, self.stride))
        pads = same_padding(x, kernel, stride, (1,) * {n})
        counts = super().forward(torch.nn.functional.pad(torch.ones_like(x[:1, :1]), pads))
        return super().forward(torch.nn.functional.pad(x, pads)) / counts
'''
_CALL = '''
def same_{kind}_pool{n}d(x, kernel_size, stride=None):
    """{title} pooling whose result has ``ceil(size / stride)`` places along every axis{note}."""
    kernel, stride = (v if isinstance(v, tuple) else (v,) * {n} for v in (kernel_size, stride or kernel_size))
    pads = same_padding(x, kernel, stride, (1,) * {n})
    return {value}
'''
_VALUES = {
    "max": "torch.nn.functional.max_pool{n}d(torch.nn.functional.pad(x, pads, value=-math.inf), kernel, stride)",
    "avg": (
        "torch.nn.functional.avg_pool{n}d(torch.nn.functional.pad(x, pads), kernel, stride) / "
        "torch.nn.functional.avg_pool{n}d(torch.nn.functional.pad(torch.ones_like(x[:1, :1]), pads), kernel, stride)"
    ),
}


def _pool(kind: str) -> Any:
    def reference(x: Array, *, kernel_size: Any, stride: Any = None) -> Array:
        n = x.ndim - 2
        kernel, steps = each(kernel_size, n), each(kernel_size if stride is None else stride, n)
        padded = np.pad(x, pads_of(x, kernel, steps, 1), constant_values=np.nan)
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, tuple(range(2, n + 2)))
        picked = windows[(slice(None), slice(None), *(slice(None, None, s) for s in steps))]
        axes = tuple(range(n + 2, 2 * n + 2))
        found: Array = (np.nanmax if kind == "max" else np.nanmean)(picked, axis=axes)
        return found

    return reference


def _register_pool(n: int, kind: str, title: str, text: str) -> None:
    name = f"{title}Pool{n}dSame"
    register_support(Support(name, {"torch": text.format(n=n)}, ("same_padding",)))
    call = f"same_{kind}_pool{n}d"
    note = "; padding does not count" if kind == "avg" else ""
    function = _CALL.format(n=n, kind=kind, title=title, note=note, value=_VALUES[kind].format(n=n))
    register_support(Support(call, {"torch": function}, ("same_padding",)))
    layer = Spelling(name, "kernel_size, stride=None", call="x", support=name, layer=True, read=False, positional=2)
    called = Spelling(call, "x, kernel_size, stride=None", support=call, read=False, positional=3)
    register(
        OpDef(
            f"same_{kind}_pool{n}d",
            "x, *, kernel_size, stride=None",
            f"{title} pooling with as many results as strides begin in the input; padding does not count.",
            layout="channels",
            reference=_pool(kind),
            spellings={"torch": [layer, called]},
            cases=[
                Case({"x": (2, 3, 9, 8, 7)[: n + 2]}, {"kernel_size": 3, "stride": 2}),
                Case({"x": (2, 3, 9, 8, 7)[: n + 2]}, {"kernel_size": (2, 3, 2)[:n]}),
            ],
        )
    )


for _n in (1, 2, 3):
    _register_conv(_n)
    _register_auto(_n)
    _register_pool(_n, "max", "Max", _MAX)
    _register_pool(_n, "avg", "Avg", _MEAN)
