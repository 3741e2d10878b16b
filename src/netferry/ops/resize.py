"""Resizing of spatial axes, and moving values between channels and space."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling, Support
from netferry.ops.forms import template
from netferry.ops.registry import register, register_support

KERAS = {"tensorflow": "tf.keras", "keras": "keras"}
_LINEAR = ("linear", "bilinear", "trilinear")


def _sizes(x: Any, size: Any, scale_factor: Any) -> list[int]:
    inner = x.shape[2:]
    if size is not None:
        return [size] * len(inner) if isinstance(size, int) else list(size)
    factors = scale_factor if isinstance(scale_factor, list | tuple) else [scale_factor] * len(inner)
    return [int(s * f) for s, f in zip(inner, factors, strict=True)]


def _cubic(t: float) -> list[float]:
    """The four weights of cubic convolution with a = -0.75."""
    a = -0.75
    near = lambda d: ((a + 2) * d - (a + 3)) * d * d + 1  # noqa: E731
    far = lambda d: ((a * d - 5 * a) * d + 8 * a) * d - 4 * a  # noqa: E731
    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _taps(mode: str, size: int, out: int, place: int, *, align: bool) -> list[tuple[int, float]]:
    if mode == "nearest":
        return [(place * size // out, 1.0)]
    scale = (size - 1) / (out - 1) if align and out > 1 else 0.0 if align else size / out
    at = place * scale if align else (place + 0.5) * scale - 0.5
    if mode in _LINEAR:
        at = max(at, 0.0)
        low = int(at)
        return [(low, 1 - (at - low)), (min(low + 1, size - 1), at - low)]
    low = int(np.floor(at))
    return [(min(max(low + i - 1, 0), size - 1), w) for i, w in enumerate(_cubic(at - low))]


def _interpolate(
    x: Any, *, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: Any = None
) -> Any:
    sizes = _sizes(x, size, scale_factor)
    out = np.zeros((*x.shape[:2], *sizes))
    for at in product(*map(range, sizes)):
        taps = [_taps(mode, x.shape[2 + i], sizes[i], at[i], align=bool(align_corners)) for i in range(len(sizes))]
        for chosen in product(*taps):
            weight = np.prod([w for _, w in chosen])
            out[(slice(None), slice(None), *at)] += weight * x[(slice(None), slice(None), *[i for i, _ in chosen])]
    return out


def _calls(framework: str, *, layer: bool) -> list[Spelling]:
    x = "x" if layer else "{x}"
    wrap = f"{KERAS[framework]}.layers.Lambda(lambda x: CALL)" if layer else "CALL"
    made: list[Spelling] = []
    arguments = "size={size}, scale_factor={scale_factor}"
    for modes, name, extra in (
        (("nearest",), "resize_nearest", ""), (_LINEAR, "resize_linear", ", align_corners={align_corners}"),
        (("bicubic",), "resize_cubic", ", align_corners={align_corners}"),
    ):  # fmt: skip
        for given, text in (
            (("size",), "size={size}"),
            (("scale_factor",), "scale_factor={scale_factor}"),
            ((), arguments),
        ):
            other = {"size": "scale_factor", "scale_factor": "size"}.get(given[0] if given else "")
            plain = {other: None} if other else {}
            for corners in (False, True) if extra else (False,):
                tail = extra if corners else ""
                when: dict[str, Any] = {"mode": lambda m, modes=modes: m in modes, **plain}
                if extra and not corners:
                    when["align_corners"] = lambda a: not a
                made.append(
                    template(wrap.replace("CALL", f"{name}({x}, {text}{tail})"), layer=layer, when=when, support=name)
                )
    return made


def _spellings() -> dict[str, list[Spelling]]:
    signature = "size=None, scale_factor=None, mode='nearest', align_corners=None"
    made: dict[str, list[Spelling]] = {
        "torch": [
            Spelling("torch.nn.functional.interpolate", f"input, {signature}, recompute_scale_factor=None, antialias=False", {"input": "x"},
                     fixed={"antialias": False}, ignore=("recompute_scale_factor",)),
            Spelling("torch.nn.functional.upsample", f"input, {signature}", {"input": "x"}, write=False),
            Spelling("torch.nn.Upsample", f"{signature}, recompute_scale_factor=None", {"input": "x"}, ignore=("recompute_scale_factor",), layer=True, call="input"),
        ],
    }  # fmt: skip
    for framework, prefix in KERAS.items():
        whole = lambda f: isinstance(f, int) or (isinstance(f, float) and f.is_integer())  # noqa: E731
        made[framework] = [
            template(f"{prefix}.layers.UpSampling2D({{scale_factor}})", layer=True, when={"size": None, "mode": "nearest", "scale_factor": lambda f: isinstance(f, int)}),
            template(f"{prefix}.layers.UpSampling2D(int({{scale_factor}}))", layer=True, when={"size": None, "mode": "nearest", "scale_factor": whole}),
            *_calls(framework, layer=True), *_calls(framework, layer=False),
        ]  # fmt: skip
    return made


register(OpDef(
    "interpolate", "x, *, size=None, scale_factor=None, mode='nearest', align_corners=None", "Resizes the spatial axes.", layout="channels",
    reference=_interpolate, spellings=_spellings(),
    cases=[Case({"x": (2, 3, 5, 4)}, a) for a in (
        {"scale_factor": 2}, {"size": (7, 3)}, {"scale_factor": 2, "mode": "bilinear"}, {"size": (3, 7), "mode": "bilinear", "align_corners": False},
        {"size": (8, 9), "mode": "bilinear", "align_corners": True}, {"scale_factor": 2, "mode": "bicubic"})],
))  # fmt: skip

_INDEX = '''
def resized(size, scale_factor, inner):
    """The new sizes of spatial axes of the sizes `inner`."""
    every = lambda value: value if isinstance(value, (tuple, list)) else (value,) * len(inner)
    return every(size) if size is not None else [int(s * f) for s, f in zip(inner, every(scale_factor))]
'''
_NEAREST = '''
def resize_nearest(x, size=None, scale_factor=None):
    """Resize the spatial axes (channels last) by repeating or leaving out places."""
    for axis, (old, new) in enumerate(zip(x.shape[1:-1], resized(size, scale_factor, x.shape[1:-1])), start=1):
        x = TAKE(x, np.arange(new) * old // new, axis=axis)
    return x
'''
_COMMON = """
    for axis, (old, new) in enumerate(zip(x.shape[1:-1], resized(size, scale_factor, x.shape[1:-1])), start=1):
        if align_corners:
            at = np.arange(new) * ((old - 1) / max(new - 1, 1))
        else:
            at = (np.arange(new) + 0.5) * (old / new) - 0.5
