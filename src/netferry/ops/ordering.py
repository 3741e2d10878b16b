"""Ops that sort, rank or search."""

from __future__ import annotations

from typing import Any

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling, Support
from netferry.ops.forms import keras, supported, template, tensorflow, torch_both
from netferry.ops.registry import register, register_support

_AXIS = {"dim": "axis"}

register_support(
    Support(
        "top_k",
        {
            "tensorflow": '''
def top_k(x, k, axis=-1, largest=True):
    """The k largest (or smallest) values along an axis, in order, and their positions."""
    perm = list(range(len(x.shape)))
    perm[axis], perm[-1] = perm[-1], perm[axis]
    x = tf.transpose(x, perm)
    values, positions = tf.math.top_k(x if largest else -x, k)
    return tf.transpose(values if largest else -values, perm), tf.transpose(positions, perm)
''',
            "keras": '''
def top_k(x, k, axis=-1, largest=True):
    """The k largest (or smallest) values along an axis, in order, and their positions."""
    x = keras.ops.swapaxes(x, axis, -1)
    values, positions = keras.ops.top_k(x if largest else -x, k)
    return keras.ops.swapaxes(values if largest else -values, axis, -1), keras.ops.swapaxes(positions, axis, -1)
''',
        },
    )
)


def _top_k(x: Any, k: int, axis: int = -1, largest: bool = True) -> Any:
    order = np.take(np.argsort(-x if largest else x, axis, kind="stable"), range(k), axis)
    return np.take_along_axis(x, order, axis), order


register(
    OpDef(
        "topk",
        "x, *, k, axis=-1, largest=True",
        "The k largest (or smallest) values along an axis, in order, and their positions, as a pair.",
        layout="axis",
        reference=_top_k,
        spellings={
            "torch": torch_both(
                "topk",
                "k, dim=-1, largest=True, sorted=True",
                out=True,
                maps=_AXIS,
                ignore=("sorted",),
                prefer="method",
                positional=2,
            ),
            "tensorflow": [
                tensorflow(
                    "math.top_k",
                    "input, k=1, sorted=True, index_type='int32', name=None",
                    maps={"input": "x"},
                    ignore=("sorted", "index_type"),
                    positional=2,
                    when={"axis": -1, "largest": True},
                ),
                supported("top_k", "x, k, axis=-1, largest=True", positional=2),
            ],
            "keras": [
                keras(
                    "top_k",
                    "x, k, sorted=True",
                    ignore=("sorted",),
                    positional=2,
                    when={"axis": -1, "largest": True},
                ),
                supported("top_k", "x, k, axis=-1, largest=True", positional=2),
            ],
        },
        cases=[
            Case({"x": (2, 5)}, {"k": 3}),
            Case({"x": (2, 5, 3)}, {"k": 2, "axis": 1}),
            Case({"x": (2, 5)}, {"k": 2, "largest": False}),
        ],
    )
)


def _order(x: Any, axis: int = -1, descending: bool = False) -> Any:
    return np.argsort(-x if descending else x, axis, kind="stable")


def _direction(descending: bool) -> str:
    return ', direction="DESCENDING"' if descending else ""


def _tf_order(descending: bool) -> str:
    # TensorFlow's positions are int32 and do not mix with the int64 of all other indices.
    return f"tf.cast(tf.argsort({{x}}, axis={{axis}}{_direction(descending)}, stable=True), tf.int64)"


def _tf_sorted(descending: bool) -> str:
    return f"tf.sort({{x}}, axis={{axis}}{_direction(descending)})"


def _keras_order(descending: bool) -> str:
    return f"keras.ops.argsort({'-' if descending else ''}{{x}}, axis={{axis}})"


def _keras_sorted(descending: bool) -> str:
    return "-keras.ops.sort(-{x}, axis={axis})" if descending else "keras.ops.sort({x}, axis={axis})"


