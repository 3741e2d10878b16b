"""Resizing as TensorFlow's image functions say it, and blocks of channels that become places."""

from __future__ import annotations

from typing import Any

import numpy as np

from netferry.ops import registry
from netferry.ops.conv import each
from netferry.ops.core import Case, Conversion, OpDef, Spelling, Support
from netferry.ops.forms import supported, template
from netferry.ops.layer_forms import keras_layer
from netferry.ops.registry import register, register_support

Array = np.ndarray[Any, Any]

_MODES = {"bilinear": "bilinear", "nearest": "nearest-exact"}
"""The ways to resize that are the same everywhere; TensorFlow's cubic curve and its areas are others."""


def _mode(argument: str) -> dict[str, Any]:
    return {argument: Conversion("mode", _MODES, {v: k for k, v in _MODES.items()})}


_NARROW = dict.fromkeys(("tensorflow", "keras"), "TensorFlow resizes in 32 bits only")
_IMAGES: dict[str, Any] = {"write": False}
_KERAS = "interpolation='bilinear', antialias=False, crop_to_aspect_ratio=False, pad_to_aspect_ratio=False"
_PLAIN = {"antialias": False, "crop_to_aspect_ratio": False, "pad_to_aspect_ratio": False}
_FILLED = ("fill_mode", "fill_value")


def _resizes() -> list[tuple[str, Spelling]]:
    function = Spelling(
        "tf.image.resize", "images, size, method='bilinear', preserve_aspect_ratio=False, antialias=False, name=None",
        maps={"images": "x", **_mode("method")}, fixed={"preserve_aspect_ratio": False, "antialias": False},
        ignore=("name",), **_IMAGES,
    )  # fmt: skip
    keras = Spelling(
        "keras.ops.image.resize", f"images, size, {_KERAS}, fill_mode='constant', fill_value=0.0, data_format=None",
        maps={"images": "x", **_mode("interpolation")}, fixed=_PLAIN, ignore=(*_FILLED, "data_format"), **_IMAGES,
    )  # fmt: skip
    return [("tensorflow", function), ("keras", keras)]


for _framework, _found in _resizes():
    registry.extend("interpolate", _framework, _found)


def _resized(x: Array, *, height: int, width: int, mode: str = "bilinear") -> Array:
    resize = registry.get("interpolate").reference
    assert resize is not None
    return resize(x, size=(height, width), mode=mode)  # type: ignore[no-any-return]


def _resizing(package: str) -> Spelling:
    aspects = "crop_to_aspect_ratio=False, pad_to_aspect_ratio=False, fill_mode='constant', fill_value=0.0"
    return keras_layer(
        package,
        "Resizing",
        f"height, width, interpolation='bilinear', {aspects}, antialias=False, data_format=None",
        maps=_mode("interpolation"),
        fixed=_PLAIN,
        ignore=_FILLED,
        positional=2,
    )


register(
    OpDef(
        "resize2d",
        "x, *, height, width, mode='bilinear'",
        "Resizes images to a fixed size.",
        layout="channels",
        reference=_resized,
        spellings={
            "torch": [
                template("torch.nn.Upsample(size=({height}, {width}), mode={mode})", layer=True, call="x"),
                template("torch.nn.functional.interpolate({x}, size=({height}, {width}), mode={mode})"),
            ],
            "tensorflow": [_resizing("tf.keras")],
            "keras": [_resizing("keras")],
        },
        cases=[
            Case(
                {"x": (2, 3, 5, 4)}, {"height": 7, "width": 9, "mode": mode}, skip=_NARROW if mode == "bilinear" else {}
            )
            for mode in _MODES.values()
        ],
    )
)

_SPREAD = '''
def depth_to_space(x, block_size):
    """Spread blocks of channels over space: channel (i * block_size + j) * channels + k goes to row i, column j."""
    b, c, h, w = x.shape
    x = x.reshape(b, block_size, block_size, -1, h, w).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(b, -1, h * block_size, w * block_size)
'''
_GATHER = '''
def space_to_depth(x, block_size):
    """Gather blocks of places into channels: row i, column j goes to channel (i * block_size + j) * channels + k."""
    b, c, h, w = x.shape
    x = x.reshape(b, c, h // block_size, block_size, w // block_size, block_size)
    return x.permute(0, 3, 5, 1, 2, 4).reshape(b, -1, h // block_size, w // block_size)
'''
_FLAX_SPREAD = '''
def depth_to_space(x, block_size):
    """Spread blocks of channels over space: channel (i * block_size + j) * channels + k goes to row i, column j."""
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, block_size, block_size, -1).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h * block_size, w * block_size, -1)
'''
_FLAX_GATHER = '''
def space_to_depth(x, block_size):
    """Gather blocks of places into channels: row i, column j goes to channel (i * block_size + j) * channels + k."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // block_size, block_size, w // block_size, block_size, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h // block_size, w // block_size, -1)
'''


