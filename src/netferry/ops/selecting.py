"""Ops that choose, order or overwrite elements by masks, indices or comparison."""

from __future__ import annotations

from typing import Any

import numpy as np

from netferry.ops.core import Case, Conversion, Ints, OpDef, Spelling, Support
from netferry.ops.forms import (
    keras,
    supported,
    template,
    tensorflow,
    torch_both,
    torch_inplace,
    torch_method,
)
from netferry.ops.registry import register, register_support
from netferry.ops.shared import keras_support

_AXIS = {"dim": "axis"}
_MASK = np.array([[True, False, True], [False, False, True]])

register(
    OpDef(
        "where",
        "condition, x, y",
        "Elements of x where the condition holds, else of y.",
        layout="elementwise",
        reference=np.where,
        spellings={
            "torch": [
                Spelling(
                    "torch.where",
                    "condition, input, other, *, out=None",
                    maps={"input": "x", "other": "y"},
                    ignore=("out",),
                ),
                torch_method("where", "condition, other", maps={"other": "y"}, write=False),
            ],
            "tensorflow": [tensorflow("where", "condition, x, y, name=None")],
            "keras": [keras("where", "condition, x1, x2", maps={"x1": "x", "x2": "y"})],
        },
        cases=[
            Case({"condition": _MASK, "x": (2, 3), "y": (2, 3)}),
            Case({"condition": _MASK, "x": (1, 3), "y": (2, 1)}),
        ],
    )
)
register(
    OpDef(
        "masked_fill",
        "x, mask, *, value",
        "A value where the mask holds, else the elements of x.",
        layout="elementwise",
        reference=lambda x, mask, value: np.where(mask, value, x),
        spellings={
            "torch": [
                *torch_both("masked_fill", "mask, value", prefer="method", positional=3),
                torch_inplace("masked_fill_", "mask, value"),
            ],
            "tensorflow": [template("tf.where({mask}, {value}, {x})")],
            "keras": [template("keras.ops.where({mask}, {value}, {x})")],
        },
        cases=[
            Case({"x": (2, 3), "mask": _MASK}, {"value": 0.1}),
            Case({"x": (2, 3), "mask": _MASK}, {"value": float("-inf")}),
            Case({"x": (4, 2, 3), "mask": _MASK}, {"value": 0}),
        ],
    )
)
register(
    OpDef(
        "masked_select",
        "x, mask",
        "The elements of x where the mask holds, as a vector.",
        reference=lambda x, mask: x[mask],
        spellings={
            "torch": torch_both("masked_select", "mask", out=True),
            "tensorflow": [
                tensorflow(
                    "boolean_mask",
                    "tensor, mask, axis=None, name='boolean_mask'",
                    maps={"tensor": "x"},
                    fixed={"axis": None},
                )
            ],
            "keras": [template("{x}[{mask}]")],
        },
        cases=[Case({"x": (2, 3), "mask": _MASK})],
    )
)
register(
    OpDef(
        "take",
        "x, indices, *, axis",
        "The slices of x at the given positions of an axis.",
        layout="axis",
        reference=lambda x, indices, axis: np.take(x, indices, axis),
        spellings={
            "torch": torch_both(
                "index_select", "dim, index", out=True, maps={**_AXIS, "index": "indices"}, positional=2
            ),
            "tensorflow": [
                tensorflow(
                    "gather",
                    "params, indices, validate_indices=None, axis=None, batch_dims=0, name=None",
                    maps={
                        "params": "x",
                        "axis": Conversion("axis", "0 if {} is None else {}", "{}"),
                    },
                    ignore=("validate_indices",),
                    fixed={"batch_dims": 0},
                )
            ],
            "keras": [keras("take", "x, indices, axis=None")],
        },
        cases=[
            Case({"x": (5, 3), "indices": Ints((4,), 5)}, {"axis": 0}),
            Case({"x": (2, 5, 3), "indices": Ints((2,), 3)}, {"axis": -1}),
        ],
    )
)
keras_support(
    "take_at",
    '''
def take_at(x, *indices):
    """``x[i, j]``: the parts of ``x`` at positions that are given axis by axis."""
    place, *others = [keras.ops.cast(index, "int32") for index in indices]
    for index, size in zip(others, x.shape[1:]):
        place = place * size + index
    return keras.ops.take(keras.ops.reshape(x, (-1, *x.shape[len(indices) :])), place, axis=0)
''',
)
_AT = supported("take_at", "x, *indices")
register(
    OpDef(
        "take_at",
        "x, indices",
        "The parts of x at positions that are given axis by axis.",
        reference=lambda x, indices: x[tuple(indices)],
        spellings={"tensorflow": [_AT], "keras": [_AT]},
        cases=[
            Case({"x": (4, 5, 3), "indices": [Ints((6,), 4), Ints((6,), 5)]}),
            Case({"x": (4, 5, 3), "indices": [Ints((2, 1), 4), Ints((7,), 5), Ints((2, 7), 3)]}),
        ],
    )
)
register_support(
    Support(
        "gather_along_axis",
        {
            "tensorflow": '''
def gather_along_axis(x, indices, axis):
    """Pick elements along an axis, one for each element of ``indices``."""
    positions = tf.meshgrid(*[tf.range(n, dtype=indices.dtype) for n in indices.shape], indexing="ij")
    positions[axis] = indices
    return tf.gather_nd(x, tf.stack(positions, axis=-1))
'''
        },
    )
)
register_support(
    Support(
        "take_along_axis",
        {
            "tensorflow": '''
def take_along_axis(x, indices, axis):
    """Pick elements along an axis; the other axes of ``x`` and ``indices`` broadcast."""
    axis = axis % len(x.shape)
    sizes = [max(n, m) for n, m in zip(x.shape, indices.shape)]
    x = tf.broadcast_to(x, [*sizes[:axis], x.shape[axis], *sizes[axis + 1 :]])
    indices = tf.broadcast_to(indices, [*sizes[:axis], indices.shape[axis], *sizes[axis + 1 :]])
    positions = tf.meshgrid(*[tf.range(n, dtype=indices.dtype) for n in indices.shape], indexing="ij")
    positions[axis] = indices
    return tf.gather_nd(x, tf.stack(positions, axis=-1))
'''
        },
    )
)


