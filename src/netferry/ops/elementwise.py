"""Functions of each element: of one tensor, of two, and comparisons."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np

from netferry.ops.core import Case, Conversion, OpDef, Spelling
from netferry.ops.forms import keras, readable, template, tensorflow, torch_all, torch_function
from netferry.ops.registry import register

Reference = Callable[..., Any]

_UNIT = np.array([[-0.95, -0.4, 0.3], [0.05, 0.6, 0.9]])
_POSITIVE = np.array([[0.2, 1.5, 3.0], [0.7, 2.5, 40.0]])
_ABOVE_ONE = _POSITIVE + 1.25
_MIXED = np.array([[-2.5, -1.5, -0.5, 0.4], [0.5, 1.5, 2.5, 7.7]])
_SPECIAL = np.array([[np.nan, np.inf, -np.inf, 0.0, 1.5]])
_TRUTH = np.array([True, False, True, False])
_OTHER_TRUTH = np.array([True, True, False, False])
_INTS = np.array([1, 6, 12, 255])
_OTHER_INTS = np.array([3, 2, 5, 4])


def _over(function: Callable[[float], float]) -> Reference:
    return np.vectorize(function, otypes=[float])


def _erfinv(x: float) -> float:
    return NormalDist().inv_cdf((x + 1) / 2) / math.sqrt(2)


def _sample(kind: str) -> tuple[Any, bool]:
    """The operand of a unary op's case and whether gradients are compared."""
    return {
        "any": ((2, 3), True),
        "unit": (_UNIT, True),
        "positive": (_POSITIVE, True),
        "above one": (_ABOVE_ONE, True),
        "steps": (_MIXED, False),
        "special": (_SPECIAL, False),
        "truth": (_TRUTH, False),
        "ints": (_INTS, False),
    }[kind]


def _named(path: str) -> Spelling:
    return tensorflow(path, "x, name=None")


def _targets(text: str, spellings: list[Spelling]) -> list[Spelling]:
    """The template, if there is one, before the callables, which are then only read."""
    return [template(text), *map(readable, spellings)] if text else [spellings[0], *map(readable, spellings[1:])]


