"""Normalisation over the last axes: layer normalisation and the root mean square."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling, Support
from netferry.ops.forms import supported
from netferry.ops.jax_forms import jax_text, nnx_layer
from netferry.ops.layer_forms import functional, keras_layer, on_keras, support_layer, torch_layer
from netferry.ops.normalization import (
    CHANNELS,
    EPS,
    FLAX_OWN,
    IGNORED,
    KERAS_OWN,
    OPTIONAL,
    OWN,
    SCALE_AND_SHIFT,
    STARTS,
    standardised,
)
from netferry.ops.registry import register, register_support
from netferry.ops.shared import keras_support, tensorflow_text

Array = np.ndarray[Any, Any]

_AXES = "ABCDE"


def _count(attributes: Mapping[str, Any]) -> int:
    """How many trailing axes ``normalized_shape`` stands for."""
    shapes = [attributes.get(name) for name in ("normalized_shape", "axes")]
    return max(len(shape) if isinstance(shape, list | tuple) else 1 for shape in shapes)


def _trailing(*names: str) -> Any:
    """Layouts of parameters over several axes; without them each has one."""

    def layouts(attributes: Mapping[str, Any]) -> dict[str, str]:
        exist = {"weight": attributes["affine"], "bias": attributes["affine"] and attributes.get("use_bias", True)}
        axes = " ".join(_AXES[: _count(attributes)])
        return {name: axes for name in names if exist[name]} if _count(attributes) > 1 else {}

    return layouts


def _trailing_as(**names: str) -> Any:
    """The same under a framework's names: canonical name -> its own."""
    layouts = _trailing(*names)
    return lambda attributes: {names[name]: f"{name}: {layout}" for name, layout in layouts(attributes).items()}


def _layer_norm(
    x: Array, *, weight: Array | None = None, bias: Array | None = None, epsilon: float = 1e-5, **a: Any
) -> Array:
    x = standardised(x, range(-_count(a), 0), epsilon)
    return (x if weight is None else x * weight) + (0 if bias is None else bias)


def _rms_norm(x: Array, *, weight: Array | None = None, epsilon: float | None = None, **a: Any) -> Array:
    axes = tuple(range(-_count(a), 0))
    x = x / np.sqrt((x**2).mean(axes, keepdims=True) + (np.finfo(x.dtype).eps if epsilon is None else epsilon))
    return x if weight is None else x * weight


_SHAPED = [
    Case({"x": (2, 5, 3)}, {"normalized_shape": 3}),
    Case({"x": (2, 5, 3)}, {"normalized_shape": (3,), "epsilon": 1e-3}),
    Case({"x": (2, 5, 3)}, {"normalized_shape": (3,), "affine": False}),
]
_TWO_AXES = Case({"x": (2, 6, 5, 3)}, {"normalized_shape": (5, 3), "axes": (-2, -1)})
register(
    OpDef(
        "layer_norm",
        "x, *, normalized_shape=..., epsilon=1e-5, affine=True, use_bias=True, axes=-1",
        "Normalises the last axis, or as many as normalized_shape has sizes.",
        layout="last",
        reference=_layer_norm,
        params=CHANNELS,
        optional=OPTIONAL,
        dynamic_params=_trailing("weight", "bias"),
        spellings={
            "torch": [
                torch_layer(
                    "LayerNorm",
                    "normalized_shape, eps=1e-05, elementwise_affine=True, bias=True",
                    typed=True,
                    maps={**EPS, "elementwise_affine": "affine", "bias": "use_bias"},
                    params=OWN,
                    dynamic_params=_trailing_as(weight="weight", bias="bias"),
                    silent=("axes",),
                )
            ],
            **on_keras(
                lambda package: [
                    keras_layer(
                        package,
                        "LayerNormalization",
                        f"axis=-1, epsilon=0.001, center=True, scale=True, {STARTS}",
                        maps={"axis": "axes", **SCALE_AND_SHIFT},
                        ignore=IGNORED,
                        params=KERAS_OWN,
                        dynamic_params=_trailing_as(weight="gamma", bias="beta"),
                        positional=0,
                    )
                ]
            ),
            "flax": [
                nnx_layer(
                    "LayerNorm",
                    "num_features, *, epsilon=1e-06, use_bias=True, use_scale=True",
                    maps={"num_features": "normalized_shape", "use_scale": "affine", "x": "x"},
                    params=FLAX_OWN,
                    dynamic_params=_trailing_as(weight="scale", bias="bias"),
                    call="x",
                    when={"axes": -1},
                ),
                support_layer(
                    "AxesNorm",
                    "sizes, epsilon=1e-05, use_scale=True, use_bias=True",
                    maps={"sizes": "normalized_shape", "use_scale": "affine"},
                    params=FLAX_OWN,
                    dynamic_params=_trailing_as(weight="scale", bias="bias"),
                    silent=("axes",),
                ),
            ],
        },
        cases=[*_SHAPED, _TWO_AXES, Case({"x": (2, 5, 3)}, {"normalized_shape": 3, "use_bias": False})],
    )
)

