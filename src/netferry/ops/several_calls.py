"""What TensorFlow says in one call and others put together from several."""

from __future__ import annotations

from typing import Any

import numpy as np

from netferry.ops.core import Case, Conversion, Ints, OpDef, Spelling, Support
from netferry.ops.forms import keras, supported, template, tensorflow
from netferry.ops.registry import register, register_support

Array = np.ndarray[Any, Any]
_FLAGS = ("transpose_a", "transpose_b")
_TURNED = {
    (True, False): ("{x}.transpose(-2, -1)", "{other}"),
    (False, True): ("{x}", "{other}.transpose(-2, -1)"),
    (True, True): ("{x}.transpose(-2, -1)", "{other}.transpose(-2, -1)"),
}


def _turned(call: str, swap: str = "") -> list[Spelling]:
    """A product of matrices that are turned first, by which of them are."""
    made = []
    for flags, operands in _TURNED.items():
        a, b = (swap.format(o.partition(".")[0]) if swap and "." in o else o for o in operands)
        made.append(template(f"{call}({a}, {b})", when=dict(zip(_FLAGS, flags, strict=True))))
    return made


def _product(x: Array, other: Array, transpose_a: bool = False, transpose_b: bool = False) -> Array:
    a, b = (np.swapaxes(v, -1, -2) if flag else v for v, flag in ((x, transpose_a), (other, transpose_b)))
    return np.asarray(a @ b)


_MATMUL = (
    "a, b, transpose_a=False, transpose_b=False, adjoint_a=False, adjoint_b=False, a_is_sparse=False, "
    "b_is_sparse=False, output_type=None, grad_a=False, grad_b=False, name=None"
)
_UNTURNED = {
    **dict.fromkeys(("adjoint_a", "adjoint_b", "a_is_sparse", "b_is_sparse", "grad_a", "grad_b"), False),
    "output_type": None,
}
register(OpDef(
    "matmul_turned", "x, other, *, transpose_a=False, transpose_b=False",
    "The matrix product over the last two axes, of which either operand may be turned first.", layout="matmul",
    reference=_product,
    spellings={
        "torch": _turned("torch.matmul"),
        "tensorflow": [
            tensorflow(path, _MATMUL, maps={"a": "x", "b": "other"}, fixed=_UNTURNED, write=path == "matmul")
            for path in ("matmul", "linalg.matmul")
        ],
        "keras": _turned("keras.ops.matmul", "keras.ops.swapaxes({}, -2, -1)"),
    },
    cases=[
        Case({"x": (5, 2, 3), "other": (5, 4, 3)}, {"transpose_b": True}),
        Case({"x": (5, 3, 2), "other": (3, 4)}, {"transpose_a": True}),
        Case({"x": (3, 2), "other": (4, 3)}, {"transpose_a": True, "transpose_b": True}),
    ],
))  # fmt: skip
register(OpDef(
    "squared_difference", "x, other", "The square of a difference.", layout="elementwise",
    reference=lambda x, other: (x - other) ** 2,
    spellings={
        "torch": [template("({x} - {other}) ** 2")],
        "tensorflow": [
            tensorflow(path, "x, y, name=None", maps={"y": "other"}, positional=2, write=path == "math.squared_difference")
            for path in ("math.squared_difference",)
        ],
        "keras": [template("keras.ops.square({x} - {other})")],
    },
    cases=[Case({"x": (2, 3), "other": (3,)})],
))  # fmt: skip
_AXES = {"axes": Conversion("axes", "{}", "{} if isinstance({}, int) else tuple({})")}
register(OpDef(
    "moments", "x, *, axes, keepdims=False", "Mean and variance over axes, of all values there are.", layout="reduce",
    reference=lambda x, axes, keepdims=False: (
        x.mean(tuple(np.atleast_1d(axes)), keepdims=keepdims), x.var(tuple(np.atleast_1d(axes)), keepdims=keepdims)
    ),
    spellings={
        "torch": [template("torch.var_mean({x}, {axes}, correction=0, keepdim={keepdims})[::-1]")],
        "flax": [
            template("({x}.mean(axis={axes}), {x}.var(axis={axes}))", when={"keepdims": False}, maps=_AXES),
            template(
                "({x}.mean(axis={axes}, keepdims={keepdims}), {x}.var(axis={axes}, keepdims={keepdims}))", maps=_AXES
            ),
        ],
        "tensorflow": [
            tensorflow("nn.moments", "x, axes, shift=None, keepdims=False, name=None", fixed={"shift": None}, positional=2)
        ],
        "keras": [
            keras("moments", "x, axes, keepdims=False, synchronized=False", fixed={"synchronized": False}, positional=2)
        ],
    },
    cases=[Case({"x": (2, 3, 4)}, {"axes": [0, 1]}), Case({"x": (2, 3)}, {"axes": [-1], "keepdims": True})],
))  # fmt: skip
for _name, _lower, _upper in (("tril", -1, 0), ("triu", 0, -1)):
    register(OpDef(
        f"{_name}_band", "x", "The elements on one side of the main diagonal of the last two axes.", layout="opaque",
        reference=getattr(np, _name),
        spellings={
            "torch": [template(f"{{x}}.{_name}()")],
            "tensorflow": [
                Spelling("tf.linalg.band_part", "input, num_lower, num_upper, name=None", maps={"input": "x"},
                         fixed={"num_lower": _lower, "num_upper": _upper}, ignore=("name",), write=False),
                template(f"tf.linalg.band_part({{x}}, {_lower}, {_upper})"),
            ],
            "keras": [template(f"keras.ops.{_name}({{x}})")],
        },
        cases=[Case({"x": (2, 4, 3)})],
    ))  # fmt: skip