# name | PyTorch's names | TensorFlow's paths or a template | keras.ops name or a template | NumPy function | sample
_UNARY: tuple[tuple[str, str, str, str, Reference, str], ...] = (
    ("abs", "abs absolute", "abs math.abs", "abs absolute", np.abs, "any"),
    ("neg", "neg negative", "negative math.negative", "negative", np.negative, "any"),
    ("sign", "sign sgn", "sign math.sign", "sign", np.sign, "steps"),
    ("floor", "floor", "floor math.floor", "floor", np.floor, "steps"),
    ("ceil", "ceil", "math.ceil", "ceil", np.ceil, "steps"),
    ("round", "round", "round math.round", "round", np.round, "steps"),
    ("trunc", "trunc fix", "={x} - tf.math.mod({x}, tf.sign({x}))", "trunc", np.trunc, "steps"),
    (
        "frac",
        "frac",
        "=tf.math.mod({x}, tf.sign({x}))",
        "={x} - keras.ops.trunc({x})",
        lambda x: x - np.trunc(x),
        "steps",
    ),
    ("exp", "exp", "exp math.exp", "exp", np.exp, "any"),
    ("exp2", "exp2 special.exp2", "=2.0 ** {x}", "exp2", np.exp2, "any"),
    ("expm1", "expm1 special.expm1", "math.expm1", "expm1", np.expm1, "any"),
    ("log", "log", "math.log", "log", np.log, "positive"),
    ("log2", "log2", "=tf.math.log({x}) / math.log(2.0)", "log2", np.log2, "positive"),
    ("log10", "log10", "=tf.math.log({x}) / math.log(10.0)", "log10", np.log10, "positive"),
    ("log1p", "log1p special.log1p", "math.log1p", "log1p", np.log1p, "positive"),
    ("sqrt", "sqrt", "sqrt math.sqrt", "sqrt", np.sqrt, "positive"),
    ("rsqrt", "rsqrt", "math.rsqrt", "rsqrt", lambda x: 1 / np.sqrt(x), "positive"),
    ("square", "square", "square math.square", "square", np.square, "any"),
    ("reciprocal", "reciprocal", "math.reciprocal", "reciprocal", np.reciprocal, "positive"),
    ("sin", "sin", "sin math.sin", "sin", np.sin, "any"),
    ("cos", "cos", "cos math.cos", "cos", np.cos, "any"),
    ("tan", "tan", "tan math.tan", "tan", np.tan, "unit"),
    ("asin", "asin arcsin", "asin math.asin", "arcsin", np.arcsin, "unit"),
    ("acos", "acos arccos", "acos math.acos", "arccos", np.arccos, "unit"),
    ("atan", "atan arctan", "atan math.atan", "arctan", np.arctan, "any"),
    ("sinh", "sinh", "sinh math.sinh", "sinh", np.sinh, "any"),
    ("cosh", "cosh", "cosh math.cosh", "cosh", np.cosh, "any"),
    ("asinh", "asinh arcsinh", "math.asinh asinh", "arcsinh", np.arcsinh, "any"),
    ("acosh", "acosh arccosh", "math.acosh acosh", "arccosh", np.arccosh, "above one"),
    ("atanh", "atanh arctanh", "math.atanh atanh", "arctanh", np.arctanh, "unit"),
    ("erf", "erf special.erf", "math.erf", "erf", _over(math.erf), "any"),
    ("erfc", "erfc special.erfc", "math.erfc", "=1.0 - keras.ops.erf({x})", _over(math.erfc), "any"),
    ("erfinv", "erfinv special.erfinv", "math.erfinv", "erfinv", _over(_erfinv), "unit"),
    ("deg2rad", "deg2rad", "={x} * (math.pi / 180.0)", "={x} * (math.pi / 180.0)", np.deg2rad, "any"),
    ("rad2deg", "rad2deg", "={x} * (180.0 / math.pi)", "={x} * (180.0 / math.pi)", np.rad2deg, "any"),
    ("isnan", "isnan", "math.is_nan", "isnan", np.isnan, "special"),
    ("isinf", "isinf", "math.is_inf", "isinf", np.isinf, "special"),
    ("isfinite", "isfinite", "math.is_finite", "isfinite", np.isfinite, "special"),
    ("logical_not", "logical_not", "=tf.logical_not(tf.cast({x}, tf.bool))", "logical_not", np.logical_not, "truth"),
    ("bitwise_not", "bitwise_not", "=~{x}", "=~{x}", np.invert, "ints"),
)
_WITHOUT_OUT = {"isnan", "isinf", "isfinite"}
_NO_INPLACE_FUNCTION = {"sign", "sgn", "erfinv", "logical_not", "bitwise_not", "absolute", "negative", "fix"}
_TF_READ = {"logical_not": "logical_not", "bitwise_not": "bitwise.invert"}
_LOOSE = {"erfinv": (1e-9, "rational approximations differ"), "erfc": (1e-11, "1 - erf cancels")}


def _write_or_call(text: str, call: Callable[[str], Spelling], also: str = "") -> list[Spelling]:
    """Spellings from a table cell: ``=template`` or names separated by blanks; ``also`` names more that are read."""
    paths = [] if text.startswith("=") else text.split()
    return _targets(text[1:] if text.startswith("=") else "", [call(p) for p in (*paths, *also.split())])


def _register_unary() -> None:
    for name, torch_names, tf_cell, keras_cell, function, sample in _UNARY:
        operand, gradients = _sample(sample)
        torch: list[Spelling] = []
        for index, alias in enumerate(torch_names.split()):
            inplace = "none" if name in _WITHOUT_OUT else "method" if alias in _NO_INPLACE_FUNCTION else "both"
            found = torch_all(alias, out=name not in _WITHOUT_OUT, inplace=inplace)
            torch += found if index == 0 else map(readable, found)
        register(
            OpDef(
                name,
                "x",
                f"{name} of each element.",
                layout="elementwise",
                reference=function,
                spellings={
                    "torch": torch,
                    "tensorflow": _write_or_call(tf_cell, _named, _TF_READ.get(name, "")),
                    "keras": _write_or_call(keras_cell, lambda path: keras(path, "x")),
                },
                cases=[Case({"x": operand}, gradients=gradients)],
                tolerance=_LOOSE.get(name, (1e-12, "rounding only")),
            )
        )