register_support(Support("AxesNorm", {"flax": '''
class AxesNorm(flax.nnx.Module):
    """Layer normalization over the last axes, one for each of ``sizes``."""

    def __init__(self, sizes, epsilon=1e-5, use_scale=True, use_bias=True):
        self.axes = tuple(range(-len(sizes), 0))
        self.epsilon = epsilon
        self.scale = flax.nnx.Param(jax.numpy.ones(sizes)) if use_scale else None
        self.bias = flax.nnx.Param(jax.numpy.zeros(sizes)) if use_bias else None

    def __call__(self, x):
        mean, variance = x.mean(self.axes, keepdims=True), x.var(self.axes, keepdims=True)
        x = (x - mean) * jax.lax.rsqrt(variance + self.epsilon)
        x = x if self.scale is None else x * self.scale[...]
        return x if self.bias is None else x + self.bias[...]
'''}))  # fmt: skip
_RMS = '''
class RMSNorm(keras.layers.Layer):
    """Divides by the root of the mean square over the last axes, one for each of ``sizes``."""

    def __init__(self, sizes, epsilon=None, use_scale=True, **kwargs):
        super().__init__(**kwargs)
        self.sizes = (sizes,) if isinstance(sizes, int) else tuple(sizes)
        self.epsilon = epsilon
        self.scale = self.add_weight(shape=self.sizes, initializer="ones", name="scale") if use_scale else None

    def call(self, x):
        return rms_norm(x, self.sizes, self.scale, self.epsilon)
'''
_RMS_FUNCTION = '''
def rms_norm(x, sizes, weight=None, epsilon=None):
    """Divide by the root of the mean square over the last axes, one for each of ``sizes``."""
    if epsilon is None:
        epsilon = float(np.finfo(TYPE).eps)
    axes = tuple(range(-len(sizes), 0))
    x = x / keras.ops.sqrt(keras.ops.mean(keras.ops.square(x), axis=axes, keepdims=True) + epsilon)
    return x if weight is None else x * weight
'''
register_support(
    Support(
        "rms_norm",
        {
            "tensorflow": tensorflow_text(_RMS_FUNCTION.replace("TYPE", "x.dtype.as_numpy_dtype")),
            "keras": _RMS_FUNCTION.replace("TYPE", "keras.backend.standardize_dtype(x.dtype)"),
            "flax": jax_text(_RMS_FUNCTION.replace("np.finfo(TYPE)", "jax.numpy.finfo(x.dtype)")) or "",
        },
    )
)
_FLAX_RMS = '''
class RMSNorm(flax.nnx.Module):
    """Divides by the root of the mean square over the last axes, one for each of ``sizes``."""

    def __init__(self, sizes, epsilon=None, use_scale=True):
        self.sizes = (sizes,) if isinstance(sizes, int) else tuple(sizes)
        self.epsilon = epsilon
        self.scale = flax.nnx.Param(jax.numpy.ones(self.sizes)) if use_scale else None

    def __call__(self, x):
        return rms_norm(x, self.sizes, None if self.scale is None else self.scale[...], self.epsilon)
'''
keras_support("RMSNorm", _RMS, requires=("rms_norm",), flax=_FLAX_RMS)
_RMS_LAYER = support_layer(
    "RMSNorm",
    "sizes, epsilon=None, use_scale=True",
    maps={"sizes": "normalized_shape", "use_scale": "affine"},
    params={"scale": "weight: C"},
    dynamic_params=_trailing_as(weight="scale"),
    silent=("axes",),
)
register(
    OpDef(
        "rms_norm",
        "x, *, normalized_shape, epsilon=None, affine=True, axes=-1",
        "Divides by the root of the mean square; epsilon is by default the rounding unit of the type.",
        layout="last",
        reference=_rms_norm,
        params={"weight": "C"},
        optional={"weight": "affine"},
        dynamic_params=_trailing("weight"),
        spellings={
            "torch": [
                torch_layer(
                    "RMSNorm",
                    "normalized_shape, eps=None, elementwise_affine=True",
                    typed=True,
                    maps={**EPS, "elementwise_affine": "affine"},
                    params={"weight": "weight: C"},
                    dynamic_params=_trailing_as(weight="weight"),
                    silent=("axes",),
                )
            ],
            **on_keras(
                lambda package: [
                    keras_layer(
                        package,
                        "RMSNormalization",
                        "axis=-1, epsilon=1e-06",
                        maps={"axis": "axes"},
                        params={"scale": "weight: C"},
                        dynamic_params=_trailing_as(weight="scale"),
                        when={"affine": True, "axes": -1, "epsilon": lambda epsilon: epsilon is not None},
                        positional=0,
                    ),
                    _RMS_LAYER,
                ]
            ),
            "flax": [
                nnx_layer(
                    "RMSNorm",
                    "num_features, *, epsilon=1e-06, use_scale=True",
                    maps={"num_features": "normalized_shape", "use_scale": "affine", "x": "x"},
                    params={"scale": "weight: C"},
                    dynamic_params=_trailing_as(weight="scale"),
                    call="x",
                    when={"axes": -1, "epsilon": lambda epsilon: epsilon is not None},
                ),
                _RMS_LAYER,
            ],
        },
        cases=[*_SHAPED, _TWO_AXES],
    )
)