_TO_FLOAT = {"dtype": None}
register(OpDef(
    "one_hot_float", "x, *, num_classes, dtype=None",
    "A last axis that is one at the given class and zero elsewhere, in the default type unless another is given.",
    layout="opaque", reference=lambda x, num_classes, dtype=None: np.eye(num_classes)[x],
    spellings={
        "torch": [
            template("torch.nn.functional.one_hot({x}.long(), {num_classes}).to(torch.get_default_dtype())", when=_TO_FLOAT),
            template("torch.nn.functional.one_hot({x}.long(), {num_classes}).to({dtype})"),
        ],
        "tensorflow": [
            Spelling("tf.one_hot", "indices, depth, on_value=None, off_value=None, axis=None, dtype=None, name=None",
                     maps={"indices": "x", "depth": "num_classes"}, ignore=("name",), positional=2,
                     fixed={"on_value": None, "off_value": None, "axis": None}),
        ],
        "keras": [
            keras("one_hot", "x, num_classes, axis=-1, dtype=None, sparse=False", fixed={"axis": -1, "sparse": False},
                  positional=2),
        ],
    },
    cases=[Case({"x": Ints((2, 3), 4)}, {"num_classes": 5}, gradients=False)],
))  # fmt: skip
register(OpDef(
    "categorical", "logits, *, num", "num indices drawn with replacement, with the weights exp(logits) of each row.",
    layout="opaque",
    spellings={
        "torch": [template("torch.multinomial(torch.softmax({logits}, dim=-1), {num}, replacement=True)")],
        "tensorflow": [
            Spelling("tf.random.categorical", "logits, num_samples, dtype=None, seed=None, name=None",
                     maps={"num_samples": "num"}, ignore=("dtype", "seed", "name"), positional=2)
        ],
        "keras": [
            Spelling("keras.random.categorical", "logits, num_samples, dtype='int32', seed=None",
                     maps={"num_samples": "num"}, ignore=("dtype", "seed"), positional=2)
        ],
    },
    stochastic=True,
))  # fmt: skip
_MOMENTS = '''
def normalize_moments(x, mean, var, offset=None, scale=None, epsilon=0.001):
    """Normalise with given moments, then scale and shift; all broadcast."""
    factor = RSQRT(var + epsilon)
    factor = factor if scale is None else factor * scale
    x = (x - mean) * factor
    return x if offset is None else x + offset
'''
register_support(Support(
    "normalize_moments",
    {"torch": _MOMENTS.replace("RSQRT", "torch.rsqrt"), "keras": _MOMENTS.replace("RSQRT", "keras.ops.rsqrt")},
))  # fmt: skip
_NORM = "x, mean, var, offset=None, scale=None"
_WITH_MOMENTS = supported("normalize_moments", f"{_NORM}, epsilon=0.001", positional=6)
register(OpDef(
    "normalize_moments", f"{_NORM}, *, epsilon=0.001",
    "Normalises with given moments, scales and shifts; all broadcast.", layout="elementwise",
    reference=lambda x, mean, var, offset=None, scale=None, epsilon=0.001: (
        (x - mean) / np.sqrt(var + epsilon) * (1 if scale is None else scale) + (0 if offset is None else offset)
    ),
    spellings={
        "torch": [_WITH_MOMENTS],
        "tensorflow": [
            tensorflow("nn.batch_normalization", "x, mean, variance, offset, scale, variance_epsilon, name=None",
                       maps={"variance": "var", "variance_epsilon": "epsilon"}, positional=6)
        ],
        "keras": [_WITH_MOMENTS],
        "flax": [],
    },
    cases=[
        Case({"x": (2, 3), "mean": (3,), "var": np.array([0.5, 1.0, 2.0]), "offset": (3,), "scale": (3,)}),
    ],
))  # fmt: skip
register(OpDef(
    "truncated_normal", "*, mean=0.0, std=1.0, shape, dtype=None",
    "Normally distributed random numbers of at most two deviations.", layout="create",
    spellings={
        "torch": [template("torch.nn.init.trunc_normal_(torch.empty({shape}), {mean}, {std}, {mean} - 2 * {std}, {mean} + 2 * {std})")],
        "tensorflow": [
            Spelling("tf.random.truncated_normal", "shape, mean=0.0, stddev=1.0, dtype='float32', seed=None, name=None",
                     maps={"stddev": "std"}, ignore=("dtype", "seed", "name"))
        ],
        "keras": [
            Spelling("keras.random.truncated_normal", "shape, mean=0.0, stddev=1.0, dtype=None, seed=None",
                     maps={"stddev": "std"}, ignore=("seed",))
        ],
    },
    stochastic=True,
))  # fmt: skip
