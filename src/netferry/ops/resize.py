"""Resizing images and sequences, and rearrangements between channels and space."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from netferry.ops.conv import each
from netferry.ops.core import Case, Conversion, OpDef, Spelling
from netferry.ops.forms import supported, template
from netferry.ops.layer_forms import functional, support_layer, torch_layer
from netferry.ops.registry import register
from netferry.ops.shared import keras_support, layer_calling

Array = np.ndarray[Any, Any]

# -- interpolation -----------------------------------------------------------------------------------------------------


def cubic(distance: Array) -> Array:
    """The cubic convolution kernel with the coefficient -0.75."""
    d = np.abs(distance)
    near = (1.25 * d - 2.25) * d * d + 1
    far = ((-0.75 * d + 3.75) * d - 6) * d + 3
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def _matrix(size: int, count: int, factor: float | None, mode: str, align_corners: bool | None) -> Array:
    """What each of ``count`` results takes of each of ``size`` values."""
    step = size / count if factor is None else 1 / factor
    if mode.startswith("nearest"):
        shift = 0.5 if mode == "nearest-exact" else 0.0
        index = [min(math.floor((i + shift) * step), size - 1) for i in range(count)]
        return np.eye(size)[index]
    places = (
        np.arange(count) * (size - 1) / max(count - 1, 1) if align_corners else (np.arange(count) + 0.5) * step - 0.5
    )
    matrix = np.zeros((count, size))
    places = places if mode == "bicubic" else np.maximum(places, 0)
    for row, place in zip(matrix, places, strict=True):
        low = math.floor(place)
        for tap in range(low - 1, low + 3):
            weight = cubic(place - tap) if mode == "bicubic" else max(0.0, 1 - abs(place - tap))
            row[min(max(tap, 0), size - 1)] += weight
    return matrix


def _area(size: int, count: int) -> Array:
    matrix = np.zeros((count, size))
    for i, row in enumerate(matrix):
        cell = slice(i * size // count, -(-(i + 1) * size // count))
        row[cell] = 1 / len(row[cell])
    return matrix


def _resize(
    x: Array, *, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None, rank: int | None = None,
) -> Array:  # fmt: skip
    n = x.ndim - 2
    factors = each(scale_factor, n)
    counts = (
        each(size, n) if size is not None else [math.floor(s * f) for s, f in zip(x.shape[2:], factors, strict=True)]
    )
    for axis, (count, factor) in enumerate(zip(counts, factors, strict=True), start=2):
        used = None if recompute_scale_factor or size is not None else factor
        length = x.shape[axis]
        matrix = _area(length, count) if mode == "area" else _matrix(length, count, used, mode, align_corners)
        x = np.moveaxis(np.moveaxis(x, axis, -1) @ matrix.T, -1, axis)
    return x


keras_support(
    "interpolation_taps",
    '''
def interpolation_taps(size, count, step, mode, align_corners):
    """For every tap, which of ``size`` entries each of ``count`` results takes, and with what weight."""
    positions = (np.arange(count) + 0.5) * step - 0.5
    if align_corners:
        positions = np.arange(count) * (size - 1) / max(count - 1, 1)
    if mode != "bicubic":
        positions = np.maximum(positions, 0)
    low = np.floor(positions).astype(int)
    t = positions - low
    if mode == "bicubic":
        near = lambda d: (1.25 * d - 2.25) * d * d + 1
        far = lambda d: ((-0.75 * d + 3.75) * d - 6) * d + 3
        weights = {-1: far(1 + t), 0: near(t), 1: near(1 - t), 2: far(2 - t)}
    else:
        weights = {0: 1 - t, 1: t}
    return [(np.clip(low + offset, 0, size - 1), weight) for offset, weight in weights.items()]
''',
)
keras_support(
    "interpolate",
    '''
def interpolate(x, size=None, scale_factor=None, mode="nearest", align_corners=False, recompute_scale_factor=False):
    """Resize the spatial axes of channels-last data to ``size`` or by ``scale_factor``.

    Modes: nearest, nearest-exact, linear, bilinear, trilinear, bicubic (coefficient -0.75), area.
    """
    rank = len(x.shape) - 2
    sizes = (size,) * rank if size is None or isinstance(size, int) else size
    factors = (scale_factor,) * rank if scale_factor is None or isinstance(scale_factor, (int, float)) else scale_factor
    for axis, count, factor in zip(range(1, rank + 1), sizes, factors):
        length = x.shape[axis]
        count = int(length * factor) if count is None else int(count)
        step = length / count if size is not None or recompute_scale_factor else 1 / factor
        if mode == "area":
            x = adaptive_average_pool(x, [None] * (axis - 1) + [count] + [None] * (rank - axis))
        elif mode.startswith("nearest"):
            shift = 0.5 if mode == "nearest-exact" else 0.0
            index = np.minimum(np.floor((np.arange(count) + shift) * step), length - 1).astype(int)
            x = keras.ops.take(x, index, axis=axis)
        else:
            parts = []
            for index, weight in interpolation_taps(length, count, step, mode, align_corners):
                weight = weight.reshape([-1] + [1] * (rank + 1 - axis))
                parts.append(keras.ops.take(x, index, axis=axis) * keras.ops.convert_to_tensor(weight, dtype=x.dtype))
            x = sum(parts)
    return x
''',
    requires=("pooling_options", "adaptive_average_pool", "interpolation_taps"),
)


_LOOP = """rank = len(x.shape) - 2
    sizes, factors = ((v,) * rank if v is None or isinstance(v, (int, float)) else v for v in (size, scale_factor))
    for axis, (count, factor) in enumerate(zip(sizes, factors), start=1):
        length = x.shape[axis]
        count, step = (int(length * factor), 1 / factor) if count is None else (int(count), length / count)"""
keras_support(
    "resize_nearest",
    f'''
def resize_nearest(x, size=None, scale_factor=None):
    """Resize the spatial axes of channels-last data to `size` or by `scale_factor`: the nearest entries, rounded down."""
    {_LOOP}
        nearest = np.minimum((np.arange(count) * step).astype(int), length - 1)
        x = keras.ops.take(x, nearest, axis=axis)
    return x
''',
)
keras_support(
    "resize_linear",
    f'''
def resize_linear(x, size=None, scale_factor=None, align_corners=False):
    """Resize the spatial axes of channels-last data to `size` or by `scale_factor`, with linear interpolation."""
    {_LOOP}
        at = np.maximum((np.arange(count) + 0.5) * step - 0.5, 0)
        if align_corners:
            at = np.arange(count) * (length - 1) / max(count - 1, 1)
        low = at.astype(int)
        t = keras.ops.convert_to_tensor((at - low).reshape([-1] + [1] * (rank + 1 - axis)), dtype=x.dtype)
        high = keras.ops.take(x, np.minimum(low + 1, length - 1), axis=axis)
        x = keras.ops.take(x, low, axis=axis) * (1 - t) + high * t
    return x
''',
)

_REST = "size=None, scale_factor=None, mode='nearest', align_corners=None, recompute_scale_factor=None"
layer_calling("Interpolation", "interpolate", "Resizes the spatial axes of channels-last data.", _REST)
_SIZES = "size=None, scale_factor=None"
_ALIGNED = f"{_SIZES}, align_corners=None"
layer_calling("NearestResizing", "resize_nearest", "Resizes the spatial axes of channels-last data.", _SIZES)
layer_calling("LinearResizing", "resize_linear", "Resizes the spatial axes of channels-last data.", _ALIGNED)
_BILINEAR = {"mode": "bilinear", "align_corners": True}
_NEAREST = {"mode": "nearest", "align_corners": None}


def _interpolations() -> list[Spelling]:
    return [
        functional("interpolate", f"{_REST}, antialias=False", fixed={"antialias": False}),
        torch_layer("Upsample", _REST),
        torch_layer("UpsamplingNearest2d", _SIZES, implies=_NEAREST, write=False),
        torch_layer("UpsamplingBilinear2d", _SIZES, implies=_BILINEAR, write=False),
        functional("upsample", "size=None, scale_factor=None, mode='nearest', align_corners=None", write=False),
        functional("upsample_nearest", _SIZES, implies=_NEAREST, write=False),
        functional("upsample_bilinear", _SIZES, implies=_BILINEAR, write=False),
    ]


def _is_whole(factor: Any) -> bool:
    """One whole number for all axes."""
    return isinstance(factor, int | float) and factor == int(factor)


def _repetitions(package: str, repeat: str) -> list[Spelling]:
    """Nearest neighbours of a whole factor are repetitions; Keras's layers are told apart by the rank."""
    whole = Conversion("scale_factor", write="int({})")
    made = []
    for n in (1, 2, 3):
        when = {"mode": "nearest", "size": None, "scale_factor": _is_whole, "rank": n + 2}
        call = "{x}"
        for axis in range(1, n + 1):
            call = f"{repeat}({call}, {{scale_factor}}, axis={axis})"
        made += [
            template(
                f"{package}.layers.UpSampling{n}D({{scale_factor}})",
                layer=True,
                call="x",
                maps={"scale_factor": whole},
                when=when,
            ),
            template(call, maps={"scale_factor": whole}, when=when),
        ]
    return made


