"""Activation functions of each element, as layers and as functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling, values
from netferry.ops.forms import (
    keras,
    keras_layer,
    keras_layer_template,
    readable,
    template,
    tensorflow,
    torch_function,
    torch_inplace,
    torch_layer,
    torch_method,
)
from netferry.ops.jax_forms import jax_call
from netferry.ops.registry import register

_APPROXIMATE = {"approximate": values("approximate", {False: "none", True: "tanh"})}
_AT_ZERO = {"min": 0.0}
_EXACT = (1e-12, "rounding only")
_FLOAT32 = (3e-7, "TensorFlow keeps constants and attributes of some functions in float32")
_HARD = {"hardswish", "hardsigmoid"}
_erf = np.vectorize(math.erf, otypes=[float])

Targets = tuple[Sequence[Spelling], Sequence[Spelling]]


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    return np.where(beta * x > threshold, x, np.logaddexp(beta * x, 0) / beta)


def _elu(x: Any, alpha: float = 1.0) -> Any:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _celu(x: Any, alpha: float = 1.0) -> Any:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha))


def _gelu(x: Any, approximate: str = "none") -> Any:
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + _erf(x / math.sqrt(2)))


def _selu(x: Any) -> Any:
    return 1.0507009873554805 * _elu(x, 1.6732632423543772)


def _torch(
    layer: str,
    functional: str = "",
    *,
    rest: str = "",
    layer_rest: str | None = None,
    names: str = "",
    inplace: bool = True,
    layer_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> list[Spelling]:
    """PyTorch's forms: the layer, the functional and ``names``: ``.f`` a method, ``f`` a function, both in place with ``_``.

    ``rest`` are the parameters behind the tensor; ``inplace`` tells that the layer and the functional have that one too.
    """
    tail = ", ".join(filter(None, (rest, "inplace=False" if inplace else "")))
    found = [torch_layer(layer, tail if layer_rest is None else layer_rest, **(options | dict(layer_options or {})))]
    if functional:
        found.append(torch_function(f"nn.functional.{functional}", tail, ignore=("inplace",), **options))
    for name in names.split():
        in_place = name.endswith("_")
        if name.startswith("."):
            method = torch_inplace(name[1:], rest, **options) if in_place else torch_method(name[1:], rest, **options)
            found.append(readable(method))
        else:
            found.append(torch_function(name, rest, inplace=in_place, write=not functional and not in_place, **options))
    return found


def _activation(
    name: str,
    reference: Callable[..., Any],
    torch: Sequence[Spelling],
    targets: Targets,
    signature: str = "",
    *attributes: Mapping[str, Any],
    tolerance: tuple[float, str] = _EXACT,
    flax: Sequence[Spelling] = (),
) -> None:
    register(
        OpDef(
            name,
            f"x, *, {signature}" if signature else "x",
            f"The activation function {name}.",
            layout="elementwise",
            reference=reference,
            spellings={
                "torch": torch, "tensorflow": targets[0], "keras": targets[1], **({"flax": flax} if flax else {})
            },
            cases=[Case({"x": (3, 4, 5)}, given) for given in ({}, *attributes)],
            tolerance=tolerance,
        )
    )  # fmt: skip


def _layers(name: str, signature: str = "") -> Targets:
    return [keras_layer("tensorflow", name, signature)], [keras_layer("keras", name, signature)]


def _by_name(name: str) -> Targets:
    """The layer ``Activation("name")``."""
    made = [keras_layer_template(f, f'KERAS.layers.Activation("{name}")') for f in ("tensorflow", "keras")]
    return [made[0]], [made[1]]


def _with(layers: Targets, tf_calls: Sequence[Spelling], keras_calls: Sequence[Spelling]) -> Targets:
    return [*layers[0], *tf_calls], [*layers[1], *keras_calls]


def _both_layers(text: str, **options: Any) -> Targets:
    made = [keras_layer_template(f, text, **options) for f in ("tensorflow", "keras")]
    return [made[0]], [made[1]]


def _features(path: str, rest: str = "", **options: Any) -> Spelling:
    maps = {"features": "x", **options.pop("maps", {})}
    return tensorflow(path, ", ".join(filter(None, ("features", rest, "name=None"))), maps=maps, **options)


_activation(
    "relu",
    lambda x: np.maximum(x, 0),
    _torch("ReLU", "relu", names="relu .relu relu_ nn.functional.relu_ .relu_"),
    _with(
        _layers("ReLU"),
        [_features("nn.relu")],
        [keras("relu", "x")],
    ),
)
_activation(
    "relu6",
    lambda x: np.clip(x, 0, 6),
    _torch("ReLU6", "relu6"),
    _with(_both_layers("KERAS.layers.ReLU(max_value=6.0)"), [_features("nn.relu6")], [keras("relu6", "x")]),
)
_activation(
    "leaky_relu",
    lambda x, negative_slope=0.01: np.where(x > 0, x, negative_slope * x),
    _torch("LeakyReLU", "leaky_relu", rest="negative_slope=0.01", names="nn.functional.leaky_relu_"),
    _with(
        _layers("LeakyReLU", "negative_slope=0.3"),
        [_features("nn.leaky_relu", "alpha=0.2", maps={"alpha": "negative_slope"})],
        [keras("leaky_relu", "x, negative_slope=0.2")],
    ),
    "negative_slope=0.01",
    {"negative_slope": 0.2},
    {"negative_slope": 0.3},
    tolerance=_FLOAT32,
    flax=[jax_call("flax.nnx.leaky_relu", "x, negative_slope=0.01")],
)
_activation(
    "elu",
    _elu,
    _torch("ELU", "elu", rest="alpha=1.0", names="nn.functional.elu_"),
    _with(
        _layers("ELU", "alpha=1.0"),
        [
            _features("nn.elu", when={"alpha": 1.0}),
            Spelling("tf.keras.activations.elu", "x, alpha=1.0"),
        ],
        [keras("elu", "x, alpha=1.0")],
    ),
    "alpha=1.0",
    {"alpha": 0.7},
    tolerance=_FLOAT32,
)
_activation(
    "celu",
    _celu,
    _torch("CELU", "celu", rest="alpha=1.0", names="celu celu_ nn.functional.celu_"),
    _with(
        _both_layers("KERAS.layers.Activation(lambda x: KERAS.activations.celu(x, {alpha}))"),
        [Spelling("tf.keras.activations.celu", "x, alpha=1.0")],
        [keras("celu", "x, alpha=1.0")],
    ),
    "alpha=1.0",
    {"alpha": 0.7},
    tolerance=_FLOAT32,
)
_activation(
    "gelu",
    _gelu,
    _torch(
        "GELU",
        "gelu",
        rest="approximate='none'",
        inplace=False,
    ),
    (
        [
            keras_layer_template("tensorflow", 'KERAS.layers.Activation("gelu")', when={"approximate": "none"}),
            keras_layer_template(
                "tensorflow",
                "KERAS.layers.Activation(lambda x: tf.nn.gelu(x, approximate=True))",
                when={"approximate": "tanh"},
            ),
            _features("nn.gelu", "approximate=False", maps=_APPROXIMATE),
        ],
        [
            keras_layer_template("keras", 'KERAS.layers.Activation("gelu")', when={"approximate": "none"}),
            keras_layer_template(
                "keras",
                "KERAS.layers.Activation(lambda x: keras.ops.gelu(x, approximate=True))",
                when={"approximate": "tanh"},
            ),
            keras("gelu", "x, approximate=True", maps=_APPROXIMATE),
            Spelling("keras.activations.gelu", "x, approximate=False", maps=_APPROXIMATE, write=False),
        ],
    ),
    "approximate='none'",
    {"approximate": "tanh"},
    tolerance=_FLOAT32,
)
_activation(
    "hardtanh",
    lambda x, min=-1.0, max=1.0: np.clip(x, min, max),
    _torch(
        "Hardtanh",
        "hardtanh",
        rest="min_val=-1.0, max_val=1.0",
        layer_rest="min_val=-1.0, max_val=1.0, inplace=False, min_value=None, max_value=None",
        names="nn.functional.hardtanh_",
        maps={"min_val": "min", "max_val": "max"},
        layer_options={"fixed": {"min_value": None, "max_value": None}},
    ),
    (
        [
            keras_layer_template("tensorflow", "KERAS.layers.ReLU(max_value={max})", when=_AT_ZERO),
            keras_layer_template("tensorflow", "KERAS.layers.Activation(lambda x: tf.clip_by_value(x, {min}, {max}))"),
            template("tf.clip_by_value({x}, {min}, {max})"),
        ],
        [
            keras_layer_template("keras", "KERAS.layers.ReLU(max_value={max})", when=_AT_ZERO),
            keras_layer_template("keras", "KERAS.layers.Activation(lambda x: keras.ops.clip(x, {min}, {max}))"),
            template("keras.ops.clip({x}, {min}, {max})"),
        ],
    ),
    "min=-1.0, max=1.0",
    {"min": -0.4, "max": 0.6},
    {"min": 0.0, "max": 0.9},
    tolerance=_FLOAT32,
)


def _softplus_targets() -> Targets:
    made: list[list[Spelling]] = []
    for framework, softplus, where in (
        ("tensorflow", "tf.math.softplus", "tf.where"),
        ("keras", "keras.ops.softplus", "keras.ops.where"),
    ):
        plain = {"beta": 1.0, "threshold": lambda t: t >= 20.0}
        far = {"threshold": lambda t: t >= 20.0}
        scaled = f"{softplus}({{beta}} * X) / {{beta}}"
        exact = f"{where}({{beta}} * X > {{threshold}}, X, {scaled})"
        made.append(
            [
                keras_layer_template(framework, 'KERAS.layers.Activation("softplus")', when=plain),
                *(
                    keras_layer_template(
                        framework, f"KERAS.layers.Activation(lambda x: {text.replace('X', 'x')})", when=when
                    )
                    for text, when in ((scaled, far), (exact, {}))
                ),
                template(f"{softplus}({{x}})", when=plain),
                template(scaled.replace("X", "{x}"), when=far),
                template(exact.replace("X", "{x}")),
                *(
                    Spelling(path, "features, name=None", maps={"features": "x"}, ignore=("name",), write=False)
                    for path in ("tf.nn.softplus", "tf.math.softplus")
                    if framework == "tensorflow"
                ),
                *(Spelling("keras.ops.softplus", "x", write=False) for _ in (0,) if framework == "keras"),
            ]
        )
    return made[0], made[1]


# Beyond the usual threshold of 20 the function equals its argument to 2e-9: the targets compute it exactly there.
_activation(
    "softplus",
    _softplus,
    _torch("Softplus", "softplus", rest="beta=1.0, threshold=20.0", inplace=False),
    _softplus_targets(),
    "beta=1.0, threshold=20.0",
    {"beta": 0.7},
    {"beta": 2.0, "threshold": 1.5},
)


def _register_plain() -> None:
    """Activations without parameters that both targets know by name."""
    for name, reference, torch, keras_name, tf_call in (
        ("sigmoid", _sigmoid, _torch("Sigmoid", "sigmoid", names="sigmoid .sigmoid sigmoid_ .sigmoid_ special.expit", inplace=False), "sigmoid", tensorflow("sigmoid", "x, name=None")),
        ("tanh", np.tanh, _torch("Tanh", "tanh", names="tanh .tanh tanh_ .tanh_", inplace=False), "tanh", tensorflow("tanh", "x, name=None")),
        ("selu", _selu, _torch("SELU", "selu", names="selu selu_ nn.functional.selu_"), "selu", _features("nn.selu")),
        ("silu", lambda x: x * _sigmoid(x), _torch("SiLU", "silu"), "silu", tensorflow("nn.silu", "features, beta=1.0", maps={"features": "x"}, fixed={"beta": 1.0})),
        ("mish", lambda x: x * np.tanh(_softplus(x)), _torch("Mish", "mish"), "mish", Spelling("tf.keras.activations.mish", "x")),
        ("hardswish", lambda x: x * np.clip(x + 3, 0, 6) / 6, _torch("Hardswish", "hardswish"), "hard_silu", Spelling("tf.keras.activations.hard_silu", "x")),
        ("hardsigmoid", lambda x: np.clip(x + 3, 0, 6) / 6, _torch("Hardsigmoid", "hardsigmoid"), "hard_sigmoid", Spelling("tf.keras.activations.hard_sigmoid", "x")),
        ("softsign", lambda x: x / (1 + np.abs(x)), _torch("Softsign", "softsign", inplace=False), "softsign", _features("nn.softsign")),
        ("logsigmoid", lambda x: -_softplus(-x), _torch("LogSigmoid", "logsigmoid", inplace=False), "log_sigmoid", tensorflow("math.log_sigmoid", "x, name=None")),
        ("tanhshrink", lambda x: x - np.tanh(x), _torch("Tanhshrink", "tanhshrink", inplace=False), "tanh_shrink", Spelling("tf.keras.activations.tanh_shrink", "x")),
    ):  # fmt: skip
        call = Spelling("keras.activations.mish", "x") if name == "mish" else keras(keras_name, "x")
        _activation(
            name,
            reference,
            torch,
            _with(_by_name(keras_name), [tf_call], [call]),
            tolerance=_FLOAT32 if name in _HARD else _EXACT,
            flax=[template("{x} - jax.numpy.tanh({x})")] if name == "tanhshrink" else (),
        )


_register_plain()


def _register_shrinks() -> None:
    for name, reference, names, flax in (
        (
            "hardshrink", lambda x, lambd=0.5: np.where(np.abs(x) > lambd, x, 0), "hardshrink .hardshrink",
            "jax.numpy.where(abs({x}) > {lambd}, {x}, 0)",
        ),
        (
            "softshrink", lambda x, lambd=0.5: np.sign(x) * np.maximum(np.abs(x) - lambd, 0), "",
            "jax.numpy.sign({x}) * flax.nnx.relu(abs({x}) - {lambd})",
        ),
    ):  # fmt: skip
        known = f"{name[:4]}_shrink"
        maps = {"threshold": "lambd"}
        _activation(
            name,
            reference,
            _torch(name.capitalize(), name, rest="lambd=0.5", names=names, inplace=False),
            _with(
                _both_layers(f"KERAS.layers.Activation(lambda x: KERAS.activations.{known}(x, {{lambd}}))"),
                [Spelling(f"tf.keras.activations.{known}", "x, threshold=0.5", maps=maps, positional=2)],
                [keras(known, "x, threshold=0.5", maps=maps, positional=2)],
            ),
            "lambd=0.5",
            {"lambd": 0.2},
            flax=[template(flax)],
        )


_register_shrinks()
register(
    OpDef(
        "threshold",
        "x, *, threshold, value",
        "x where it exceeds threshold, elsewhere value.",
        layout="elementwise",
        reference=lambda x, threshold, value: np.where(x > threshold, x, value),
        spellings={
            "torch": _torch(
                "Threshold", "threshold", rest="threshold, value", names="threshold threshold_ nn.functional.threshold_"
            ),
            "tensorflow": [
                keras_layer_template(
                    "tensorflow", "KERAS.layers.Activation(lambda x: tf.where(x > {threshold}, x, {value}))"
                ),
                template("tf.where({x} > {threshold}, {x}, {value})"),
            ],
            "keras": [
                keras_layer_template(
                    "keras", "KERAS.layers.Activation(lambda x: keras.ops.where(x > {threshold}, x, {value}))"
                ),
                template("keras.ops.where({x} > {threshold}, {x}, {value})"),
            ],
        },
        cases=[
            Case({"x": (3, 4)}, {"threshold": 0.3, "value": 7.5}),
            Case({"x": (3, 4)}, {"threshold": -0.2, "value": 0.0}),
        ],
    )
)