keras_support(
    "layer_norm",
    '''
def layer_norm(x, sizes, weight=None, bias=None, epsilon=1e-5):
    """Normalise over the last axes, one for each of ``sizes``."""
    axes = tuple(range(-len(sizes), 0))
    mean = keras.ops.mean(x, axis=axes, keepdims=True)
    variance = keras.ops.mean(keras.ops.square(x - mean), axis=axes, keepdims=True)
    x = (x - mean) / keras.ops.sqrt(variance + epsilon)
    x = x if weight is None else x * weight
    return x if bias is None else x + bias
''',
)
_WITH = {"normalized_shape": (3,), "epsilon": 1e-3}
for _name, _bias, _default, _doc in (
    ("layer_norm", "bias=None", "1e-05", "Layer normalisation with a given scale and shift."),
    ("rms_norm", "", "None", "Normalisation by the root mean square with a given scale."),
):
    _given = f"weight=None, {_bias}" if _bias else "weight=None"
    _call = supported(
        _name, f"x, sizes, {_given}, epsilon={_default}", maps={"sizes": "normalized_shape"}, positional=2
    )
    _operands: dict[str, Any] = {"x": (2, 5, 3), "weight": (3,), **({"bias": (3,)} if _bias else {})}
    register(
        OpDef(
            f"{_name}_with",
            f"x, {_given}, *, normalized_shape, epsilon={_default}",
            _doc,
            layout="last",
            reference=(
                (lambda x, weight=None, bias=None, **a: _layer_norm(x, weight=weight, bias=bias, **a))
                if _bias
                else (lambda x, weight=None, **a: _rms_norm(x, weight=weight, **a))
            ),
            spellings={
                "torch": [
                    functional(_name, f"normalized_shape, {_given}, eps={_default}", maps=EPS, positional=2),
                    Spelling(
                        f"torch.{_name}",
                        f"input, normalized_shape, {_given}, eps={_default}" + (", cudnn_enable=True" if _bias else ""),
                        maps={"input": "x", **EPS},
                        ignore=("cudnn_enable",) if _bias else (),
                        write=False,
                    ),
                ],
                "tensorflow": [_call],
                "keras": [_call],
            },
            cases=[
                Case({"x": (2, 5, 3)}, {"normalized_shape": (3,)}),
                Case(_operands, _WITH),
                Case({"x": (2, 5, 3)}, {"normalized_shape": (5, 3)}),
            ],
        )
    )