def _by_mode() -> list[Spelling]:
    """What one way of resizing needs, in short."""
    made = []
    for n, linear in enumerate(("linear", "bilinear", "trilinear"), start=1):
        plain = {"recompute_scale_factor": lambda value: not value, "rank": n + 2}
        made += [
            support_layer("NearestResizing", _SIZES, when={"mode": "nearest", "align_corners": None, **plain}),
            supported("resize_nearest", f"x, {_SIZES}", when={"mode": "nearest", "align_corners": None, **plain}),
            support_layer("LinearResizing", _ALIGNED, when={"mode": linear, **plain}),
            supported("resize_linear", f"x, {_ALIGNED}", when={"mode": linear, **plain}),
        ]
    return made


def _targets(package: str, repeat: str) -> list[Spelling]:
    return [
        *_repetitions(package, repeat),
        *_by_mode(),
        support_layer("Interpolation", _REST, positional=0),
        supported("interpolate", f"x, {_REST}"),
    ]


_IMAGE = (2, 3, 5, 4)
_BY_SIZE: list[Mapping[str, Any]] = [{"size": (7, 3)}, {"size": 6}]
_BY_FACTOR: list[Mapping[str, Any]] = [{"scale_factor": 2}, {"scale_factor": (1.7, 0.6)}]
register(
    OpDef(
        "interpolate",
        f"x, *, {_REST}, rank=...",
        "Resizes the spatial axes.",
        layout="channels",
        reference=_resize,
        spellings={
            "torch": _interpolations(),
            "tensorflow": _targets("tf.keras", "tf.repeat"),
            "keras": _targets("keras", "keras.ops.repeat"),
        },
        cases=[
            *(
                Case({"x": _IMAGE}, {**size, "mode": mode})
                for mode in ("nearest", "nearest-exact", "bilinear", "bicubic", "area")
                for size in (*_BY_SIZE, *_BY_FACTOR)
            ),
            *(
                Case({"x": _IMAGE}, {**size, "mode": mode, "align_corners": True})
                for mode in ("bilinear", "bicubic")
                for size in (_BY_SIZE[0], _BY_FACTOR[1])
            ),
            Case({"x": _IMAGE}, {"scale_factor": 1.7, "mode": "bilinear", "recompute_scale_factor": True}),
            Case({"x": _IMAGE}, {"size": (1, 7), "mode": "bilinear", "align_corners": True}),
            *(
                Case({"x": _IMAGE}, {**size, "mode": mode, "rank": 4})
                for mode in ("nearest", "bilinear")
                for size in (*_BY_SIZE, _BY_FACTOR[1])
            ),
            Case({"x": _IMAGE}, {"size": (1, 7), "mode": "bilinear", "align_corners": True, "rank": 4}),
            Case({"x": _IMAGE}, {"scale_factor": (1.7, 0.6), "mode": "bilinear", "align_corners": True, "rank": 4}),
            Case({"x": (2, 3, 5)}, {"size": 8, "mode": "linear", "rank": 3}),
            Case({"x": (2, 3, 5, 4, 3)}, {"scale_factor": 2, "mode": "trilinear", "rank": 5}),
            Case({"x": (2, 3, 5)}, {"size": 8, "mode": "linear"}),
            Case({"x": (2, 3, 5, 4, 3)}, {"scale_factor": 2, "mode": "trilinear"}),
            *(Case({"x": (2, 3, 5, 4, 3)[:rank]}, {"scale_factor": 2.0, "rank": rank}) for rank in (3, 4, 5)),
        ],
    )
)

