"""Sampling images at computed places, and taking them apart into patches."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from netferry.ops.conv import each
from netferry.ops.core import Case, OpDef, Spelling
from netferry.ops.forms import supported
from netferry.ops.layer_forms import functional, support_layer, torch_layer
from netferry.ops.registry import register
from netferry.ops.resize import cubic
from netferry.ops.shared import keras_support, layer_calling

Array = np.ndarray[Any, Any]

# -- grids -------------------------------------------------------------------------------------------------------------


def _reflected(place: float, low: float, high: float) -> float:
    if high == low:
        return 0.0
    distance = abs(place - low)
    turns, rest = divmod(distance, high - low)
    return low + rest if turns % 2 == 0 else high - rest


def _bounded(place: float, size: int, padding_mode: str, align: bool) -> float:
    if padding_mode == "reflection":
        place = _reflected(place, 0, size - 1) if align else _reflected(place, -0.5, size - 0.5)
    return place if padding_mode == "zeros" else min(max(place, 0.0), size - 1.0)


def _taps(value: float, size: int, mode: str, padding_mode: str, align: bool) -> dict[int, float]:
    """The pixels of one axis that a place in [-1, 1] takes, with their weights; what is outside counts as zero."""
    place = (value + 1) / 2 * (size - 1) if align else ((value + 1) * size - 1) / 2
    if mode != "bicubic":
        place = _bounded(place, size, padding_mode, align)
    if mode == "nearest":
        return {round(place): 1.0} if 0 <= round(place) < size else {}
    found: dict[int, float] = {}
    for tap in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
        weight = float(cubic(np.array(place - tap))) if mode == "bicubic" else max(0.0, 1 - abs(place - tap))
        index = round(_bounded(tap, size, padding_mode, align))
        if 0 <= index < size:
            found[index] = found.get(index, 0.0) + weight
    return found


def _grid_sample(
    x: Array, grid: Array, *, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Array:
    out = np.zeros((*x.shape[:2], *grid.shape[1:-1]))
    for b, *at in product(*map(range, grid.shape[:-1])):
        place: tuple[Any, ...] = (b, slice(None), *at)
        values, sizes = grid[b, *at][::-1], x.shape[2:]
        axes = [_taps(v, n, mode, padding_mode, bool(align_corners)) for v, n in zip(values, sizes, strict=True)]
        for taps in product(*(axis.items() for axis in axes)):
            weight = np.prod([w for _, w in taps])
            source: tuple[Any, ...] = (b, slice(None), *(i for i, _ in taps))
            out[place] += weight * x[source]
    return out


keras_support(
    "grid_bounds",
    '''
def grid_bounds(places, size, padding_mode, align_corners):
    """Places of an axis led back into it; those of the mode zeros stay."""
    if padding_mode == "reflection":
        low, high = (0, size - 1) if align_corners else (-0.5, size - 0.5)
        span = max(high - low, 1e-9)
        offset = keras.ops.abs(places - low) % (2 * span)
        places = low + keras.ops.minimum(offset, 2 * span - offset)
    return places if padding_mode == "zeros" else keras.ops.clip(places, 0, size - 1)
''',
)
keras_support(
    "grid_taps",
    '''
def grid_taps(places, size, mode, padding_mode, align_corners):
    """The entries of an axis that samples at places in [-1, 1] take, and their weights: zero outside."""
    places = (places + 1) / 2 * (size - 1) if align_corners else ((places + 1) * size - 1) / 2
    if mode != "bicubic":
        places = grid_bounds(places, size, padding_mode, align_corners)
    low = keras.ops.floor(places)
    t = places - low
    if mode == "nearest":
        taps = [(keras.ops.round(places), keras.ops.ones_like(places))]
    elif mode == "bicubic":
        near = lambda d: (1.25 * d - 2.25) * d * d + 1
        far = lambda d: ((-0.75 * d + 3.75) * d - 6) * d + 3
        taps = [(low - 1, far(1 + t)), (low, near(t)), (low + 1, near(1 - t)), (low + 2, far(2 - t))]
        taps = [(grid_bounds(index, size, padding_mode, align_corners), weight) for index, weight in taps]
    else:
        taps = [(low, 1 - t), (low + 1, t)]
    inside = [keras.ops.cast((index >= 0) & (index < size), t.dtype) for index, _ in taps]
    whole = [keras.ops.cast(keras.ops.clip(index, 0, size - 1), "int32") for index, _ in taps]
    return [(index, weight * mask) for index, (_, weight), mask in zip(whole, taps, inside)]
''',
    requires=("grid_bounds",),
)
keras_support(
    "grid_sample",
    '''
def grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False):
    """Sample channels-last data at places in [-1, 1], given from the last axis to the first.

    Modes: bilinear, nearest, bicubic (coefficient -0.75); padding modes: zeros, border, reflection.
    """
    batch, sizes, channels = keras.ops.shape(x)[0], x.shape[1:-1], x.shape[-1]
    flat, places = keras.ops.reshape(x, (batch, -1, channels)), keras.ops.reshape(grid, (batch, -1, len(sizes)))
    taps = [(0, 1)]
    for axis, size in enumerate(sizes, start=1):
        found = grid_taps(places[..., -axis], size, mode, padding_mode, align_corners)
        taps = [(i * size + index, w * weight) for i, w in taps for index, weight in found]
    samples = sum(keras.ops.take_along_axis(flat, i[..., None], axis=1) * w[..., None] for i, w in taps)
    return keras.ops.reshape(samples, (batch, *grid.shape[1:-1], channels))
''',
    requires=("grid_taps",),
)
_GRID_OPTIONS = "mode='bilinear', padding_mode='zeros', align_corners=None"
_GRID = supported("grid_sample", f"x, grid, {_GRID_OPTIONS}", positional=2)
_IMAGES: dict[str, Any] = {"x": (2, 3, 5, 4), "grid": (2, 3, 6, 2)}
_VOLUMES: dict[str, Any] = {"x": (2, 3, 5, 4, 6), "grid": (2, 3, 2, 1, 3)}
register(
    OpDef(
        "grid_sample",
        f"x, grid, *, {_GRID_OPTIONS}",
        "The values of images or volumes at places given by a grid.",
        layout="channels",
        reference=_grid_sample,
        spellings={
            "torch": [functional("grid_sample", f"grid, {_GRID_OPTIONS}", positional=2)],
            "tensorflow": [_GRID],
            "keras": [_GRID],
        },
        cases=[
            *(
                Case(_IMAGES, {"mode": mode, "padding_mode": padding, "align_corners": align})
                for mode in ("bilinear", "bicubic", "nearest")
                for padding in ("zeros", "border", "reflection")
                for align in (False, True)
            ),
            *(Case(_VOLUMES, {"padding_mode": padding}) for padding in ("zeros", "border", "reflection")),
            Case(_VOLUMES, {"mode": "nearest", "align_corners": True}),
        ],
    )
)


def _affine_grid(theta: Array, *, size: Any, align_corners: bool | None = None) -> Array:
    height, width = size[2:]
    axes = [np.linspace(-1, 1, n) if align_corners else (np.arange(n) * 2 + 1) / n - 1 for n in (height, width)]
    rows, columns = np.meshgrid(*axes, indexing="ij")
    base = np.stack([columns, rows, np.ones_like(rows)], -1)
    made: Array = np.einsum("hwk,bik->bhwi", base, theta)
    return made


keras_support(
    "affine_grid",
    '''
def affine_grid(theta, size, align_corners=False):
    """The places of a (batch, channels, height, width) image under affine maps, as columns and rows in [-1, 1]."""
    axes = [np.linspace(-1, 1, n) if align_corners else (np.arange(n) * 2 + 1) / n - 1 for n in size[2:]]
    rows, columns = np.meshgrid(*axes, indexing="ij")
    base = np.stack([columns, rows, np.ones_like(rows)], axis=-1)
    return keras.ops.einsum("hwk,bik->bhwi", keras.ops.convert_to_tensor(base, dtype=theta.dtype), theta)
''',
)
_AFFINE = supported("affine_grid", "theta, size, align_corners=None", positional=2)
register(
    OpDef(
        "affine_grid",
        "theta, *, size, align_corners=None",
        "The grid of places of an image under affine maps.",
        layout="opaque",
        reference=_affine_grid,
        spellings={
            "torch": [
                Spelling("torch.nn.functional.affine_grid", "theta, size, align_corners=None", positional=2),
            ],
            "tensorflow": [_AFFINE],
            "keras": [_AFFINE],
        },
        cases=[
            Case({"theta": (2, 2, 3)}, {"size": (2, 3, 4, 5)}),
            Case({"theta": (2, 2, 3)}, {"size": (2, 3, 4, 5), "align_corners": True}),
        ],
    )
)

# -- patches -----------------------------------------------------------------------------------------------------------


def _positions(sizes: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> tuple[Any, ...]:
    """The options per axis and the number of windows along each."""
    k, d, p, s = (each(v, 2) for v in (kernel, dilation, padding, stride))
    counts = [(sizes[i] + 2 * p[i] - d[i] * (k[i] - 1) - 1) // s[i] + 1 for i in range(2)]
    return k, d, p, s, counts


def _unfold(x: Array, *, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Array:
    k, d, p, s, counts = _positions(x.shape[2:], kernel_size, dilation, padding, stride)
    x = np.pad(x, [(0, 0), (0, 0), *((q, q) for q in p)])
    taps = [
        x[
            :,
            :,
            i * d[0] : i * d[0] + (counts[0] - 1) * s[0] + 1 : s[0],
            j * d[1] : j * d[1] + (counts[1] - 1) * s[1] + 1 : s[1],
        ]
        for i, j in product(range(k[0]), range(k[1]))
    ]
    return np.stack(taps, 2).reshape(x.shape[0], -1, counts[0] * counts[1])


def _fold(
    x: Array, *, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Array:
    size = each(output_size, 2)
    k, d, p, s, counts = _positions(size, kernel_size, dilation, padding, stride)
    parts = x.reshape(x.shape[0], -1, k[0], k[1], *counts)
    out = np.zeros((*parts.shape[:2], size[0] + 2 * p[0], size[1] + 2 * p[1]))
    for i, j in product(range(k[0]), range(k[1])):
        rows = slice(i * d[0], i * d[0] + (counts[0] - 1) * s[0] + 1, s[0])
        out[:, :, rows, j * d[1] : j * d[1] + (counts[1] - 1) * s[1] + 1 : s[1]] += parts[:, :, i, j]
    return out[:, :, p[0] : p[0] + size[0], p[1] : p[1] + size[1]]


keras_support(
    "unfold",
    '''
def unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    """The windows of channels-last images, flattened: shape (batch, windows, channels * kernel area)."""
    pairs = [(o, o) if isinstance(o, int) else o for o in (kernel_size, dilation, padding, stride)]
    (k1, k2), (d1, d2), (p1, p2), (s1, s2) = pairs
    x = keras.ops.pad(x, [(0, 0), (p1, p1), (p2, p2), (0, 0)])
    n1, n2 = (x.shape[1] - d1 * (k1 - 1) - 1) // s1 + 1, (x.shape[2] - d2 * (k2 - 1) - 1) // s2 + 1
    windows = [
        x[:, i * d1 : i * d1 + (n1 - 1) * s1 + 1 : s1, j * d2 : j * d2 + (n2 - 1) * s2 + 1 : s2]
        for i in range(k1)
        for j in range(k2)
    ]
    return keras.ops.reshape(keras.ops.stack(windows, axis=-1), (-1, n1 * n2, x.shape[3] * k1 * k2))
''',
)
keras_support(
    "fold",
    '''
def fold(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """The sum of overlapping windows of shape (batch, windows, channels * kernel area) as channels-last images."""
    pairs = [(o, o) if isinstance(o, int) else o for o in (output_size, kernel_size, dilation, padding, stride)]
    (h, w), (k1, k2), (d1, d2), (p1, p2), (s1, s2) = pairs
    n1, n2 = (h + 2 * p1 - d1 * (k1 - 1) - 1) // s1 + 1, (w + 2 * p2 - d2 * (k2 - 1) - 1) // s2 + 1
    width = x.shape[2]
    x = keras.ops.reshape(x, (-1, n1, n2, width))
    kernel = np.eye(width).reshape(width, -1, k1, k2).transpose(2, 3, 1, 0)
    kernel = keras.ops.convert_to_tensor(kernel, dtype=x.dtype)
    x = keras.ops.conv_transpose(x, kernel, (s1, s2), "valid", (0, 0), dilation_rate=(d1, d2))
    rest = [(0, max(h + p1 - x.shape[1], 0)), (0, max(w + p2 - x.shape[2], 0))]
    return keras.ops.pad(x, [(0, 0), *rest, (0, 0)])[:, p1 : p1 + h, p2 : p2 + w]
''',
    flax='''
def fold(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """The sum of overlapping windows of shape (batch, windows, channels * kernel area) as channels-last images."""
    pairs = [(o, o) if isinstance(o, int) else o for o in (output_size, kernel_size, dilation, padding, stride)]
    (h, w), (k1, k2), (d1, d2), (p1, p2), (s1, s2) = pairs
    n1, n2 = (h + 2 * p1 - d1 * (k1 - 1) - 1) // s1 + 1, (w + 2 * p2 - d2 * (k2 - 1) - 1) // s2 + 1
    windows = x.reshape(x.shape[0], n1, n2, -1, k1, k2)
    image = jax.numpy.zeros((x.shape[0], h + 2 * p1, w + 2 * p2, windows.shape[3]), x.dtype)
    for i in range(k1):
        for j in range(k2):
            rows = slice(i * d1, i * d1 + (n1 - 1) * s1 + 1, s1)
            columns = slice(j * d2, j * d2 + (n2 - 1) * s2 + 1, s2)
            image = image.at[:, rows, columns].add(windows[..., i, j])
    return image[:, p1 : p1 + h, p2 : p2 + w]
''',
)
_PATCHES: list[tuple[str, str, tuple[int, ...], str, list[dict[str, Any]]]] = [
    (
        "unfold",
        "Unfold",
        (2, 3, 7, 5),
        "",
        [{"kernel_size": 3}, {"kernel_size": (2, 3), "padding": 1, "stride": 2}, {"kernel_size": 2, "dilation": 2}],
    ),
    (
        "fold",
        "Fold",
        (2, 18, 12),
        "output_size, ",
        [
            {"output_size": (5, 9), "kernel_size": (3, 2), "stride": (1, 2)},
            {"output_size": (3, 6), "kernel_size": (3, 2), "padding": (1, 1), "stride": (1, 2)},
        ],
    ),
]
for _name, _title, _shape, _first, _cases in _PATCHES:
    _rest = f"{_first}kernel_size, dilation=1, padding=0, stride=1"
    _doc = "The windows of images, flattened." if _name == "unfold" else "The images that windows add up to."
    layer_calling(_title, _name, _doc, _rest)
    _targets = [support_layer(_title, _rest), supported(_name, f"x, {_rest}", positional=2)]
    register(
        OpDef(
            _name,
            f"x, *, {_rest}",
            _doc,
            layout="channels",
            reference=_unfold if _name == "unfold" else _fold,
            spellings={
                "torch": [torch_layer(_title, _rest), functional(_name, _rest, positional=2)],
                "tensorflow": _targets,
                "keras": _targets,
            },
            cases=[Case({"x": _shape}, attributes) for attributes in _cases],
        )
    )