def _gather(x: Any, indices: Any, axis: int) -> Any:
    positions = list(np.meshgrid(*[np.arange(n) for n in indices.shape], indexing="ij"))
    positions[axis] = indices
    return x[tuple(positions)]


register(
    OpDef(
        "gather",
        "x, indices, *, axis",
        "Elements along an axis, one for each element of indices; on the other axes at the position of the index.",
        reference=_gather,
        spellings={
            "torch": torch_both(
                "gather",
                "dim, index, *, sparse_grad=False",
                out=True,
                maps={**_AXIS, "index": "indices"},
                ignore=("sparse_grad",),
                positional=2,
            ),
            "tensorflow": [
                template("tf.gather({x}, {indices}, axis=-1, batch_dims=-1)", when={"axis": -1}),
                supported("gather_along_axis", "x, indices, axis", positional=3),
            ],
            "keras": [keras("take_along_axis", "x, indices, axis=None", read=False)],
        },
        cases=[
            Case({"x": (2, 5, 3), "indices": Ints((2, 4, 3), 5)}, {"axis": 1}),
            Case({"x": (2, 5), "indices": Ints((2, 3), 5)}, {"axis": -1}),
            Case({"x": (6, 2), "indices": Ints((3, 2), 6)}, {"axis": 0}),
        ],
    )
)
register(
    OpDef(
        "take_along_axis",
        "x, indices, *, axis",
        "Elements along an axis; the other axes of x and indices broadcast.",
        reference=lambda x, indices, axis: np.take_along_axis(x, indices, axis),
        spellings={
            "torch": torch_both("take_along_dim", "indices, dim", out=True, maps=_AXIS, positional=3),
            "tensorflow": [supported("take_along_axis", "x, indices, axis", positional=3)],
            "keras": [keras("take_along_axis", "x, indices, axis=None")],
        },
        cases=[
            Case({"x": (2, 5, 3), "indices": Ints((2, 4, 3), 5)}, {"axis": 1}),
            Case({"x": (2, 5, 3), "indices": Ints((1, 4, 3), 5)}, {"axis": 1}),
        ],
    )
)