register(
    OpDef(
        "argsort",
        "x, *, axis=-1, descending=False",
        "The positions that would sort along an axis.",
        layout="axis",
        reference=_order,
        spellings={
            "torch": torch_both("argsort", "dim=-1, descending=False", maps=_AXIS, prefer="method")
            + torch_both(
                "argsort", "*, stable=False, dim=-1, descending=False", maps=_AXIS, ignore=("stable",), prefer="none"
            ),
            "tensorflow": [template(_tf_order(down), when={"descending": down}) for down in (False, True)],
            "keras": [
                *(template(_keras_order(down), when={"descending": down}) for down in (False, True)),
                keras("argsort", "x, axis=-1", write=False),
            ],
        },
        cases=[
            Case({"x": (2, 5)}, gradients=False),
            Case({"x": (2, 5, 3)}, {"axis": 1, "descending": True}, gradients=False),
        ],
    )
)
register(
    OpDef(
        "sort",
        "x, *, axis=-1, descending=False",
        "The values sorted along an axis and their former positions, as a pair.",
        layout="axis",
        reference=lambda x, axis=-1, descending=False: (
            np.take_along_axis(x, _order(x, axis, descending), axis),
            _order(x, axis, descending),
        ),
        spellings={
            "torch": torch_both("sort", "dim=-1, descending=False", out=True, maps=_AXIS, prefer="method")
            + torch_both(
                "sort",
                "*, stable=False, dim=-1, descending=False",
                out=True,
                maps=_AXIS,
                ignore=("stable",),
                prefer="none",
            ),
            "tensorflow": [
                template(f"({_tf_sorted(down)}, {_tf_order(down)})", when={"descending": down})
                for down in (False, True)
            ],
            "keras": [
                template(f"({_keras_sorted(down)}, {_keras_order(down)})", when={"descending": down})
                for down in (False, True)
            ],
        },
        cases=[
            Case({"x": (2, 5)}),
            Case({"x": (2, 5, 3)}, {"axis": 1, "descending": True}),
        ],
    )
)
register(
    OpDef(
        "nonzero",
        "x",
        "The positions of the elements that are not zero, one row each.",
        reference=lambda x: np.argwhere(x),
        spellings={
            "torch": [
                *torch_both("nonzero", "*, as_tuple=False", fixed={"as_tuple": False}, prefer="method"),
                *torch_both("argwhere", prefer="none"),
            ],
            "tensorflow": [template("tf.where({x})")],
            "keras": [template("keras.ops.stack(keras.ops.nonzero({x}), axis=-1)")],
        },
        cases=[Case({"x": np.array([[0.0, 1.5, 0.0], [2.0, 0.0, -1.0]])}, gradients=False)],
    )
)
register(
    OpDef(
        "nonzero_per_axis",
        "x",
        "The positions of the elements that are not zero, one vector per axis.",
        reference=np.nonzero,
        spellings={
            "torch": [
                *torch_both("nonzero", "*, as_tuple", fixed={"as_tuple": True}, prefer="none"),
            ],
            "tensorflow": [template("tuple(tf.unstack(tf.where({x}), axis=-1))")],
            "keras": [keras("nonzero", "x")],
        },
        cases=[Case({"x": np.array([[0.0, 1.5, 0.0], [2.0, 0.0, -1.0]])}, gradients=False)],
    )
)
_UNIQUE = "sorted=True, return_inverse=False, return_counts=False, dim=None"
register(
    OpDef(
        "unique",
        "x",
        "The different elements in rising order.",
        reference=np.unique,
        spellings={
            "torch": torch_both(
                "unique",
                _UNIQUE,
                ignore=("sorted",),
                fixed={"return_inverse": False, "return_counts": False, "dim": None},
            ),
            "tensorflow": [template("tf.sort(tf.unique(tf.reshape({x}, (-1,)))[0])")],
            "keras": [template("keras.ops.unique({x})")],
        },
        cases=[Case({"x": np.array([[3.0, 1.0], [1.0, 2.0]])}, gradients=False)],
    )
)
_SIDES: dict[bool, Any] = {False: "left", True: "right"}


def _register_searches() -> None:
    """searchsorted and bucketize, which differ in the order of their operands."""
    search = "searchsorted({boundaries}, {x}, side="
    flat = "searchsorted({boundaries}, {prefix}.reshape({x}, (-1,)), side="
    options = "*, out_int32=False, right=False"
    ignored = ("out_int32", "side", "sorter", "out")
    for name, texts, torch_spellings in (
        (
            "searchsorted",
            {"tensorflow": search, "keras": search},
            [
                Spelling(
                    "torch.searchsorted",
                    f"sorted_sequence, input, {options}, side=None, sorter=None, out=None",
                    maps={"sorted_sequence": "boundaries", "input": "x"},
                    ignore=ignored,
                    fixed={"side": None, "sorter": None},
                )
            ],
        ),
        (
            "bucketize",
            {"tensorflow": flat, "keras": flat},
            [
                Spelling(
                    "torch.bucketize",
                    f"input, boundaries, {options}, out=None",
                    maps={"input": "x"},
                    ignore=ignored,
                )
            ],
        ),
    ):
        spellings = {}
        for framework, prefix in (("tensorflow", "tf"), ("keras", "keras.ops")):
            dtype = ", out_type=tf.int64" if framework == "tensorflow" else ""
            written = []
            for right, side in _SIDES.items():
                text = f"{prefix}." + texts[framework].replace("{prefix}", prefix) + f'"{side}"{dtype})'
                if name == "bucketize":
                    text = f"{prefix}.reshape({text}, {{x}}.shape)"
                written.append(template(text, when={"right": right}))
            spellings[framework] = written
        register(
            OpDef(
                name,
                "x, boundaries, *, right=False",
                "Where each element of x belongs in rising boundaries.",
                reference=lambda x, boundaries, right=False: np.searchsorted(boundaries, x, _SIDES[right]),
                spellings={"torch": torch_spellings, **spellings},
                cases=[
                    Case(
                        {"x": np.array([0.5, 1.0, 3.5]), "boundaries": np.array([0.0, 1.0, 2.0, 3.0])},
                        {"right": right},
                        gradients=False,
                    )
                    for right in (False, True)
                ],
            )
        )


_register_searches()
