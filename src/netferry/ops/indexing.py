"""Ops that read or replace parts of a tensor chosen by position: triangles, diagonals, slices, scatters."""

from __future__ import annotations

from typing import Any

import numpy as np

from netferry.ops.core import Case, Conversion, Ints, OpDef, Spelling, Support
from netferry.ops.forms import (
    keras,
    supported,
    template,
    torch_both,
    torch_inplace,
)
from netferry.ops.registry import register, register_support

_AXIS = {"dim": "axis"}


def _register_triangles() -> None:
    """tril and triu."""
    for name, compare, band, fits in (
        ("tril", "<=", "tf.linalg.band_part({x}, -1, {k})", lambda k: k >= 0),
        ("triu", ">=", "tf.linalg.band_part({x}, {k}, -1)", lambda k: k <= 0),
    ):
        register_support(
            Support(
                name,
                {
                    "tensorflow": f'''
def {name}(x, k=0):
    """Keep the elements on one side of a diagonal of the last two axes; the others become zero."""
    rows, columns = x.shape[-2:]
    keep = tf.range(columns) {compare} tf.range(rows)[:, None] + k
    return tf.where(keep, x, tf.zeros_like(x))
'''
                },
            )
        )
        np_function = getattr(np, name)
        register(
            OpDef(
                name,
                "x, *, k=0",
                "The elements on one side of a diagonal of the last two axes; the others become zero.",
                reference=lambda x, k=0, f=np_function: f(x, k),
                spellings={
                    "torch": [
                        *torch_both(name, "diagonal=0", out=True, maps={"diagonal": "k"}, positional=2),
                        torch_inplace(f"{name}_", "diagonal=0", maps={"diagonal": "k"}),
                    ],
                    "tensorflow": [
                        template(
                            band,
                            when={"k": fits},
                            maps={"k": Conversion("k", "-{}", "-{}")} if name == "triu" else {},
                        ),
                        supported(name, "x, k=0", positional=2),
                    ],
                    "keras": [keras(name, "x, k=0", positional=2)],
                },
                cases=[
                    *(Case({"x": (2, 4, 5)}, {"k": k}) for k in (0, 1, -2)),
                    Case({"x": np.full((3, 3), float("-inf"))}, {"k": 1}, gradients=False),
                ],
            )
        )


_register_triangles()
register_support(
    Support(
        "diagonal",
        {
            "tensorflow": '''
def diagonal(x, offset=0, axis1=0, axis2=1):
    """A diagonal of two axes, as the last axis."""
    rank = len(x.shape)
    rows, columns = axis1 % rank, axis2 % rank
    others = [axis for axis in range(rank) if axis not in (rows, columns)]
    return tf.linalg.diag_part(tf.transpose(x, [*others, rows, columns]), k=offset)
'''
        },
    )
)
register(
    OpDef(
        "diagonal",
        "x, *, offset=0, axis1=0, axis2=1",
        "A diagonal of two axes, as the last axis.",
        reference=lambda x, offset=0, axis1=0, axis2=1: np.diagonal(x, offset, axis1, axis2),
        spellings={
            "torch": torch_both(
                "diagonal", "offset=0, dim1=0, dim2=1", prefer="method", maps={"dim1": "axis1", "dim2": "axis2"}
            ),
            "tensorflow": [
                template("tf.linalg.diag_part({x}, k={offset})", when={"axis1": -2, "axis2": -1}),
                supported("diagonal", "x, offset=0, axis1=0, axis2=1"),
            ],
            "keras": [keras("diagonal", "x, offset=0, axis1=0, axis2=1")],
        },
        cases=[
            Case({"x": (3, 4)}),
            Case({"x": (3, 4)}, {"offset": 1}),
            Case({"x": (2, 3, 4)}, {"axis1": -2, "axis2": -1, "offset": -1}),
            Case({"x": (2, 3, 4)}, {"axis1": 0, "axis2": 2}),
        ],
    )
)
register_support(
    Support(
        "diag",
        {
            "tensorflow": '''
def diag(x, k=0):
    """The matrix with this diagonal, or the diagonal of this matrix."""
    return tf.linalg.diag(x, k=k) if len(x.shape) == 1 else tf.linalg.diag_part(x, k=k)
'''
        },
    )
)
register(
    OpDef(
        "diag",
        "x, *, k=0, rank=...",
        "The matrix with this diagonal, or the diagonal of this matrix.",
        reference=lambda x, k=0, rank=None: np.diag(x, k),
        spellings={
            "torch": torch_both("diag", "diagonal=0", out=True, maps={"diagonal": "k"}),
            "tensorflow": [
                template("tf.linalg.diag({x})", when={"rank": 1, "k": 0}),
                template("tf.linalg.diag_part({x})", when={"rank": 2, "k": 0}),
                template("tf.linalg.diag({x}, k={k})", when={"rank": 1}),
                template("tf.linalg.diag_part({x}, k={k})", when={"rank": 2}),
                supported("diag", "x, k=0"),
            ],
            "keras": [keras("diag", "x, k=0")],
        },
        cases=[Case({"x": (3,)}), Case({"x": (3,)}, {"k": 1, "rank": 1}), Case({"x": (3, 4)}, {"rank": 2})],
    )
)