def _register_arg_extremes() -> None:
    """argmax and argmin."""
    for name in ("argmax", "argmin"):
        np_function = getattr(np, name)
        signature = "input, axis=None, output_type='int64', name=None"
        register(
            OpDef(
                name,
                "x, *, axis=None, keepdims=False",
                f"NumPy's {name}: the position of the extreme element, of the flattened tensor when axis is None.",
                layout="reduce",
                reference=lambda x, axis=None, keepdims=False, f=np_function: f(x, axis, keepdims=keepdims),
                spellings={
                    "torch": torch_both(
                        name, "dim=None, keepdim=False", maps={**_AXIS, "keepdim": "keepdims"}, prefer="method"
                    ),
                    "tensorflow": [
                        template(f"tf.{name}(tf.reshape({{x}}, (-1,)))", when={"axis": None, "keepdims": False}),
                        tensorflow(
                            name,
                            signature,
                            maps={"input": "x"},
                            ignore=("output_type",),
                            when={"keepdims": False},
                        ),
                        template(f"tf.expand_dims(tf.{name}({{x}}, axis={{axis}}), {{axis}})", when={"keepdims": True}),
                    ],
                    "keras": [keras(name, "x, axis=None, keepdims=False")],
                },
                cases=[
                    Case({"x": (2, 3, 4)}, attributes, gradients=False)
                    for attributes in ({}, {"axis": 1}, {"axis": -1, "keepdims": True})
                ],
            )
        )


_register_arg_extremes()


def _register_extremes_with_positions() -> None:
    """max and min along one axis, which give values and positions."""
    for name in ("max", "min"):
        values, positions = getattr(np, name), getattr(np, f"arg{name}")
        axis = "axis={axis}, keepdims={keepdims}"
        tf_values = f"tf.reduce_{name}({{x}}, axis={{axis}}"
        register(
            OpDef(
                f"{name}_with_positions",
                "x, *, axis, keepdims=False",
                f"The {name} along an axis and its position, as a pair.",
                layout="reduce",
                reference=lambda x, axis, keepdims=False, v=values, p=positions: (
                    v(x, axis, keepdims=keepdims),
                    p(x, axis, keepdims=keepdims),
                ),
                spellings={
                    "torch": torch_both(
                        name,
                        "dim, keepdim=False",
                        out=True,
                        maps={**_AXIS, "keepdim": "keepdims"},
                        kinds={"dim": "int"},
                        prefer="method",
                        positional=2,
                    ),
                    "tensorflow": [
                        template(f"({tf_values}), tf.arg{name}({{x}}, axis={{axis}}))", when={"keepdims": False}),
                        template(
                            f"({tf_values}, keepdims=True), tf.expand_dims(tf.arg{name}({{x}}, axis={{axis}}), {{axis}}))",
                            when={"keepdims": True},
                        ),
                    ],
                    "keras": [
                        template(
                            f"(keras.ops.{name}({{x}}, axis={{axis}}), keras.ops.arg{name}({{x}}, axis={{axis}}))",
                            when={"keepdims": False},
                        ),
                        template(f"(keras.ops.{name}({{x}}, {axis}), keras.ops.arg{name}({{x}}, {axis}))"),
                    ],
                },
                cases=[
                    Case({"x": (2, 3, 4)}, attributes, gradients=False)
                    for attributes in ({"axis": 1}, {"axis": -1, "keepdims": True})
                ],
            )
        )


_register_extremes_with_positions()