# -- between channels and space ----------------------------------------------------------------------------------------


def _shuffle(x: Array, *, factor: int) -> Array:
    b, c, h, w = x.shape
    parts = x.reshape(b, c // factor**2, factor, factor, h, w)
    return parts.transpose(0, 1, 4, 2, 5, 3).reshape(b, c // factor**2, h * factor, w * factor)


def _unshuffle(x: Array, *, factor: int) -> Array:
    b, c, h, w = x.shape
    parts = x.reshape(b, c, h // factor, factor, w // factor, factor)
    return parts.transpose(0, 1, 3, 5, 2, 4).reshape(b, c * factor**2, h // factor, w // factor)


def _channel_shuffle(x: Array, *, groups: int) -> Array:
    b, c, *sizes = x.shape
    return x.reshape(b, groups, c // groups, *sizes).swapaxes(1, 2).reshape(x.shape)


keras_support(
    "pixel_shuffle",
    '''
def pixel_shuffle(x, factor):
    """Spread channels over space (channels-last data): channel c * factor² + i * factor + j goes to row i, column j."""
    batch, height, width, channels = keras.ops.shape(x)[0], x.shape[1], x.shape[2], x.shape[3] // factor**2
    x = keras.ops.reshape(x, (batch, height, width, channels, factor, factor))
    x = keras.ops.transpose(x, (0, 1, 4, 2, 5, 3))
    return keras.ops.reshape(x, (batch, height * factor, width * factor, channels))
''',
)
keras_support(
    "pixel_unshuffle",
    '''
def pixel_unshuffle(x, factor):
    """Gather space into channels (channels-last data): row i, column j goes to channel c * factor² + i * factor + j."""
    batch, height, width, channels = keras.ops.shape(x)[0], x.shape[1] // factor, x.shape[2] // factor, x.shape[3]
    x = keras.ops.reshape(x, (batch, height, factor, width, factor, channels))
    x = keras.ops.transpose(x, (0, 1, 3, 5, 2, 4))
    return keras.ops.reshape(x, (batch, height, width, channels * factor**2))
''',
)
keras_support(
    "channel_shuffle",
    '''
def channel_shuffle(x, groups):
    """Deal the channels of channels-last data out over groups in turn."""
    parts = keras.ops.reshape(x, (-1, groups, x.shape[-1] // groups))
    return keras.ops.reshape(keras.ops.transpose(parts, (0, 2, 1)), keras.ops.shape(x))
''',
)
for _name, _title, _function, _argument, _attribute, _reference, _shape in (
    ("pixel_shuffle", "PixelShuffle", "pixel_shuffle", "upscale_factor", "factor", _shuffle, (2, 12, 3, 5)),
    ("pixel_unshuffle", "PixelUnshuffle", "pixel_unshuffle", "downscale_factor", "factor", _unshuffle, (2, 3, 4, 6)),
    ("channel_shuffle", "ChannelShuffle", "channel_shuffle", "groups", "groups", _channel_shuffle, (2, 6, 4, 5)),
):
    _doc = (
        "Deals channels out over groups in turn."
        if _attribute == "groups"
        else "Moves values between channels and space."
    )
    layer_calling(_title, _function, _doc, _attribute)
    _spelled = [support_layer(_title, _attribute), supported(_function, f"x, {_attribute}", positional=2)]
    _maps = {_argument: _attribute, "input": "x"}
    register(
        OpDef(
            _name,
            f"x, *, {_attribute}",
            _doc,
            layout="channels",
            reference=_reference,
            spellings={
                "torch": [
                    torch_layer(_title, _argument, maps=_maps),
                    functional(_function, _argument, maps=_maps, positional=2),
                    Spelling(f"torch.{_function}", f"input, {_argument}", maps=_maps, write=False),
                ],
                "tensorflow": _spelled,
                "keras": _spelled,
            },
            cases=[Case({"x": _shape}, {_attribute: 2})],
        )
    )