"""
_LINEAR_CODE = (
    '''
def resize_linear(x, size=None, scale_factor=None, align_corners=False):
    """Resize the spatial axes (channels last) by linear interpolation along each."""'''
    + _COMMON
    + """
        at = np.maximum(at, 0.0)
        low = at.astype(int)
        share = CONVERT((at - low).reshape(-1, *[1] * (len(x.shape) - 1 - axis)), dtype=x.dtype)
        x = TAKE(x, low, axis=axis) * (1 - share) + TAKE(x, np.minimum(low + 1, old - 1), axis=axis) * share
    return x
"""
)
_CUBIC_CODE = (
    '''
def resize_cubic(x, size=None, scale_factor=None, align_corners=False):
    """Resize the spatial axes (channels last) by cubic convolution (a = -0.75) along each."""'''
    + _COMMON
    + """
        low = np.floor(at).astype(int)
        t = at - low
        near = lambda d: (1.25 * d - 2.25) * d * d + 1
        far = lambda d: ((-0.75 * d + 3.75) * d - 6) * d + 3
        parts = []
        for offset, share in enumerate((far(t + 1), near(t), near(1 - t), far(2 - t)), start=-1):
            share = CONVERT(share.reshape(-1, *[1] * (len(x.shape) - 1 - axis)), dtype=x.dtype)
            parts.append(TAKE(x, np.clip(low + offset, 0, old - 1), axis=axis) * share)
        x = sum(parts)
    return x