def _diag_embed(x: Any) -> Any:
    return np.where(np.eye(x.shape[-1], dtype=bool), x[..., None], 0)


register(
    OpDef(
        "diag_embed",
        "x",
        "Square matrices with the last axis as their diagonal.",
        reference=_diag_embed,
        spellings={
            "torch": torch_both(
                "diag_embed",
                "offset=0, dim1=-2, dim2=-1",
                fixed={"offset": 0, "dim1": -2, "dim2": -1},
            ),
            "tensorflow": [template("tf.linalg.diag({x})")],
            "keras": [template('keras.ops.where(keras.ops.eye({x}.shape[-1], dtype="bool"), {x}[..., None], 0)')],
        },
        cases=[Case({"x": (2, 3)})],
    )
)


def _one_hot(x: Any, num_classes: int = -1) -> Any:
    return np.eye(num_classes if num_classes > 0 else x.max() + 1, dtype="int64")[x]


register(
    OpDef(
        "one_hot",
        "x, *, num_classes=-1",
        "A last axis that is one at the given class, zero elsewhere; -1 takes the highest class found.",
        layout="opaque",
        reference=_one_hot,
        spellings={
            "torch": [
                Spelling("torch.nn.functional.one_hot", "tensor, num_classes=-1", maps={"tensor": "x"}, positional=2)
            ],
            "tensorflow": [
                template(
                    "tf.one_hot({x}, tf.cast(tf.reduce_max({x}), tf.int32) + 1, dtype=tf.int64)",
                    when={"num_classes": -1},
                ),
                template("tf.one_hot({x}, {num_classes}, dtype=tf.int64)"),
            ],
            "keras": [
                template(
                    'keras.ops.one_hot({x}, int(keras.ops.max({x})) + 1, dtype="int32")', when={"num_classes": -1}
                ),
                template('keras.ops.one_hot({x}, {num_classes}, dtype="int32")'),
            ],
        },
        cases=[
            Case({"x": Ints((2, 3), 4)}, {"num_classes": 5}, gradients=False),
            Case({"x": np.array([0, 3, 1])}, gradients=False),
        ],
    )
)


def _sliced(prefix: str, last: str, other: str) -> list[Spelling]:
    """Templates ``x[:, …, i]`` by literal axis; ``other`` for an axis that is not known."""
    leading = {axis: ":, " * axis for axis in range(5)} | {-1: "..., "}
    return [
        *(template(f"{{x}}[{before}{last}]", when={"axis": axis}) for axis, before in leading.items()),
        template(other.replace("{prefix}", prefix)),
    ]