_register_unary()


def _pair(path: str) -> Spelling:
    first, second = "yx" if path.endswith("atan2") else "xy"
    return tensorflow(path, f"{first}, {second}, name=None", maps={first: "x", second: "other"})


def _keras_pair(path: str) -> Spelling:
    first, second = "xy" if path.startswith("bitwise") else ("x1", "x2")
    return keras(path, f"{first}, {second}", maps={first: "x", second: "other"})


_BOOL = "tf.cast({x}, tf.bool), tf.cast({other}, tf.bool)"
# name | PyTorch's names | TensorFlow | Keras | also read in TensorFlow | in Keras | NumPy function | samples
_BINARY: tuple[tuple[str, str, str, str, str, str, Reference, str], ...] = (
    ("mul", "mul multiply", "={x} * {other}", "={x} * {other}", "multiply math.multiply", "multiply", np.multiply, "any"),
    ("maximum", "maximum", "maximum math.maximum", "maximum", "", "", np.maximum, "any"),
    ("minimum", "minimum", "minimum math.minimum", "minimum", "", "", np.minimum, "any"),
    ("fmod", "fmod", "=tf.sign({x}) * (tf.abs({x}) % abs({other}))", "={x} - {other} * keras.ops.trunc({x} / {other})", "", "", np.fmod, "mixed"),
    ("remainder", "remainder", "={x} % {other}", "={x} % {other}", "math.floormod math.mod", "mod", np.remainder, "mixed"),
    ("floor_divide", "floor_divide", "={x} // {other}", "={x} // {other}", "math.floordiv", "floor_divide", np.floor_divide, "steps"),
    ("atan2", "atan2 arctan2", "atan2 math.atan2", "arctan2", "", "", np.arctan2, "any"),
    ("hypot", "hypot", "=tf.sqrt(tf.square({x}) + tf.square({other}))", "=keras.ops.sqrt(keras.ops.square({x}) + keras.ops.square({other}))", "", "", np.hypot, "any"),
    ("logaddexp", "logaddexp", "=tf.maximum({x}, {other}) + tf.math.softplus(-tf.abs({x} - {other}))", "logaddexp", "", "", np.logaddexp, "any"),
    ("eq", "eq", "equal math.equal", "equal", "", "", np.equal, "ints"),
    ("ne", "ne not_equal", "not_equal math.not_equal", "not_equal", "", "", np.not_equal, "ints"),
    ("lt", "lt less", "less math.less", "less", "", "", np.less, "ints"),
    ("le", "le less_equal", "less_equal math.less_equal", "less_equal", "", "", np.less_equal, "ints"),
    ("gt", "gt greater", "greater math.greater", "greater", "", "", np.greater, "ints"),
    ("ge", "ge greater_equal", "greater_equal math.greater_equal", "greater_equal", "", "", np.greater_equal, "ints"),
    ("logical_and", "logical_and", f"=tf.logical_and({_BOOL})", "logical_and", "logical_and math.logical_and", "", np.logical_and, "truth"),
    ("logical_or", "logical_or", f"=tf.logical_or({_BOOL})", "logical_or", "logical_or math.logical_or", "", np.logical_or, "truth"),
    ("logical_xor", "logical_xor", f"=tf.math.logical_xor({_BOOL})", "logical_xor", "", "", np.logical_xor, "truth"),
    ("bitwise_and", "bitwise_and", "={x} & {other}", "={x} & {other}", "bitwise.bitwise_and", "bitwise_and", np.bitwise_and, "both"),
    ("bitwise_or", "bitwise_or", "={x} | {other}", "={x} | {other}", "bitwise.bitwise_or", "bitwise_or", np.bitwise_or, "both"),
    ("bitwise_xor", "bitwise_xor", "={x} ^ {other}", "={x} ^ {other}", "bitwise.bitwise_xor", "bitwise_xor", np.bitwise_xor, "both"),
    ("bitwise_left_shift", "bitwise_left_shift", "bitwise.left_shift", "bitwise_left_shift", "", "", np.left_shift, "ints"),
    ("bitwise_right_shift", "bitwise_right_shift", "bitwise.right_shift", "bitwise_right_shift", "", "", np.right_shift, "ints"),
)  # fmt: skip
_ONLY_METHOD_FORM = {"maximum", "minimum", "logaddexp"}
_ELEMENTWISE_EXTREMES = {"maximum": "max", "minimum": "min"}