"""
)


def _texts(code: str) -> dict[str, str]:
    return {
        "tensorflow": code.replace("TAKE", "tf.gather").replace("CONVERT", "tf.convert_to_tensor"),
        "keras": code.replace("TAKE", "keras.ops.take").replace("CONVERT", "keras.ops.convert_to_tensor"),
    }


register_support(Support("resized", _texts(_INDEX)))
for _name, _code in (("resize_nearest", _NEAREST), ("resize_linear", _LINEAR_CODE), ("resize_cubic", _CUBIC_CODE)):
    register_support(Support(_name, _texts(_code), requires=("resized",)))


def _shuffled(x: Any, *, factor: int) -> Any:
    n, c, h, w = x.shape
    parts = x.reshape(n, c // factor**2, factor, factor, h, w)
    return parts.transpose(0, 1, 4, 2, 5, 3).reshape(n, c // factor**2, h * factor, w * factor)


def _unshuffled(x: Any, *, factor: int) -> Any:
    n, c, h, w = x.shape
    parts = x.reshape(n, c, h // factor, factor, w // factor, factor)
    return parts.transpose(0, 1, 3, 5, 2, 4).reshape(n, c * factor**2, h // factor, w // factor)


_SHUFFLE = '''
def pixel_shuffle(x, factor):
    """Move blocks of channels into space; the channels of one output pixel lie `factor ** 2` apart."""
    batch, height, width, channels = SHAPE(x)
    x = RESHAPE(x, (batch, height, width, channels // factor**2, factor, factor))
    x = TRANSPOSE(x, (0, 1, 4, 2, 5, 3))
    return RESHAPE(x, (batch, height * factor, width * factor, channels // factor**2))
'''
_UNSHUFFLE = '''
def pixel_unshuffle(x, factor):
    """Move blocks of space into channels; the inverse of pixel_shuffle."""
    batch, height, width, channels = SHAPE(x)
    x = RESHAPE(x, (batch, height // factor, factor, width // factor, factor, channels))
    x = TRANSPOSE(x, (0, 1, 3, 5, 2, 4))
    return RESHAPE(x, (batch, height // factor, width // factor, channels * factor**2))
'''
for _name, _code, _title, _argument, _reference, _shape in (
    ("pixel_shuffle", _SHUFFLE, "PixelShuffle", "upscale_factor", _shuffled, (2, 18, 4, 5)),
    ("pixel_unshuffle", _UNSHUFFLE, "PixelUnshuffle", "downscale_factor", _unshuffled, (2, 3, 6, 9)),
):
    register_support(Support(_name, {
        "tensorflow": _code.replace("SHAPE(x)", "x.shape").replace("RESHAPE", "tf.reshape").replace("TRANSPOSE", "tf.transpose").replace("REx.shape", "x.shape"),
        "keras": _code.replace("RESHAPE", "keras.ops.reshape").replace("SHAPE(x)", "keras.ops.shape(x)").replace("TRANSPOSE", "keras.ops.transpose"),
    }))  # fmt: skip
    register(OpDef(
        _name, "x, *, factor", "Moves values between channels and space.", layout="channels", reference=_reference,
        spellings={
            "torch": [Spelling(f"torch.nn.{_title}", _argument, {_argument: "factor", "input": "x"}, layer=True, call="input"),
                      Spelling(f"torch.nn.functional.{_name}", f"input, {_argument}", {"input": "x", _argument: "factor"})],
            **{f: [template(f"{k}.layers.Lambda(lambda x: {_name}(x, {{factor}}))", layer=True, support=_name),
                   template(f"{_name}({{x}}, {{factor}})", support=_name)] for f, k in KERAS.items()},
        },
        cases=[Case({"x": _shape}, {"factor": 3})],
    ))  # fmt: skip
