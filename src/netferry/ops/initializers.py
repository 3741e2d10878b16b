"""Initialisation of parameters: PyTorch fills a tensor in place, Keras hands an initialiser to the layer.

The spelling of a target is the initialiser alone; its conventions decide where it goes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from netferry.ops.core import Case, Conversion, OpDef, Spelling
from netferry.ops.forms import Maps, keras_namespace
from netferry.ops.registry import register
from netferry.ops.shared import keras_support

_TARGETS = ("tensorflow", "keras")
_GAINS: Mapping[str, float] = {
    "relu": math.sqrt(2.0),
    "tanh": 5.0 / 3.0,
    "selu": 0.75,
    **dict.fromkeys(("linear", "sigmoid"), 1.0),
    **{f"conv{kind}{n}d": 1.0 for kind in ("", "_transpose") for n in (1, 2, 3)},
}
"""What PyTorch recommends after each nonlinearity; leaky_relu depends on its slope."""
_NEVER_OLD = {"zeros", "ones", "trunc_normal"}
Target = tuple[str, Mapping[str, Any]]


def _torch(name: str, rest: str = "", *, maps: Maps | None = None) -> list[Spelling]:
    """``torch.nn.init.name_`` and its old name without the underscore."""
    signature = ", ".join(filter(None, ("tensor", rest)))
    options: dict[str, Any] = {
        "maps": {"tensor": "x", **(maps or {})},
        "ignore": ("generator",),
        "inplace": True,
    }
    return [
        Spelling(f"torch.nn.init.{name}_", signature, **options),
        *([] if name in _NEVER_OLD else [Spelling(f"torch.nn.init.{name}", signature, write=False, **options)]),
    ]


def _initializer(
    name: str,
    torch: Sequence[Spelling],
    targets: Sequence[Spelling | Target],
    signature: str = "",
    *cases: Mapping[str, Any],
    flax: Sequence[Target],
) -> None:
    """Register an initialiser; targets are spellings without namespace or templates with the condition they need.

    Those for ``flax`` give the values themselves; ``SHAPE`` stands for a key and the parameter's shape.
    """
    spellings: dict[str, Sequence[Spelling]] = {"torch": torch}
    for framework in _TARGETS:
        place = keras_namespace(framework) + ".initializers."
        made = []
        for target in targets:
            if isinstance(target, Spelling):
                made.append(_placed(target, place))
            else:
                text, options = target
                made.append(Spelling("", template=text.replace("INIT.", place), read=False, **options))
        spellings[framework] = made
    spellings["flax"] = [
        Spelling(
            "",
            template=text.replace("INIT.", "flax.nnx.initializers.").replace("SHAPE", "rngs.params(), {x}.shape"),
            read=False,
            **options,
        )
        for text, options in flax
    ]
    register(
        OpDef(
            f"init_{name}",
            f"x, *, {signature}" if signature else "x",
            f"Initialises a parameter: {name}.",
            layout="elementwise",
            spellings=spellings,
            cases=[
                Case({"x": (6, 6)}, attributes, gradients=False)
                for attributes in ({}, *cases)
                if attributes or not cases
            ],
            stochastic=True,
        )
    )


def _placed(spelling: Spelling, place: str) -> Spelling:
    return Spelling(
        place + spelling.path,
        spelling.signature,
        maps=spelling.maps,
        ignore=("seed",),
        positional=0,
        when=spelling.when,
    )


_FLAX_ZEROS = "jax.numpy.zeros({x}.shape)"
_FLAX_ONES = "jax.numpy.ones({x}.shape)"
_initializer("zeros", _torch("zeros"), [Spelling("Zeros")], flax=[(_FLAX_ZEROS, {})])
_initializer("ones", _torch("ones"), [Spelling("Ones")], flax=[(_FLAX_ONES, {})])
_initializer(
    "eye",
    _torch("eye"),
    [Spelling("Identity", "gain=1.0", maps={"gain": "gain"})],
    "gain=1.0",
    flax=[("jax.numpy.eye(*{x}.shape)", {"when": {"gain": 1.0}}), ("{gain} * jax.numpy.eye(*{x}.shape)", {})],
)
_initializer(
    "constant",
    _torch("constant", "val", maps={"val": "value"}),
    [
        ("INIT.Zeros()", {"when": {"value": 0}}),
        ("INIT.Ones()", {"when": {"value": 1}}),
        ("INIT.Constant({value})", {}),
    ],
    "value",
    {"value": 0.3},
    flax=[
        (_FLAX_ZEROS, {"when": {"value": 0}}),
        (_FLAX_ONES, {"when": {"value": 1}}),
        ("jax.numpy.full({x}.shape, {value})", {}),
    ],
)
_initializer(
    "normal",
    _torch("normal", "mean=0.0, std=1.0, generator=None"),
    [Spelling("RandomNormal", "mean=0.0, stddev=0.05, seed=None", maps={"stddev": "std"})],
    "mean=0.0, std=1.0",
    {"std": 0.02},
    {"mean": 0.5, "std": 0.05},
    flax=[
        ("INIT.normal({std})(SHAPE)", {"when": {"mean": 0.0}}),
        ("{mean} + {std} * jax.random.normal(SHAPE)", {}),
    ],
)
_initializer(
    "uniform",
    _torch("uniform", "a=0.0, b=1.0, generator=None", maps={"a": "low", "b": "high"}),
    [Spelling("RandomUniform", "minval=-0.05, maxval=0.05, seed=None", maps={"minval": "low", "maxval": "high"})],
    "low=0.0, high=1.0",
    {"low": -0.1, "high": 0.3},
    {},
    flax=[("jax.random.uniform(SHAPE, minval={low}, maxval={high})", {})],
)
_initializer(
    "orthogonal",
    _torch("orthogonal", "gain=1, generator=None"),
    [Spelling("Orthogonal", "gain=1.0, seed=None")],
    "gain=1.0",
    {"gain": 1.5},
    flax=[("INIT.orthogonal({gain})(SHAPE)", {})],
)
keras_support(
    "BoundedNormal",
    '''
class BoundedNormal(keras.initializers.RandomUniform):
    """Normal distribution of which only the part between ``low`` and ``high`` is drawn."""

    def __init__(self, mean=0.0, stddev=1.0, low=-2.0, high=2.0):
        self.mean, self.low, self.high = mean, low, high
        self.width = stddev * math.sqrt(2.0)
        super().__init__(math.erf((low - mean) / self.width), math.erf((high - mean) / self.width))

    def __call__(self, shape, dtype=None):
        uniform = super().__call__(shape, dtype)
        return keras.ops.clip(self.mean + self.width * keras.ops.erfinv(uniform), self.low, self.high)
''',
)
# A cut eight deviations away from the mean never happens; at exactly two it is what Keras does.
_UNCUT = {"mean": 0.0, "a": -2.0, "b": 2.0, "std": lambda std: 0 < std <= 0.25}
_TWO_DEVIATIONS = {"mean": 0.0, "a": -2.0, "b": 2.0, "std": 1.0}
_initializer(
    "trunc_normal",
    _torch("trunc_normal", "mean=0.0, std=1.0, a=-2.0, b=2.0, generator=None"),
    [
        ("INIT.RandomNormal(stddev={std})", {"when": _UNCUT}),
        ("INIT.TruncatedNormal(stddev={std})", {"when": _TWO_DEVIATIONS}),
        ("BoundedNormal({mean}, {std}, {a}, {b})", {"support": "BoundedNormal"}),
    ],
    "mean=0.0, std=1.0, a=-2.0, b=2.0",
    {"std": 0.02},
    {},
    {"mean": 0.1, "std": 0.5, "a": -0.4, "b": 0.9},
    flax=[
        ("INIT.normal({std})(SHAPE)", {"when": _UNCUT}),
        (
            "{mean} + {std} * jax.random.truncated_normal("
            "rngs.params(), ({a} - {mean}) / {std}, ({b} - {mean}) / {std}, {x}.shape)",
            {},
        ),
    ],
)


def _register_xavier() -> None:
    squared = {"gain": Conversion("gain", "{} ** 0.5", "{} ** 2")}
    for name, distribution in (("uniform", "uniform"), ("normal", "untruncated_normal")):
        scaled = f'INIT.VarianceScaling({{gain}}, "fan_avg", "{distribution}")'
        plain: list[Target] = [("INIT.GlorotUniform()", {"when": {"gain": 1.0}})] if name == "uniform" else []
        _initializer(
            f"xavier_{name}",
            _torch(f"xavier_{name}", "gain=1.0, generator=None"),
            [*plain, (scaled, {"maps": squared})],
            "gain=1.0",
            {},
            {"gain": 1.7},
            flax=[
                *([("INIT.xavier_uniform()(SHAPE)", {"when": {"gain": 1.0}})] if name == "uniform" else []),
                (f'INIT.variance_scaling({{gain}}, "fan_avg", "{name}")(SHAPE)', {"maps": squared}),
            ],
        )


_register_xavier()


def _scaled_for_flax(text: str) -> str:
    """A Keras template of variance scaling as NNX says it."""
    text = text.replace("INIT.HeUniform", "INIT.kaiming_uniform").replace(
        "INIT.VarianceScaling", "INIT.variance_scaling"
    )
    return text.replace('"untruncated_normal"', '"normal"') + "(SHAPE)"


def _register_kaiming() -> None:
    slope = {"a": Conversion("a", "(2.0 / {} - 1.0) ** 0.5", "2.0 / (1.0 + {} ** 2)")}
    for name, distribution in (("uniform", "uniform"), ("normal", "untruncated_normal")):
        scaling = f'INIT.VarianceScaling(SCALE, {{mode}}, "{distribution}")'
        targets: list[Target] = []
        if name == "uniform":
            targets += [
                ("INIT.HeUniform()", {"when": {"mode": "fan_in", "nonlinearity": "relu"}}),
                ("INIT.HeUniform()", {"when": {"mode": "fan_in", "nonlinearity": "leaky_relu", "a": 0.0}}),
            ]
        targets.append((scaling.replace("SCALE", "{a}"), {"maps": slope, "when": {"nonlinearity": "leaky_relu"}}))
        for nonlinearity, gain in _GAINS.items():
            text = scaling.replace("SCALE", repr(round(gain**2, 12)))
            targets.append((text, {"when": {"nonlinearity": nonlinearity}}))
        flax = [(_scaled_for_flax(text), options) for text, options in targets]
        _initializer(
            f"kaiming_{name}",
            _torch(f"kaiming_{name}", "a=0, mode='fan_in', nonlinearity='leaky_relu', generator=None"),
            targets,
            "a=0.0, mode='fan_in', nonlinearity='leaky_relu'",
            {},
            {"mode": "fan_out", "nonlinearity": "relu"},
            {"nonlinearity": "relu"},
            {"a": 1.5},
            {"nonlinearity": "tanh", "mode": "fan_out"},
            {"nonlinearity": "linear"},
            flax=flax,
        )


_register_kaiming()


def _gain_templates() -> list[Spelling]:
    texts = {"relu": "math.sqrt(2.0)", "tanh": "5.0 / 3.0", "selu": "0.75"}
    found = [Spelling("", template=texts.get(name, "1.0"), read=False, when={"nonlinearity": name}) for name in _GAINS]
    leaky = {"nonlinearity": "leaky_relu"}
    texts["leaky_relu"] = "math.sqrt(2.0 / (1.0 + 0.01**2))"
    known = ", ".join(f"{name}={text}" for name, text in (texts | {"leaky_relu": "math.sqrt(2.0 / 1.0001)"}).items())
    return [
        *found,
        Spelling("", template=texts["leaky_relu"], read=False, when={**leaky, "param": None}),
        Spelling("", template="math.sqrt(2.0 / (1.0 + {param} ** 2))", read=False, when=leaky),
        Spelling("", template=f"dict({known}).get({{nonlinearity}}, 1.0)", read=False, when={"param": None}),
    ]


def _gain(nonlinearity: str, param: float | None = None) -> float:
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1.0 + (0.01 if param is None else param) ** 2))
    return _GAINS[nonlinearity]


register(
    OpDef(
        "calculate_gain",
        "*, nonlinearity, param=None",
        "The factor by which a nonlinearity shrinks its input's deviation.",
        layout="none",
        reference=_gain,
        spellings={
            "torch": [Spelling("torch.nn.init.calculate_gain", "nonlinearity, param=None", positional=2)],
            **{framework: _gain_templates() for framework in (*_TARGETS, "flax")},
        },
        cases=[
            *(
                Case({}, {"nonlinearity": name}, gradients=False)
                for name in ("relu", "tanh", "conv2d", "selu", "leaky_relu")
            ),
            Case({}, {"nonlinearity": "leaky_relu", "param": 0.2}, gradients=False),
        ],
    )
)
