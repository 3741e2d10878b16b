"""Pooling, with windows of a given size and with a given output size, as layers and as functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling, Support
from netferry.ops.forms import template
from netferry.ops.registry import register, register_support

KERAS = {"tensorflow": "tf.keras", "keras": "keras"}


def _each(value: Any, n: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,) * n


def output_size(size: int, kernel: int, stride: int, padding: int, dilation: int, *, ceil: bool) -> int:
    """How many windows fit; with ``ceil`` a last one may hang over, if it starts inside the input or its left padding."""
    span = dilation * (kernel - 1) + 1
    count = (size + 2 * padding - span) / stride
    found = (math.ceil(count) if ceil else math.floor(count)) + 1
    return found - 1 if ceil and (found - 1) * stride >= size + padding else found


def _windows(n: int, x: Any, a: dict[str, Any], reduce: Callable[[Any, tuple[Any, ...]], Any]) -> Any:
    kernel = _each(a["kernel_size"], n)
    stride = kernel if a.get("stride") is None else _each(a["stride"], n)
    padding, dilation = _each(a.get("padding", 0), n), _each(a.get("dilation", 1), n)
    sizes = [output_size(x.shape[2 + i], kernel[i], stride[i], padding[i], dilation[i], ceil=a.get("ceil_mode", False)) for i in range(n)]
    out = np.zeros((*x.shape[:2], *sizes))
    for at in product(*map(range, sizes)):
        starts = [at[i] * stride[i] - padding[i] for i in range(n)]
        spans = tuple(range(s, s + dilation[i] * (kernel[i] - 1) + 1, dilation[i]) for i, s in enumerate(starts))
        out[(slice(None), slice(None), *at)] = reduce(x, spans)
    return out


def _inside(x: Any, spans: tuple[Any, ...]) -> Any:
    index = [[p for p in span if 0 <= p < x.shape[2 + i]] for i, span in enumerate(spans)]
    return x[np.ix_(range(x.shape[0]), range(x.shape[1]), *index)]


def _max(n: int) -> Callable[..., Any]:
    axes = tuple(range(2, n + 2))
    return lambda x, **a: _windows(n, x, a, lambda x, spans: _inside(x, spans).max(axes))


def _average(n: int) -> Callable[..., Any]:
    axes = tuple(range(2, n + 2))

    def reference(x: Any, **a: Any) -> Any:
        padding = _each(a.get("padding", 0), n)

        def reduce(x: Any, spans: tuple[Any, ...]) -> Any:
            values = _inside(x, spans)
            if a.get("divisor_override"):
                return values.sum(axes) / a["divisor_override"]
            if not a.get("count_include_pad", True):
                return values.mean(axes)
            counted = math.prod(len([p for p in s if p < x.shape[2 + i] + padding[i]]) for i, s in enumerate(spans))
            return values.sum(axes) / counted

        return _windows(n, x, a, reduce)

    return reference


def _torch(n: int, layer: str, function: str, rest: str, *, ignore: tuple[str, ...] = (), fixed: dict[str, Any] | None = None) -> list[Spelling]:
    options: dict[str, Any] = {"ignore": ignore, "fixed": fixed or {}}
    found = [
        Spelling(f"torch.nn.{layer}{n}d", f"kernel_size, {rest}", {"input": "x"}, layer=True, call="input", **options),
        Spelling(f"torch.nn.functional.{function}{n}d", f"input, kernel_size, {rest}", {"input": "x"}, **options),
    ]
    return found


def _keras(n: int, kind: str, helper: str, attributes: str) -> dict[str, list[Spelling]]:
    """Plain pooling where nothing is padded; else a support layer or function with explicit padding."""
    plain = {"padding": 0, "ceil_mode": False}
    named = ", ".join(f"{a}={{{a}}}" for a in attributes.split())
    made: dict[str, list[Spelling]] = {}
    for framework, prefix in KERAS.items():
        call = {
            ("tensorflow", "Max"): "tf.nn.max_pool({x}, {kernel_size}, {stride}, padding='VALID')",
            ("tensorflow", "Average"): "tf.nn.avg_pool({x}, {kernel_size}, {stride}, padding='VALID')",
            ("keras", "Max"): "keras.ops.max_pool({x}, {kernel_size}, {stride})",
            ("keras", "Average"): "keras.ops.average_pool({x}, {kernel_size}, {stride})",
        }[framework, kind]
        extra = {"dilation": 1} if kind == "Max" else {"divisor_override": None}
        made[framework] = [
            Spelling(f"{prefix}.layers.{kind}Pooling{n}D", "pool_size, strides=None, padding='valid', data_format=None",
                     {"pool_size": "kernel_size", "strides": "stride", "inputs": "x"}, fixed={"padding": "valid", "data_format": None},
                     when={**plain, **extra}, layer=True, call="inputs"),
            Spelling(f"{prefix}.layers.{kind}Pooling{n}D", "pool_size, strides=None, padding='valid', data_format=None",
                     {"pool_size": "kernel_size", "strides": "stride", "inputs": "x"}, fixed={"padding": "same", "data_format": None},
                     when={"padding": "same", "ceil_mode": False, **extra}, layer=True, call="inputs"),
            *_padded(f"{prefix}.layers.Lambda(lambda x: CALL)", kind, extra, layer=True),
            template(f"{prefix}.layers.Lambda(lambda x: {helper}(x, {named}))", layer=True, support=helper),
            template(call, when={**plain, **extra, "stride": lambda s: s is not None}),
            template(call.replace("{stride}", "{kernel_size}"), when={**plain, **extra, "stride": None}),
            *_padded("CALL", kind, extra, layer=False),
            template(f"{helper}({{x}}, {named})", support=helper),
        ]  # fmt: skip
    return made


def _padded(text: str, kind: str, extra: dict[str, Any], *, layer: bool) -> list[Spelling]:
    """Maximum pooling with padding and nothing else unusual: a short function does."""
    if kind != "Max":
        return []
    x = "x" if layer else "{x}"
    call = f"padded_max_pool({x}, {{kernel_size}}, {{stride}}, {{padding}})"
    plain: dict[str, Any] = {**extra, "ceil_mode": False}
    return [
        template(text.replace("CALL", call), layer=layer, support="padded_max_pool", when={**plain, "stride": lambda s: s is not None}),
        template(text.replace("CALL", call.replace("{stride}", "{kernel_size}")), layer=layer, support="padded_max_pool", when={**plain, "stride": None}),
    ]


_SIZES = (2, 3, 9, 7, 6)


def _pools(n: int) -> None:
    shape = _SIZES[: n + 2]
    register(OpDef(
        f"max_pool{n}d", "x, *, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False",
        "The largest value of every window; padding never wins.", layout="channels", reference=_max(n),
        spellings={
            "torch": _torch(n, "MaxPool", "max_pool", "stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False", fixed={"return_indices": False})[:1]
            + [Spelling(f"torch.nn.functional.max_pool{n}d", "input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False",
                        {"input": "x"}, fixed={"return_indices": False}),
               Spelling(f"torch.max_pool{n}d", "input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False", {"input": "x"}, write=False)],
            **_keras(n, "Max", "max_pool", "kernel_size stride padding dilation ceil_mode"),
        },
        cases=[Case({"x": shape}, a) for a in (
            {"kernel_size": 2}, {"kernel_size": 3, "stride": 2}, {"kernel_size": 3, "stride": 2, "padding": 1},
            {"kernel_size": 3, "stride": 1, "padding": 1}, {"kernel_size": 2, "stride": 2, "ceil_mode": True},
            {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}, {"kernel_size": 2, "dilation": 2, "stride": 1})],
    ))  # fmt: skip
    rest = "stride=None, padding=0, ceil_mode=False, count_include_pad=True" + (", divisor_override=None" if n > 1 else "")
    spelled = "kernel_size stride padding ceil_mode count_include_pad"
    register(OpDef(
        f"avg_pool{n}d", "x, *, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None",
        "The mean of every window.", layout="channels", reference=_average(n),
        spellings={"torch": _torch(n, "AvgPool", "avg_pool", rest), **_keras(n, "Average", "avg_pool", spelled)},
        cases=[Case({"x": shape}, a) for a in (
            {"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": 3, "stride": 1, "padding": 1, "count_include_pad": False},
            {"kernel_size": 2, "stride": 2, "ceil_mode": True}, {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False})],
    ))  # fmt: skip


def _adaptive_reference(n: int, kind: str) -> Callable[..., Any]:
    def reference(x: Any, *, output_size: Any) -> Any:
        sizes = [x.shape[2 + i] if s is None else s for i, s in enumerate(_each(output_size, n))]
        out = np.zeros((*x.shape[:2], *sizes))
        for at in product(*map(range, sizes)):
            index = tuple(slice(at[i] * x.shape[2 + i] // sizes[i], -(-(at[i] + 1) * x.shape[2 + i] // sizes[i])) for i in range(n))
            part = x[(slice(None), slice(None), *index)]
            out[(slice(None), slice(None), *at)] = getattr(part, kind)(tuple(range(2, n + 2)))
        return out

    return reference


def _adaptive(n: int, kind: str, title: str, keras_kind: str) -> None:
    axes = tuple(range(1, n + 1))
    reduce = {"tensorflow": {"mean": "tf.reduce_mean", "max": "tf.reduce_max"}[kind], "keras": {"mean": "keras.ops.mean", "max": "keras.ops.max"}[kind]}
    helper = f"adaptive_{'avg' if kind == 'mean' else 'max'}_pool"
    rest = "output_size" if kind == "mean" else "output_size, return_indices=False"
    fixed = {} if kind == "mean" else {"return_indices": False}
    is_one = {"output_size": lambda s: s == 1 or (isinstance(s, list | tuple) and all(v == 1 for v in s))}
    spellings: dict[str, list[Spelling]] = {
        "torch": [Spelling(f"torch.nn.Adaptive{title}Pool{n}d", rest, {"input": "x"}, fixed=fixed, layer=True, call="input"),
                  Spelling(f"torch.nn.functional.adaptive_{title.lower()}_pool{n}d", f"input, {rest}", {"input": "x"}, fixed=fixed)],
    }  # fmt: skip
    for framework, prefix in KERAS.items():
        spellings[framework] = [
            template(f"{prefix}.layers.Global{keras_kind}Pooling{n}D(keepdims=True)", layer=True, when=is_one),
            template(f"{prefix}.layers.Lambda(lambda x: {helper}(x, {{output_size}}))", layer=True, support=helper),
            template(f"{reduce[framework]}({{x}}, axis={axes}, keepdims=True)", when=is_one),
            template(f"{helper}({{x}}, {{output_size}})", support=helper),
        ]
    register(OpDef(
        f"adaptive_{'avg' if kind == 'mean' else 'max'}_pool{n}d", "x, *, output_size", f"The {kind} of as many windows as the output has places.",
        layout="channels", reference=_adaptive_reference(n, kind), spellings=spellings,
        cases=[Case({"x": _SIZES[: n + 2]}, {"output_size": s}) for s in (1, 3, (1,) * n, 4 if n == 1 else (4, 3, 2)[:n])],
    ))  # fmt: skip


for _n in (1, 2, 3):
    _pools(_n)
    _adaptive(_n, "mean", "Avg", "Average")
    _adaptive(_n, "max", "Max", "Max")

_PADS = '''
def pooling_pads(x, kernel_size, stride, padding, dilation=1, ceil_mode=False):
    """What to pad before and behind each spatial axis (channels last) so that the last window fits."""
    rank = len(x.shape) - 2
    every = lambda value: value if isinstance(value, (tuple, list)) else (value,) * rank
    pads = []
    for size, k, s, p, d in zip(x.shape[1:-1], *map(every, (kernel_size, stride or kernel_size, padding, dilation))):
        over = 0
        if ceil_mode:
            rest = (size + 2 * p - d * (k - 1) - 1) % s
            count = (size + 2 * p - d * (k - 1) - 1 + (s - rest if rest else 0)) // s
            over = s - rest if rest and count * s < size + p else 0
        pads.append((p, p + over))
    return pads
'''
_MAX = '''
def max_pool(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Max pooling with explicit padding (of minus infinity, so that it never wins)."""
    pads = pooling_pads(x, kernel_size, stride, padding, dilation, ceil_mode)
    x = PAD(x, [(0, 0), *pads, (0, 0)], constant_values=-float("inf"))
    return POOL