def _pair_cases(samples: str) -> list[Case]:
    kinds = {
        "any": ((2, 3, 4), (3, 1), True),
        "mixed": (_MIXED, np.array([1.3, -0.7, 2.2, -3.1]), True),
        "steps": (_MIXED, np.array([1.3, -0.7, 2.2, -3.1]), False),
        "ints": (_INTS, _OTHER_INTS, False),
        "truth": (_TRUTH, _OTHER_TRUTH, False),
    }
    chosen = ("ints", "truth") if samples == "both" else (samples,)
    return [Case({"x": kinds[k][0], "other": kinds[k][1]}, gradients=bool(kinds[k][2])) for k in chosen]


def _register_binary() -> None:
    for name, torch_names, tf_cell, keras_cell, tf_read, keras_read, function, samples in _BINARY:
        torch: list[Spelling] = []
        for index, alias in enumerate(torch_names.split()):
            found = torch_all(alias, rest="other", inplace="none" if name in _ONLY_METHOD_FORM else "method")
            torch += found if index == 0 else map(readable, found)
        if alias := _ELEMENTWISE_EXTREMES.get(name, ""):
            torch += [readable(s) for s in torch_all(alias, rest="other", inplace="none", kinds={"other": "tensor"})]
        register(
            OpDef(
                name,
                "x, other",
                f"{name} of each pair of elements.",
                layout="elementwise",
                reference=function,
                spellings={
                    "torch": torch,
                    "tensorflow": _write_or_call(tf_cell, _pair, tf_read),
                    "keras": _write_or_call(keras_cell, _keras_pair, keras_read),
                },
                cases=_pair_cases(samples),
            )
        )


_register_binary()


def _register_scaled() -> None:
    """add and sub, where PyTorch scales the second operand."""
    for name, alias, sign, tf_path, keras_name in (
        ("add", "", "+", "add math.add", "add"),
        ("sub", "subtract", "-", "subtract math.subtract", "subtract"),
    ):
        register(
            OpDef(
                name,
                "x, other, *, alpha=1",
                f"x {sign} alpha * other.",
                layout="elementwise",
                reference=lambda x, other, alpha=1, sign=sign: x + alpha * other if sign == "+" else x - alpha * other,
                spellings={
                    "torch": torch_all(name, *filter(None, [alias]), rest="other, *, alpha=1", inplace="method"),
                    "tensorflow": [*_sums(sign), *(readable(_pair(p)) for p in tf_path.split())],
                    "keras": [*_sums(sign), readable(_keras_pair(keras_name))],
                },
                cases=[
                    Case({"x": (2, 3), "other": (3,)}),
                    Case({"x": (2, 3), "other": (2, 1)}, {"alpha": 2.5}),
                    Case({"x": _INTS, "other": _OTHER_INTS}, gradients=False),
                ],
            )
        )


def _sums(sign: str) -> list[Spelling]:
    return [
        template(f"{{x}} {sign} {{other}}", when={"alpha": 1}),
        template(f"{{x}} {sign} {{alpha}} * {{other}}"),
    ]