def _register_slices() -> None:
    """select and narrow."""
    for name, attributes, torch_rest, maps, last, tf_text, keras_text, reference, values in (
        (
            "select",
            "axis, index",
            "dim, index",
            _AXIS,
            "{index}",
            "tf.gather({x}, {index}, axis={axis})",
            "keras.ops.take({x}, {index}, axis={axis})",
            lambda x, axis, index: np.take(x, index, axis),
            {"index": 2},
        ),
        (
            "narrow",
            "axis, start, length",
            "dim, start, length",
            _AXIS,
            "{start}:{start} + {length}",
            "tf.gather({x}, tf.range({start}, {start} + {length}), axis={axis})",
            "keras.ops.take({x}, keras.ops.arange({start}, {start} + {length}), axis={axis})",
            lambda x, axis, start, length: np.take(x, range(start, start + length), axis),
            {"start": 1, "length": 2},
        ),
    ):
        register(
            OpDef(
                name,
                f"x, *, {attributes}",
                "One slice of an axis, without the axis." if name == "select" else "A range of an axis.",
                reference=reference,
                spellings={
                    "torch": torch_both(name, torch_rest, prefer="method", maps=maps, positional=4),
                    "tensorflow": _sliced("tf", last, tf_text),
                    "keras": _sliced("keras.ops", last, keras_text),
                },
                cases=[Case({"x": (3, 5, 6)}, {"axis": axis, **values}) for axis in (0, 1, 2, -1, -2)],
            )
        )


_register_slices()
_SCATTER = '''
def {name}(x, indices, values, axis):
    """A copy of a tensor with {verb} the elements that ``indices`` point to along an axis."""
'''
_BODIES = {
    "tensorflow": """    positions = tf.meshgrid(*[tf.range(n, dtype=indices.dtype) for n in indices.shape], indexing="ij")
    positions[axis] = indices
    values = tf.broadcast_to(tf.cast(values, x.dtype), indices.shape)
    return tf.tensor_scatter_nd_{update}(x, tf.stack(positions, axis=-1), values)
""",
    "keras": """    positions = list(keras.ops.meshgrid(*[keras.ops.arange(n) for n in indices.shape], indexing="ij"))
    positions[axis] = keras.ops.cast(indices, positions[axis].dtype)
    positions = keras.ops.reshape(keras.ops.stack(positions, axis=-1), (-1, len(x.shape)))
    values = keras.ops.broadcast_to(keras.ops.cast(values, x.dtype), indices.shape)
    return keras.ops.scatter_update(x, positions, keras.ops.reshape(values, (-1,)){reduction})
""",
    "flax": """    positions = list(jax.numpy.meshgrid(*[jax.numpy.arange(n) for n in indices.shape], indexing="ij"))
    positions[axis] = indices
    return x.at[tuple(positions)].{place}(values)
""",
}


def _scatter(x: Any, indices: Any, values: Any, axis: int, add: bool) -> Any:
    result = x.copy()
    positions = list(np.meshgrid(*[np.arange(n) for n in indices.shape], indexing="ij"))
    positions[axis] = indices
    if add:
        np.add.at(result, tuple(positions), values)
    else:
        result[tuple(positions)] = values
    return result


def _register_scatters() -> None:
    """scatter and scatter_add."""
    for name, verb, update, reduction in (
        ("scatter", "new values in", "update", ""),
        ("scatter_add", "values added to", "add", ', reduction="add"'),
    ):
        head = _SCATTER.format(name=name, verb=verb)
        register_support(
            Support(
                name,
                {
                    framework: head
                    + body.replace("{update}", update)
                    .replace("{reduction}", reduction)
                    .replace("{place}", "add" if reduction else "set")
                    for framework, body in _BODIES.items()
                },
            )
        )
        add = name == "scatter_add"
        names = [("src", "src"), ("value", "value")][: 1 if add else 2]
        indices = np.array([[0, 2, 1], [3, 0, 2]])
        register(
            OpDef(
                name,
                "x, indices, values, *, axis",
                f"x with {verb} the elements that indices point to along an axis.",
                reference=lambda x, indices, values, axis, add=add: _scatter(x, indices, values, axis, add),
                spellings={
                    "torch": [
                        spelling
                        for source, _ in names
                        for spelling in (
                            *torch_both(
                                name,
                                f"dim, index, {source}",
                                maps={**_AXIS, "index": "indices", source: "values"},
                                prefer="method" if source == "src" else "none",
                                positional=4,
                            ),
                            torch_inplace(
                                f"{name}_",
                                f"dim, index, {source}",
                                maps={**_AXIS, "index": "indices", source: "values"},
                            ),
                        )
                    ],
                    "tensorflow": [supported(name, "x, indices, values, axis")],
                    "keras": [supported(name, "x, indices, values, axis")],
                    "flax": [supported(name, "x, indices, values, axis")],
                },
                cases=[
                    Case({"x": (4, 3), "indices": indices, "values": (2, 3)}, {"axis": 0}),
                    Case({"x": (2, 5), "indices": indices, "values": (2, 3)}, {"axis": -1}),
                ],
            )
        )


