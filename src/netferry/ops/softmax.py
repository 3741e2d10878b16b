"""Activations along an axis, and those with a parameter per channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from netferry.ops.core import Case, Conversion, OpDef, Spelling
from netferry.ops.forms import (
    keras,
    keras_layer,
    keras_layer_template,
    template,
    tensorflow,
    torch_function,
    torch_layer,
    torch_method,
)
from netferry.ops.registry import register
from netferry.ops.shared import keras_support

_AXIS = {"dim": "axis"}
_TF_AXIS = {"logits": "x", "axis": Conversion("axis", "-1 if {} is None else {}", "{}")}
_LEGACY: tuple[tuple[int, tuple[int, ...]], ...] = ((0, (0, 1, 3)), (1, (2, 4, 5)))
"""Without an axis PyTorch takes this one, for tensors of these ranks."""
_LEGACY_AXIS = "0 if len(X.shape) in (0, 1, 3) else 1"


def _softmax(x: Any, axis: int = -1, dtype: str | None = None) -> Any:
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def _log_softmax(x: Any, axis: int = -1, dtype: str | None = None) -> Any:
    return np.log(_softmax(x, axis))


def _softmin(x: Any, axis: int = -1, dtype: str | None = None) -> Any:
    return _softmax(-x, axis)


def _torch(name: str, layer: str, functions: Sequence[str]) -> list[Spelling]:
    """The layer, the functional, and what PyTorch has besides."""
    found = [
        torch_layer(layer, "dim", maps=_AXIS),
        torch_function(
            f"nn.functional.{name}", "dim, _stacklevel=3, dtype=None", maps=_AXIS, ignore=("_stacklevel",), positional=1
        ),
    ]
    found += [torch_function(f, "dim, dtype=None", maps=_AXIS, out="special" not in f, write=False) for f in functions]
    if functions:
        found.append(torch_method(name, "dim, dtype=None", maps=_AXIS, write=False))
    for axis, ranks in _LEGACY:
        known: dict[str, Any] = {"fixed": {"dim": None}, "implies": {"axis": axis}, "ranks": ranks, "write": False}
        signature = "dim=None, _stacklevel=3, dtype=None"
        found.append(torch_layer(layer, "dim=None", **known))
        found.append(torch_function(f"nn.functional.{name}", signature, ignore=("_stacklevel",), **known))
    return found


def _keras_layers(framework: str, name: str, formula: str) -> list[Spelling]:
    if name == "softmax":
        return [keras_layer(framework, "Softmax", "axis=-1", call="inputs, mask=None", ignore=("mask",))]
    named = [keras_layer_template(framework, 'KERAS.layers.Activation("log_softmax")', when={"axis": -1})]
    text = f"KERAS.layers.Activation(lambda x: {formula.format(x='x', axis='{axis}')})"
    return [*(named if name == "log_softmax" else []), keras_layer_template(framework, text)]


def _calls(framework: str, name: str, formula: str) -> list[Spelling]:
    """The function, with a cast before it where a type is asked for."""
    cast = "tf.cast({x}, {dtype})" if framework == "tensorflow" else "keras.ops.cast({x}, {dtype})"
    written: list[Spelling] = [template(formula, when={"dtype": None})]
    if name != "softmin":
        written = [
            tensorflow(f"nn.{name}", "logits, axis=None, name=None", maps=_TF_AXIS, when={"dtype": None})
            if framework == "tensorflow"
            else keras(name, "x, axis=-1", when={"dtype": None})
        ]
    return [*written, template(formula.replace("{x}", cast))]


def _register_softmaxes() -> None:
    table: tuple[tuple[str, str, Callable[..., Any], str, str, Sequence[str]], ...] = (
        ("softmax", "Softmax", _softmax, "tf.nn.softmax({x}, axis={axis})", "keras.ops.softmax({x}, axis={axis})", ("softmax", "special.softmax")),
        ("log_softmax", "LogSoftmax", _log_softmax, "tf.nn.log_softmax({x}, axis={axis})", "keras.ops.log_softmax({x}, axis={axis})", ("log_softmax", "special.log_softmax")),
        ("softmin", "Softmin", _softmin, "tf.nn.softmax(-{x}, axis={axis})", "keras.ops.softmax(-{x}, axis={axis})", ()),
    )  # fmt: skip
    for name, layer, reference, tf_formula, keras_formula, functions in table:
        torch = _torch(name, layer, functions)
        if name == "softmax":
            torch.append(torch_layer("Softmax2d", implies={"axis": -3}, write=False))
        register(
            OpDef(
                name,
                "x, *, axis=-1, dtype=None",
                f"{name} along an axis.",
                layout="axis",
                reference=reference,
                spellings={
                    "torch": torch,
                    "tensorflow": [
                        *_keras_layers("tensorflow", name, tf_formula),
                        *_calls("tensorflow", name, tf_formula),
                    ],
                    "keras": [*_keras_layers("keras", name, keras_formula), *_calls("keras", name, keras_formula)],
                },
                cases=[
                    Case({"x": (2, 3, 4)}),
                    Case({"x": (2, 3, 4)}, {"axis": 1}),
                    Case({"x": (2, 3, 4, 5)}, {"axis": -3}),
                    Case({"x": (2, 3)}, {"axis": 0}),
                ],
            )
        )
        _register_legacy(name, layer, reference, tf_formula, keras_formula)


def _register_legacy(name: str, layer: str, reference: Callable[..., Any], tf_formula: str, keras_formula: str) -> None:
    """The form without an axis, which takes 0 or 1 by the rank."""
    fixed = {"dim": None, "dtype": None}
    formulas = {"tensorflow": tf_formula, "keras": keras_formula}
    register(
        OpDef(
            f"{name}_by_rank",
            "x",
            f"{name} along axis 0 of tensors of rank 0, 1 and 3, along axis 1 of others.",
            reference=lambda x, reference=reference: reference(x, 0 if x.ndim in (0, 1, 3) else 1),
            spellings={
                "torch": [
                    torch_layer(layer, "dim=None", fixed=fixed),
                    torch_function(
                        f"nn.functional.{name}",
                        "dim=None, _stacklevel=3, dtype=None",
                        ignore=("_stacklevel",),
                        fixed=fixed,
                    ),
                ],
                **{
                    framework: [
                        keras_layer_template(
                            framework,
                            f"KERAS.layers.Activation(lambda x: {formula.format(x='x', axis=_LEGACY_AXIS.replace('X', 'x'))})",
                        ),
                        template(formula.format(x="{x}", axis=_LEGACY_AXIS.replace("X", "{x}"))),
                    ]
                    for framework, formula in formulas.items()
                },
            },
            cases=[Case({"x": (2, 3)}), Case({"x": (2, 3, 4)})],
        )
    )


_register_softmaxes()


def _glu(x: Any, axis: int = -1) -> Any:
    value, gate = np.split(x, 2, axis)
    return value / (1 + np.exp(-gate))


register(
    OpDef(
        "glu",
        "x, *, axis=-1",
        "The first half along an axis times the sigmoid of the second.",
        layout="axis",
        reference=_glu,
        spellings={
            "torch": [
                torch_layer("GLU", "dim=-1", maps=_AXIS),
                torch_function("nn.functional.glu", "dim=-1", maps=_AXIS),
            ],
            "tensorflow": [
                keras_layer_template(
                    "tensorflow", "KERAS.layers.Activation(lambda x: KERAS.activations.glu(x, {axis}))"
                ),
                Spelling("tf.keras.activations.glu", "x, axis=-1"),
            ],
            "keras": [
                keras_layer_template("keras", "KERAS.layers.Activation(lambda x: keras.ops.glu(x, {axis}))"),
                keras("glu", "x, axis=-1"),
            ],
        },
        cases=[Case({"x": (3, 8)}), Case({"x": (3, 6, 5)}, {"axis": 1})],
    )
)


def _prelu(x: Any, weight: Any) -> Any:
    shape = [1] * x.ndim
    shape[min(1, x.ndim - 1)] = weight.size
    return np.maximum(x, 0) + weight.reshape(shape) * np.minimum(x, 0)


keras_support(
    "PReLU",
    '''
class PReLU(keras.layers.Layer):
    """ReLU with a trained slope for negative values: one for all channels, or one for each."""

    def __init__(self, num_parameters=1, init=0.25, **kwargs):
        super().__init__(**kwargs)
        self.num_parameters = num_parameters
        self.init = init

    def build(self, input_shape):
        initializer = keras.initializers.Constant(self.init)
        self.alpha = self.add_weight(shape=(self.num_parameters,), initializer=initializer, name="alpha")

    def call(self, x):
        return keras.ops.maximum(x, 0) + self.alpha * keras.ops.minimum(x, 0)
''',
    flax='''
class PReLU(flax.nnx.Module):
    """ReLU with a trained slope for negative values: one for all channels, or one for each."""

    def __init__(self, num_parameters=1, init=0.25):
        self.alpha = flax.nnx.Param(jax.numpy.full(num_parameters, init))

    def __call__(self, x):
        return jax.numpy.where(x > 0, x, self.alpha[...] * x)
''',
)
register(
    OpDef(
        "prelu",
        "x, *, num_parameters=1, init=0.25",
        "ReLU with a trained slope for negative values, one for all channels or one for each.",
        layout="channels",
        reference=lambda x, weight, num_parameters=1, init=0.25: _prelu(x, weight),
        params={"weight": "C"},
        spellings={
            "torch": [
                torch_layer(
                    "PReLU",
                    "num_parameters=1, init=0.25, device=None, dtype=None",
                    ignore=("device", "dtype"),
                    params={"weight": "weight: C"},
                )
            ],
            **{
                framework: [
                    Spelling(
                        "PReLU",
                        "num_parameters=1, init=0.25",
                        call="x",
                        params={"alpha": "weight: C"},
                        layer=True,
                        read=False,
                        support="PReLU",
                    )
                ]
                for framework in ("tensorflow", "keras", "flax")
            },
        },
        cases=[
            Case({"x": (2, 3, 4, 5)}),
            Case({"x": (2, 3, 4, 5)}, {"num_parameters": 3, "init": 0.1}),
            Case({"x": (4, 3)}, {"num_parameters": 3}),
        ],
    )
)
register(
    OpDef(
        "prelu_with",
        "x, weight",
        "ReLU with the given slope for negative values, one for all channels or one for each.",
        layout="channels",
        reference=_prelu,
        spellings={
            "torch": [
                torch_function("nn.functional.prelu", "weight"),
                torch_function("prelu", "weight", write=False),
                torch_method("prelu", "weight", write=False),
            ],
            "tensorflow": [template("tf.maximum({x}, 0) + {weight} * tf.minimum({x}, 0)")],
            "keras": [template("keras.ops.maximum({x}, 0) + {weight} * keras.ops.minimum({x}, 0)")],
        },
        cases=[Case({"x": (2, 3, 4, 5), "weight": (3,)}), Case({"x": (4, 3), "weight": (1,)})],
    )
)