'''
_PADDED = '''
def padded_max_pool(x, pool_size, strides, padding):
    """Max pooling with explicit padding on both sides (of minus infinity, so that it never wins)."""
    sides = padding if isinstance(padding, (tuple, list)) else (padding,) * (len(x.shape) - 2)
    x = PAD(x, [(0, 0), *((p, p) for p in sides), (0, 0)], constant_values=-float("inf"))
    return POOL
'''
_AVERAGE = '''
def avg_pool(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """Average pooling with explicit padding, which counts in the mean or not."""
    pads = pooling_pads(x, kernel_size, stride, padding, ceil_mode=ceil_mode)
    inner = pooling_pads(x, kernel_size, stride, padding) if count_include_pad else [(0, 0)] * len(pads)
    counted = PAD(ONES, [(0, 0), *inner, (0, 0)])
    over = [(a - c, b - d) for (a, b), (c, d) in zip(pads, inner)]
    x = PAD(x, [(0, 0), *pads, (0, 0)])
    counted = PAD(counted, [(0, 0), *over, (0, 0)])
    return AVERAGE(x) / AVERAGE(counted)
'''
_ADAPTIVE = '''
def adaptive_NAME_pool(x, output_size):
    """The WORD of as many windows as the output has places along each spatial axis (channels last)."""
    rank = len(x.shape) - 2
    sizes = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * rank
    for axis, (size, count) in enumerate(zip(x.shape[1:-1], sizes), start=1):
        if count is None or count == size:
            continue
        index = (slice(None),) * axis
        parts = [x[(*index, slice(i * size // count, -(-(i + 1) * size // count)))] for i in range(count)]
        x = CONCAT([REDUCE(part, axis=axis, keepdims=True) for part in parts], axis=axis)
    return x
'''


def _texts(code: str, **words: tuple[str, str]) -> dict[str, str]:
    made = {"tensorflow": code, "keras": code}
    for word, (tensorflow, keras) in words.items():
        made = {"tensorflow": made["tensorflow"].replace(word, tensorflow), "keras": made["keras"].replace(word, keras)}
    return made


register_support(Support("pooling_pads", _texts(_PADS)))
register_support(Support("padded_max_pool", _texts(
    _PADDED, PAD=("tf.pad", "keras.ops.pad"),
    POOL=('tf.nn.max_pool(x, pool_size, strides, padding="VALID")', "keras.ops.max_pool(x, pool_size, strides)"),
)))  # fmt: skip
register_support(Support("max_pool", _texts(
    _MAX, PAD=("tf.pad", "keras.ops.pad"),
    POOL=('tf.nn.pool(x, kernel_size, "MAX", strides=stride or kernel_size, dilations=dilation)', "keras.ops.max_pool(x, kernel_size, stride or kernel_size)"),
), requires=("pooling_pads",)))  # fmt: skip
register_support(Support("avg_pool", _texts(
    _AVERAGE, PAD=("tf.pad", "keras.ops.pad"), ONES=("tf.ones_like(x)", "keras.ops.ones_like(x)"),
    **{"AVERAGE(x)": ('tf.nn.avg_pool(x, kernel_size, stride or kernel_size, padding="VALID")', "keras.ops.average_pool(x, kernel_size, stride or kernel_size)"),
       "AVERAGE(counted)": ('tf.nn.avg_pool(counted, kernel_size, stride or kernel_size, padding="VALID")', "keras.ops.average_pool(counted, kernel_size, stride or kernel_size)")},
), requires=("pooling_pads",)))  # fmt: skip
for _name, _word, _reduce in (("avg", "mean", ("tf.reduce_mean", "keras.ops.mean")), ("max", "maximum", ("tf.reduce_max", "keras.ops.max"))):
    register_support(Support(f"adaptive_{_name}_pool", _texts(
        _ADAPTIVE.replace("NAME", _name).replace("WORD", _word), CONCAT=("tf.concat", "keras.ops.concatenate"), REDUCE=_reduce,
    )))  # fmt: skip