_register_scatters()


def _index_add(x: Any, indices: Any, values: Any, axis: int, alpha: float = 1) -> Any:
    result = np.moveaxis(x.copy(), axis, 0)
    np.add.at(result, indices, alpha * np.moveaxis(values, axis, 0))
    return np.moveaxis(result, 0, axis)


register_support(
    Support(
        "index_add",
        {
            "tensorflow": '''
def index_add(x, indices, values, axis):
    """A copy of a tensor with slices of ``values`` added to the slices at ``indices`` of an axis."""
    perm = list(range(len(x.shape)))
    perm[0], perm[axis] = perm[axis], perm[0]
    x, values = tf.transpose(x, perm), tf.transpose(values, perm)
    return tf.transpose(tf.tensor_scatter_nd_add(x, indices[:, None], values), perm)
''',
            "keras": '''
def index_add(x, indices, values, axis):
    """A copy of a tensor with slices of ``values`` added to the slices at ``indices`` of an axis."""
    x, values = keras.ops.swapaxes(x, 0, axis), keras.ops.swapaxes(values, 0, axis)
    added = keras.ops.segment_sum(values, indices, num_segments=x.shape[0])
    return keras.ops.swapaxes(x + added, 0, axis)
''',
        },
    )
)
register(
    OpDef(
        "index_add",
        "x, indices, values, *, axis",
        "x with slices of values added to the slices at indices of an axis.",
        reference=_index_add,
        spellings={
            "torch": [
                *torch_both(
                    "index_add",
                    "dim, index, source, *, alpha=1",
                    out=True,
                    maps={**_AXIS, "index": "indices", "source": "values"},
                    fixed={"alpha": 1},
                    prefer="method",
                    positional=4,
                ),
                torch_inplace(
                    "index_add_",
                    "dim, index, source, *, alpha=1",
                    maps={**_AXIS, "index": "indices", "source": "values"},
                    fixed={"alpha": 1},
                ),
            ],
            "tensorflow": [supported("index_add", "x, indices, values, axis")],
            "keras": [supported("index_add", "x, indices, values, axis")],
        },
        cases=[
            Case({"x": (5, 3), "indices": np.array([0, 2, 2, 4]), "values": (4, 3)}, {"axis": 0}),
            Case({"x": (2, 5), "indices": np.array([0, 1, 0]), "values": (2, 3)}, {"axis": -1}),
        ],
    )
)


def _register_overwrites() -> None:
    """In-place methods that replace every element."""
    register(
        OpDef(
            "overwrite",
            "x, value",
            "value in the shape and type of x.",
            layout="elementwise",
            reference=lambda x, value: np.broadcast_to(value, x.shape).astype(x.dtype),
            spellings={
                "torch": [
                    torch_inplace(
                        "copy_", "other, non_blocking=False", maps={"other": "value"}, ignore=("non_blocking",)
                    ),
                    template("{value}.to({x}.dtype).expand_as({x})"),
                ],
                "tensorflow": [template("tf.broadcast_to(tf.cast({value}, {x}.dtype), {x}.shape)")],
                "keras": [template("keras.ops.broadcast_to(keras.ops.cast({value}, {x}.dtype), {x}.shape)")],
            },
            cases=[Case({"x": (2, 3), "value": (3,)}, gradients=False)],
        )
    )


_register_overwrites()