_register_scaled()
register(
    OpDef(
        "rsub",
        "x, other, *, alpha=1",
        "other - alpha * x.",
        layout="elementwise",
        reference=lambda x, other, alpha=1: other - alpha * x,
        spellings={
            "torch": [torch_function("rsub", "other, *, alpha=1")],
            **{
                framework: [template("{other} - {x}", when={"alpha": 1}), template("{other} - {alpha} * {x}")]
                for framework in ("tensorflow", "keras")
            },
        },
        cases=[Case({"x": (2, 3), "other": (3,)}), Case({"x": (2, 3), "other": (3,)}, {"alpha": 2.5})],
    )
)
_ROUNDED: dict[str | None, Reference] = {None: lambda x: x, "floor": np.floor, "trunc": np.trunc}
register(
    OpDef(
        "div",
        "x, other, *, rounding_mode=None",
        "x / other, rounded down or towards zero if asked for.",
        layout="elementwise",
        reference=lambda x, other, rounding_mode=None: _ROUNDED[rounding_mode](x / other),
        spellings={
            "torch": [
                *torch_all("div", "divide", rest="other, *, rounding_mode=None", inplace="method"),
                *map(readable, torch_all("true_divide", rest="other", inplace="method")),
            ],
            "tensorflow": [
                template("{x} / {other}", when={"rounding_mode": None}),
                template("{x} // {other}", when={"rounding_mode": "floor"}),
                template("tf.truncatediv({x}, {other})", when={"rounding_mode": "trunc"}),
                *(readable(_pair(path)) for path in ("divide", "math.divide", "truediv", "math.truediv")),
            ],
            "keras": [
                template("{x} / {other}", when={"rounding_mode": None}),
                template("{x} // {other}", when={"rounding_mode": "floor"}),
                template("keras.ops.trunc({x} / {other})", when={"rounding_mode": "trunc"}),
                *(readable(_keras_pair(path)) for path in ("divide", "true_divide")),
            ],
        },
        cases=[
            Case({"x": (2, 3), "other": np.array([[1.5], [-0.5]])}),
            Case({"x": _MIXED, "other": np.array([1.3, -0.7, 2.2, -3.1])}, {"rounding_mode": "floor"}, gradients=False),
            Case({"x": _MIXED, "other": np.array([1.3, -0.7, 2.2, -3.1])}, {"rounding_mode": "trunc"}, gradients=False),
        ],
    )
)
register(
    OpDef(
        "pow",
        "x, exponent",
        "x to the power of exponent.",
        layout="elementwise",
        reference=np.power,
        spellings={
            "torch": [
                *torch_all("pow", rest="exponent", inplace="method"),
                readable(Spelling("torch.pow", "self, exponent, *, out=None", maps={"self": "x"}, ignore=("out",))),
            ],
            "tensorflow": [
                template("{x} ** {exponent}"),
                *(
                    tensorflow(path, "x, y, name=None", maps={"y": "exponent"}, write=False)
                    for path in ("pow", "math.pow")
                ),
            ],
            "keras": [
                template("{x} ** {exponent}"),
                keras("power", "x1, x2", maps={"x1": "x", "x2": "exponent"}, write=False),
            ],
        },
        cases=[Case({"x": _POSITIVE, "exponent": np.array([2.0, 0.5, -1.0])})],
    )
)


def _clip(x: Any, min: Any = None, max: Any = None) -> Any:
    return np.clip(x, min, max)


register(
    OpDef(
        "clip",
        "x, *, min=None, max=None",
        "Each element raised to min and lowered to max; None leaves a side open.",
        layout="elementwise",
        reference=_clip,
        spellings={
            "torch": [
                *torch_all("clamp", "clip", rest="min=None, max=None"),
                *(
                    readable(spelling)
                    for name, side in (("clamp_min", "min"), ("clamp_max", "max"))
                    for spelling in torch_all(name, rest=side)
                ),
            ],
            "tensorflow": [
                template("tf.minimum({x}, {max})", when={"min": None}),
                template("tf.maximum({x}, {min})", when={"max": None}),
                tensorflow(
                    "clip_by_value",
                    "t, clip_value_min, clip_value_max, name=None",
                    maps={"t": "x", "clip_value_min": "min", "clip_value_max": "max"},
                    positional=3,
                ),
            ],
            "keras": [
                template("keras.ops.minimum({x}, {max})", when={"min": None}),
                template("keras.ops.maximum({x}, {min})", when={"max": None}),
                keras("clip", "x, x_min, x_max", maps={"x_min": "min", "x_max": "max"}, positional=3),
            ],
        },
        cases=[
            Case({"x": (3, 5)}, {"min": -0.3, "max": 0.8}),
            Case({"x": (3, 5)}, {"min": 0.1}),
            Case({"x": (3, 5)}, {"max": 0.2}),
        ],
    )
)