def _spread(x: Array, *, block_size: int) -> Array:
    b, c, h, w = x.shape
    parts = x.reshape(b, block_size, block_size, c // block_size**2, h, w).transpose(0, 3, 4, 1, 5, 2)
    return parts.reshape(b, c // block_size**2, h * block_size, w * block_size)


def _gather(x: Array, *, block_size: int) -> Array:
    b, c, h, w = x.shape
    parts = x.reshape(b, c, h // block_size, block_size, w // block_size, block_size).transpose(0, 3, 5, 1, 2, 4)
    return parts.reshape(b, c * block_size**2, h // block_size, w // block_size)


for _name, _code, _flax_code, _reference, _shape, _doc in (
    ("depth_to_space", _SPREAD, _FLAX_SPREAD, _spread, (2, 12, 3, 5), "Spreads blocks of channels over space."),
    ("space_to_depth", _GATHER, _FLAX_GATHER, _gather, (2, 3, 4, 6), "Gathers blocks of places into channels."),
):
    register_support(Support(_name, {"torch": _code, "flax": _flax_code}))
    register(
        OpDef(
            _name,
            "x, *, block_size",
            _doc,
            layout="channels",
            reference=_reference,
            spellings={
                "torch": [supported(_name, "x, block_size", positional=2)],
                "flax": [supported(_name, "x, block_size", positional=2)],
                "tensorflow": [
                    Spelling(
                        f"tf.nn.{_name}", "input, block_size, data_format='NHWC', name=None", maps={"input": "x"},
                        fixed={"data_format": "NHWC"}, ignore=("name",), positional=2,
                    )
                ],
            },
            cases=[Case({"x": _shape}, {"block_size": 2})],
        )
    )  # fmt: skip

_PATCHES = '''
def extract_patches(x, size, stride):
    """Windows of images as channels, by row, column and channel of the window."""
    (height, width), (down, right) = (v if isinstance(v, (tuple, list)) else (v, v) for v in (size, stride))
    x = x.unfold(2, height, down).unfold(3, width, right)
    return x.permute(0, 4, 5, 1, 2, 3).flatten(1, 3)
'''
register_support(Support("extract_patches", {"torch": _PATCHES}))


def _patches(x: Array, *, size: Any, stride: Any = None) -> Array:
    (height, width), (down, right) = each(size, 2), each(size if stride is None else stride, 2)
    windows = np.lib.stride_tricks.sliding_window_view(x, (height, width), (2, 3))[:, :, ::down, ::right]
    made = windows.transpose(0, 4, 5, 1, 2, 3)
    return made.reshape(x.shape[0], -1, *made.shape[4:])


_WINDOWS = {"sizes": "size", "strides": "stride"}
register(
    OpDef(
        "extract_patches",
        "x, *, size, stride=None",
        "Windows of images as channels, by row, column and channel of the window.",
        layout="channels",
        reference=_patches,
        spellings={
            "torch": [
                template("extract_patches({x}, {size}, {size})", when={"stride": None}, support="extract_patches"),
                supported("extract_patches", "x, size, stride", positional=3),
            ],
            "tensorflow": [
                Spelling(
                    "tf.image.extract_patches", "images, sizes, strides, rates, padding, name=None",
                    maps={"images": "x", **_WINDOWS}, fixed={"padding": "VALID"}, ignore=("rates", "name"), **_IMAGES,
                )
            ],
            "keras": [
                Spelling(
                    "keras.ops.image.extract_patches",
                    "images, size, strides=None, dilation_rate=1, padding='valid', data_format=None",
                    maps={"images": "x", **_WINDOWS}, fixed={"padding": "valid", "dilation_rate": 1},
                    ignore=("data_format",), **_IMAGES,
                )
            ],
        },
        cases=[Case({"x": (2, 3, 6, 8)}, {"size": 2}), Case({"x": (2, 3, 7, 8)}, {"size": (3, 2), "stride": (2, 1)})],
    )
)  # fmt: skip
