"""Ops that reduce axes of a tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from netferry.ops.core import Case, Conversion, OpDef, Spelling
from netferry.ops.forms import (
    keras,
    readable,
    supported,
    template,
    tensorflow,
    torch_both,
    torch_function,
)
from netferry.ops.jax_forms import jax_call
from netferry.ops.registry import register
from netferry.ops.shared import keras_support

Axes = int | tuple[int, ...] | None

_MAPS = {"dim": "axes", "keepdim": "keepdims"}
_ALL_IF_EMPTY = {**_MAPS, "dim": Conversion("axes", "None if {} == () else {}", "() if {} is None else {}")}
_TF = "input_tensor, axis=None, keepdims=False, name=None"
_TF_MAPS = {"input_tensor": "x", "axis": "axes"}
_CASES: tuple[dict[str, Any], ...] = (
    {},
    {"axes": 1},
    {"axes": (0, 2)},
    {"axes": -1, "keepdims": True},
    {"axes": (-2, -1), "keepdims": True},
)


def _tf(path: str, **options: Any) -> list[Spelling]:
    """``tf.reduce_name`` and its long name."""
    return [
        tensorflow(path, _TF, maps=_TF_MAPS, positional=2, **options),
        tensorflow(f"math.{path}", _TF, maps=_TF_MAPS, write=False, **options),
    ]


def _keras(path: str, **options: Any) -> Spelling:
    return keras(path, "x, axis=None, keepdims=False", maps={"axis": "axes"}, positional=2, **options)


def _cases(*more: dict[str, Any], gradients: bool = True, operand: Any = (3, 4, 5)) -> list[Case]:
    return [Case({"x": operand}, attributes, gradients=gradients) for attributes in (*_CASES, *more)]


def _register_typed() -> None:
    """sum, mean and prod, which PyTorch can compute in another type."""
    for name, tf_path in (("sum", "reduce_sum"), ("mean", "reduce_mean"), ("prod", "reduce_prod")):
        function: Callable[..., Any] = getattr(np, name)
        single = {"axes": lambda axes: isinstance(axes, int) or axes is None} if name == "prod" else {}
        cast = {
            framework: template(f"{call}({cast}({{x}}, {{dtype}}), axis={{axes}}, keepdims={{keepdims}})")
            for framework, call, cast in (
                ("tensorflow", f"tf.{tf_path}", "tf.cast"),
                ("keras", f"keras.ops.{name}", "keras.ops.cast"),
            )
        }
        register(
            OpDef(
                f"reduce_{name}",
                "x, *, axes=None, keepdims=False, dtype=None",
                f"{name} over axes (all by default).",
                layout="reduce",
                reference=lambda x, axes=None, keepdims=False, dtype=None, function=function: function(
                    x, axis=axes, keepdims=keepdims
                ),
                spellings={
                    "torch": [
                        # Without axes there is no keepdim to give, so None must not be written.
                        *torch_both(
                            name,
                            "*, dtype=None",
                            out=name == "mean",
                            when={"axes": None, "keepdims": False},
                            positional=3,
                        ),
                        *torch_both(
                            name,
                            "dim=None, keepdim=False, *, dtype=None",
                            out=True,
                            maps=_MAPS,
                            when=single,
                            positional=3,
                        ),
                    ],
                    "tensorflow": [*_tf(tf_path, when={"dtype": None}), cast["tensorflow"]],
                    "keras": [_keras(name, when={"dtype": None}), cast["keras"]],
                },
                cases=[
                    case
                    for case in _cases({"axes": 1, "dtype": "float64"})
                    if name != "prod" or not isinstance(case.attributes.get("axes"), tuple)
                ],
            )
        )


_register_typed()


def _register_extremes() -> None:
    for name, alias in (("max", "amax"), ("min", "amin")):
        function: Callable[..., Any] = getattr(np, name)
        register(
            OpDef(
                f"reduce_{name}",
                "x, *, axes=None, keepdims=False",
                f"The {name}imum over axes (all by default).",
                layout="reduce",
                reference=lambda x, axes=None, keepdims=False, function=function: function(
                    x, axis=axes, keepdims=keepdims
                ),
                spellings={
                    "torch": [
                        *torch_both(alias, "dim=(), keepdim=False", out=True, maps=_ALL_IF_EMPTY, positional=3),
                        *torch_both(name, prefer="none"),
                    ],
                    "tensorflow": _tf(f"reduce_{name}"),
                    "keras": [_keras(name), readable(_keras(alias))],
                },
                cases=_cases(),
            )
        )


_register_extremes()
_AS_BOOL = {
    "tensorflow": "tf.reduce_{name}(tf.cast({{x}}, tf.bool), axis={{axes}}, keepdims={{keepdims}})",
}


def _register_truth() -> None:
    for name in ("all", "any"):
        function: Callable[..., Any] = getattr(np, name)
        register(
            OpDef(
                f"reduce_{name}",
                "x, *, axes=None, keepdims=False",
                f"Whether {name} elements along axes (all by default) are true.",
                layout="reduce",
                reference=lambda x, axes=None, keepdims=False, function=function: function(
                    x, axis=axes, keepdims=keepdims
                ),
                spellings={
                    "torch": [
                        *torch_both(name, when={"axes": None, "keepdims": False}),
                        *torch_both(name, "dim=None, keepdim=False", out=True, maps=_MAPS, positional=3),
                    ],
                    "tensorflow": [
                        template(_AS_BOOL["tensorflow"].format(name=name)),
                        *map(readable, _tf(f"reduce_{name}")),
                    ],
                    "keras": [_keras(name)],
                },
                cases=_cases(gradients=False, operand=np.random.default_rng(0).random((3, 4, 5)) < 0.8),
            )
        )


_register_truth()


def _logsumexp(x: Any, axes: Axes, keepdims: bool = False) -> Any:
    top = x.max()
    return top + np.log(np.exp(x - top).sum(axis=axes, keepdims=keepdims))


register(
    OpDef(
        "reduce_logsumexp",
        "x, *, axes, keepdims=False",
        "The logarithm of the sum of exponentials along axes.",
        layout="reduce",
        reference=_logsumexp,
        spellings={
            "torch": [
                *torch_both("logsumexp", "dim, keepdim=False", out=True, maps=_MAPS, positional=3),
                torch_function("special.logsumexp", "dim, keepdim=False", out=True, maps=_MAPS, write=False),
            ],
            "tensorflow": _tf("reduce_logsumexp"),
            "keras": [_keras("logsumexp")],
        },
        cases=_cases()[1:],
    )
)
register(
    OpDef(
        "count_nonzero",
        "x, *, axes=None",
        "How many elements along axes (all by default) are not zero.",
        layout="reduce",
        reference=lambda x, axes=None: np.asarray(np.count_nonzero(x, axis=axes)),
        spellings={
            "torch": torch_both("count_nonzero", "dim=None", maps=_MAPS, positional=2),
            "tensorflow": [template("tf.math.count_nonzero({x}, axis={axes})")],
            "keras": [keras("count_nonzero", "x, axis=None", maps={"axis": "axes"}, positional=2)],
        },
        cases=[
            Case({"x": np.array([[0, 2, 0], [1, 0, 3]])}, attributes, gradients=False)
            for attributes in ({}, {"axes": 1}, {"axes": (0, 1)})
        ],
    )
)
keras_support(
    "variance",
    '''
def variance(x, axis=None, correction=1, keepdims=False):
    """Variance along axes, with the sum of squares divided by their size minus ``correction``."""
    axes = range(len(x.shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    size = math.prod(x.shape[i] for i in axes)
    squares = keras.ops.square(x - keras.ops.mean(x, axis=axis, keepdims=True))
    return keras.ops.mean(squares, axis=axis, keepdims=keepdims) * (size / (size - correction))
''',
)
keras_support(
    "standard_deviation",
    '''
def standard_deviation(x, axis=None, correction=1, keepdims=False):
    """Standard deviation along axes, with the sum of squares divided by their size minus ``correction``."""
    return keras.ops.sqrt(variance(x, axis, correction, keepdims))
''',
    requires=("variance",),
)
_UNBIASED = Conversion("correction", "int({})", {1: True, 0: False})
_CORRECTION = Conversion("correction", "1 if {} is None else {}", "{}")
_SPREAD_CASES = ({"correction": 0}, {"axes": 1, "correction": 0}, {"axes": (1, 2), "correction": 2, "keepdims": True})


def _torch_spread(name: str) -> list[Spelling]:
    """The three overloads: ``(unbiased)``, ``(dim, *, correction)``, ``(dim, unbiased)``; the second is written."""
    maps = {**_MAPS, "unbiased": _UNBIASED, "correction": _CORRECTION}
    return [
        *torch_both(name, "unbiased", prefer="none", maps=maps, kinds={"unbiased": "bool"}),
        *torch_both(name, "dim=None, *, correction=None, keepdim=False", out=True, maps=maps, positional=2),
        *torch_both(name, "dim, unbiased=True, keepdim=False", out=True, prefer="none", maps=maps),
    ]


def _spread_targets(framework: str, support: str, plain: Sequence[Spelling]) -> list[Spelling]:
    return [
        *plain,
        supported(support, "x, axis=None, correction=1, keepdims=False", maps={"axis": "axes"}, positional=2),
    ]


def _in_jax(name: str) -> Spelling:
    return jax_call(
        f"jax.Array.{name}",
        "self, axis=None, dtype=None, out=None, ddof=0, keepdims=False",
        maps={"self": "x", "axis": "axes", "ddof": "correction"},
        ignore=("dtype", "out"),
        kind="method",
    )


def _register_spreads() -> None:
    """std and var, and each together with the mean."""
    for name, support, tf_path in (("var", "variance", "reduce_variance"), ("std", "standard_deviation", "reduce_std")):
        function: Callable[..., Any] = getattr(np, name)
        implied: dict[str, Any] = {"implies": {"correction": 0}}
        long = tensorflow(f"math.{tf_path}", _TF, maps=_TF_MAPS, positional=2, **implied)
        signature = "x, *, axes=None, correction=1, keepdims=False"

        def spread(
            x: Any,
            axes: Axes = None,
            correction: int = 1,
            keepdims: bool = False,
            function: Callable[..., Any] = function,
        ) -> Any:
            return function(x, axis=axes, ddof=correction, keepdims=keepdims)

        register(
            OpDef(
                f"reduce_{name}",
                signature,
                f"np.{name} along axes with the given correction of the size.",
                layout="reduce",
                reference=spread,
                spellings={
                    "torch": _torch_spread(name),
                    "tensorflow": _spread_targets("tensorflow", support, [long]),
                    "keras": _spread_targets("keras", support, [_keras(name, **implied)]),
                    "flax": [_in_jax(name)],
                },
                cases=_cases(*_SPREAD_CASES),
            )
        )
        arguments = "{x}, axis={axes}, correction={correction}, keepdims={keepdims}"
        register(
            OpDef(
                f"reduce_{name}_mean",
                signature,
                f"np.{name} along axes with the given correction of the size, and the mean.",
                layout="reduce",
                reference=lambda x, axes=None, correction=1, keepdims=False, spread=spread: (
                    spread(x, axes, correction, keepdims),
                    x.mean(axis=axes, keepdims=keepdims),
                ),
                spellings={
                    "torch": [s for s in _torch_spread(f"{name}_mean") if s.kind != "method"],
                    **{
                        framework: [
                            template(
                                f"({support}({arguments}), {mean}({{x}}, axis={{axes}}, keepdims={{keepdims}}))",
                                support=support,
                            )
                        ]
                        for framework, mean in (("tensorflow", "tf.reduce_mean"), ("keras", "keras.ops.mean"))
                    },
                    "flax": [
                        template(
                            f"({{x}}.{name}(axis={{axes}}, ddof={{correction}}, keepdims={{keepdims}}), "
                            "{x}.mean(axis={axes}, keepdims={keepdims}))"
                        )
                    ],
                },
                cases=_cases(*_SPREAD_CASES),
            )
        )


_register_spreads()