def _register_ternary() -> None:
    """Small formulas that PyTorch names and the targets write out."""
    for name, signature, torch_rest, torch_map, text, reference, attributes in (
        ("lerp", "x, end, weight", "end, weight", {}, "{x} + {weight} * ({end} - {x})", lambda x, end, weight: x + weight * (end - x), {}),
        ("addcmul", "x, a, b, *, value=1", "tensor1, tensor2, *, value=1", {"tensor1": "a", "tensor2": "b"}, "{x} + {value} * {a} * {b}", lambda x, a, b, value=1: x + value * a * b, {"value": 0.3}),
        ("addcdiv", "x, a, b, *, value=1", "tensor1, tensor2, *, value=1", {"tensor1": "a", "tensor2": "b"}, "{x} + {value} * {a} / {b}", lambda x, a, b, value=1: x + value * a / b, {"value": 0.3}),
    ):  # fmt: skip
        operands = [n.strip() for n in signature.partition(", *")[0].split(",")]
        shapes = dict(zip(operands, ((2, 3, 4), (3, 1), np.array([0.4, 1.7, 2.5, -3.0])), strict=True))
        register(
            OpDef(
                name,
                signature,
                f"{text.replace('{', '').replace('}', '')}.",
                layout="elementwise",
                reference=reference,
                spellings={
                    "torch": torch_all(name, rest=torch_rest, inplace="method", maps=torch_map),
                    "tensorflow": [template(text)],
                    "keras": [template(text)],
                },
                cases=[Case(shapes), *([Case(shapes, attributes)] if attributes else [])],
            )
        )


_register_ternary()


def _isclose(x: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8) -> Any:
    return np.abs(x - other) <= atol + rtol * np.abs(other)


register(
    OpDef(
        "isclose",
        "x, other, *, rtol=1e-05, atol=1e-08",
        "Whether each pair of elements differs by at most atol + rtol * |other|.",
        layout="elementwise",
        reference=_isclose,
        spellings={
            "torch": torch_all(
                "isclose",
                rest="other, rtol=1e-05, atol=1e-08, equal_nan=False",
                out=False,
                inplace="none",
                fixed={"equal_nan": False},
            ),
            "tensorflow": [template("tf.abs({x} - {other}) <= {atol} + {rtol} * abs({other})")],
            "keras": [template("keras.ops.abs({x} - {other}) <= {atol} + {rtol} * abs({other})")],
        },
        cases=[
            Case({"x": np.array([1.0, 1.0, 0.0]), "other": np.array([1.000001, 1.1, 1e-9])}, gradients=False),
            Case(
                {"x": np.array([1.0, 1.0, 0.0]), "other": np.array([1.05, 1.3, 0.2])},
                {"rtol": 0.1, "atol": 0.01},
                gradients=False,
            ),
        ],
    )
)
register(
    OpDef(
        "nan_to_num",
        "x, *, nan=0.0, posinf=None, neginf=None",
        "Replaces what is not a finite number; None stands for the type's largest.",
        layout="elementwise",
        reference=lambda x, nan=0.0, posinf=None, neginf=None: np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf),
        spellings={
            "torch": torch_all(
                "nan_to_num",
                rest="nan=None, posinf=None, neginf=None",
                maps={"nan": Conversion("nan", "0.0 if {} is None else {}", "{}")},
            ),
            "tensorflow": [
                template(
                    "tf.clip_by_value(tf.where(tf.math.is_nan({x}), tf.cast({nan}, {x}.dtype), {x}), {x}.dtype.min, {x}.dtype.max)",
                    when={"posinf": None, "neginf": None},
                )
            ],
            "keras": [keras("nan_to_num", "x, nan=0.0, posinf=None, neginf=None")],
        },
        cases=[Case({"x": _SPECIAL}, gradients=False), Case({"x": _SPECIAL}, {"nan": 2.5}, gradients=False)],
    )
)
