"""Ops that rearrange a tensor without computing, and ops that read its shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from netferry.ops.core import Case, Conversion, OpDef, Spelling, Support
from netferry.ops.forms import (
    keras,
    supported,
    template,
    tensorflow,
    torch_attribute,
    torch_both,
    torch_function,
    torch_method,
)
from netferry.ops.layer_forms import keras_layer, support_layer, torch_layer
from netferry.ops.registry import register, register_support

_AFTER = Conversion("end_axis", "{} - 1", "{} + 1")
_AFTER_AXIS = Conversion("axis", "{} - 1", "{} + 1")


def _flatten(x: Any, start_axis: int = 0, end_axis: int = -1, rank: int | None = None) -> Any:
    start, end = start_axis % x.ndim, end_axis % x.ndim
    return x.reshape(*x.shape[:start], -1, *x.shape[end + 1 :])


def _unflatten(x: Any, axis: int, shape: Sequence[int]) -> Any:
    axis %= x.ndim
    return x.reshape(*x.shape[:axis], *shape, *x.shape[axis + 1 :])


def _squeeze(x: Any, axis: int | Sequence[int] | None = None) -> Any:
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    return np.squeeze(x, tuple(i % x.ndim for i in axes if x.shape[i] == 1))


def _expand(x: Any, shape: Sequence[int]) -> Any:
    old = (1,) * (len(shape) - x.ndim) + x.shape
    return np.broadcast_to(x, [o if n == -1 else n for n, o in zip(shape, old, strict=True)])


def _literal(value: Any) -> bool:
    """Any literal: a lambda that closes over a variable could see it change."""
    return True


def _lambda(package: str, body: str, **options: Any) -> Spelling:
    """A layer of one expression, write-only."""
    return template(f"{package}.layers.Lambda(lambda x: {body})", layer=True, call="x", **options)


def _flatten_layers(package: str, reshape: str, shape: str) -> list[Spelling]:
    """Layer forms; Keras's own keeps exactly the first axis."""
    sizes = f"{shape}(x)"
    return [
        keras_layer(package, "Flatten", "data_format=None", implies={"start_axis": 1, "end_axis": -1}),
        _lambda(
            package, f"{reshape}(x, (*{sizes}[:{{start_axis}}], -1))", when={"start_axis": _literal, "end_axis": -1}
        ),
        _lambda(
            package,
            f"{reshape}(x, (*{sizes}[:{{start_axis}}], -1, *{sizes}[{{end_axis}}:]))",
            when={"start_axis": _literal, "end_axis": _literal},
            maps={"end_axis": _AFTER},
        ),
    ]


def _flattened(reshape: str, shape: str) -> list[Spelling]:
    """Functions; the product of the sizes is known even where the number of samples is not."""
    sizes, features = shape + "({x})[:{start_axis}]", "math.prod({x}.shape[{start_axis}:])"
    rest = shape + "({x})[{end_axis}:]"
    return [
        template(f"{reshape}({{x}}, (-1, {features}))", when={"start_axis": 1, "end_axis": -1}),
        template(f"{reshape}({{x}}, (*{sizes}, {features}))", when={"end_axis": -1}),
        template(f"{reshape}({{x}}, (*{sizes}, -1, *{rest}))", maps={"end_axis": _AFTER}),
    ]


def _unflatten_layers(package: str, reshape: str, shape: str) -> list[Spelling]:
    """Layer forms."""
    sizes = f"{shape}(x)"
    return [
        _lambda(package, f"{reshape}(x, (*{sizes}[:-1], *{{shape}}))", when={"axis": -1, "shape": _literal}),
        _lambda(
            package,
            f"{reshape}(x, (*{sizes}[:{{axis}} - 1], *{{shape}}, *{sizes}[{{axis}}:]))",
            when={"axis": _literal, "shape": _literal},
            maps={"axis": _AFTER_AXIS},
        ),
    ]


def _transpose_layers(package: str, transpose: str) -> list[Spelling]:
    """Layer forms; Keras's own leaves the first axis alone and does not count it."""
    return [
        keras_layer(
            package,
            "Permute",
            "dims",
            maps={"dims": Conversion("perm", "(0, *{})", "tuple({}[1:])")},
            when={"perm": lambda perm: perm is not None and perm[0] == 0},
        ),
        _lambda(package, f"{transpose}(x, {{perm}})", when={"perm": _literal}),
    ]


def _reshape_layer(package: str) -> Spelling:
    """A layer that leaves the number of samples out; as no other size may be -1 then, it is only read."""
    return keras_layer(
        package,
        "Reshape",
        "target_shape",
        maps={"target_shape": Conversion("shape", "(-1, *{})", "{}[1:]")},
        when={"shape": lambda shape: tuple(shape)[:1] == (-1,)},
        write=False,
    )


register_support(
    Support(
        "Reshape",
        {
            "torch": '''
class Reshape(torch.nn.Module):
    """Puts the elements into another shape."""

    def __init__(self, *shape):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return x.reshape(self.shape)
'''
        },
    )
)
register(
    OpDef(
        "reshape",
        "x, *, shape",
        "The same elements in row-major order under another shape; one size may be -1.",
        layout="reshape",
        reference=lambda x, shape: x.reshape(shape),
        spellings={
            "torch": [
                torch_method("reshape", "*shape"),
                torch_method("view", "*size", maps={"size": "shape"}, write=False),
                torch_function("reshape", "shape", write=False),
                support_layer("Reshape", "*shape", maps={"shape": "shape"}),
            ],
            "tensorflow": [
                tensorflow("reshape", "tensor, shape, name=None", maps={"tensor": "x"}, positional=2),
                _reshape_layer("tf.keras"),
            ],
            "keras": [
                keras("reshape", "x, newshape", maps={"newshape": "shape"}, positional=2),
                _reshape_layer("keras"),
            ],
        },
        cases=[
            Case({"x": (2, 3, 4)}, {"shape": (4, 6)}),
            Case({"x": (2, 3, 4)}, {"shape": (2, -1)}),
            Case({"x": (2, 3)}, {"shape": (-1,)}),
        ],
    )
)
register(
    OpDef(
        "reshape_as",
        "x, other",
        "x under the shape of other.",
        reference=lambda x, other: x.reshape(other.shape),
        spellings={
            "torch": [torch_method("reshape_as", "other"), torch_method("view_as", "other", write=False)],
            "tensorflow": [template("tf.reshape({x}, {other}.shape)")],
            "keras": [template("keras.ops.reshape({x}, keras.ops.shape({other}))")],
        },
        cases=[Case({"x": (2, 6), "other": (3, 4)})],
    )
)
register(
    OpDef(
        "flatten",
        "x, *, start_axis=0, end_axis=-1",
        "Merges the axes from start_axis to end_axis into one.",
        layout="flatten",
        reference=_flatten,
        spellings={
            "torch": [
                *torch_both(
                    "flatten",
                    "start_dim=0, end_dim=-1",
                    positional=3,
                    maps={"start_dim": "start_axis", "end_dim": "end_axis"},
                ),
                torch_layer(
                    "Flatten",
                    "start_dim=1, end_dim=-1",
                    maps={"start_dim": "start_axis", "end_dim": "end_axis"},
                    positional=2,
                ),
            ],
            "tensorflow": [
                *_flatten_layers("tf.keras", "tf.reshape", "tf.shape"),
                template("tf.reshape({x}, (-1,))", when={"start_axis": 0, "end_axis": -1}),
                *_flattened("tf.reshape", "tf.keras.ops.shape"),
            ],
            "keras": [
                *_flatten_layers("keras", "keras.ops.reshape", "keras.ops.shape"),
                template("keras.ops.ravel({x})", when={"start_axis": 0, "end_axis": -1}),
                *_flattened("keras.ops.reshape", "keras.ops.shape"),
            ],
            "flax": [
                template("{x}.reshape(-1)", when={"start_axis": 0, "end_axis": -1}),
                template("{x}.reshape({x}.shape[0], -1)", when={"start_axis": 1, "end_axis": -1}),
                template("{x}.reshape(*{x}.shape[:{start_axis}], -1)", when={"end_axis": -1}),
                template(
                    "{x}.reshape(*{x}.shape[:{start_axis}], -1, *{x}.shape[{end_axis}:])", maps={"end_axis": _AFTER}
                ),
            ],
        },
        cases=[
            Case({"x": (2, 3, 4)}),
            Case({"x": (2, 3, 4)}, {"start_axis": 1}),
            Case({"x": (2, 3, 4, 5)}, {"start_axis": -2}),
            Case({"x": (2, 3, 4, 5)}, {"start_axis": 2}),
            Case({"x": (2, 3, 4, 5)}, {"start_axis": 0, "end_axis": 1}),
            Case({"x": (2, 3, 4, 5)}, {"start_axis": 1, "end_axis": -2}),
        ],
    )
)
register(
    OpDef(
        "unflatten",
        "x, *, axis, shape",
        "Splits one axis into several.",
        reference=_unflatten,
        spellings={
            "torch": [
                *torch_both(
                    "unflatten", "dim, sizes", prefer="method", positional=3, maps={"dim": "axis", "sizes": "shape"}
                ),
                torch_layer(
                    "Unflatten",
                    "dim, unflattened_size",
                    maps={"dim": "axis", "unflattened_size": "shape"},
                    positional=2,
                ),
            ],
            "tensorflow": [
                *_unflatten_layers("tf.keras", "tf.reshape", "tf.shape"),
                template("tf.reshape({x}, (*{x}.shape[:-1], *{shape}))", when={"axis": -1}),
                template(
                    "tf.reshape({x}, (*{x}.shape[:{axis} - 1], *{shape}, *{x}.shape[{axis}:]))",
                    maps={"axis": _AFTER_AXIS},
                ),
            ],
            "keras": [
                *_unflatten_layers("keras", "keras.ops.reshape", "keras.ops.shape"),
                template("keras.ops.reshape({x}, (*keras.ops.shape({x})[:-1], *{shape}))", when={"axis": -1}),
                template(
                    "keras.ops.reshape({x}, (*keras.ops.shape({x})[:{axis} - 1], *{shape}, *keras.ops.shape({x})[{axis}:]))",
                    maps={"axis": _AFTER_AXIS},
                ),
            ],
        },
        cases=[
            Case({"x": (2, 12)}, {"axis": -1, "shape": (3, 4)}),
            Case({"x": (2, 12, 5)}, {"axis": 1, "shape": (3, -1)}),
            Case({"x": (2, 12, 5)}, {"axis": -2, "shape": (6, 2)}),
        ],
    )
)


def _permute_layers(prefix: str, functions: str) -> list[Spelling]:
    """``Permute(dims)``, which leaves the batch axis out; another layer where that axis moves."""
    dims = Conversion("perm", "(0, *{})", "tuple({})[1:]")
    return [
        Spelling(
            f"{prefix}.layers.Permute",
            "dims",
            maps={"dims": dims, "inputs": "x"},
            call="inputs",
            when={"perm": lambda perm: perm is not None and perm[0] == 0},
            layer=True,
        ),
        _lambda(prefix, f"{functions}.transpose(x, {{perm}})"),
    ]


register(
    OpDef(
        "transpose",
        "x, *, perm=None",
        "Reorders the axes; output axis i is input axis perm[i]; without perm, reverses them.",
        layout="permute",
        reference=lambda x, perm=None: np.transpose(x, perm),
        spellings={
            "torch": [
                torch_attribute("T", implies={"perm": (1, 0)}),
                torch_method("t", implies={"perm": (1, 0)}, write=False),
                torch_function("t", implies={"perm": (1, 0)}, write=False),
                torch_method("permute", "*dims", maps={"dims": "perm"}, when={"perm": lambda perm: perm is not None}),
                torch_function("permute", "dims", maps={"dims": "perm"}, when={"perm": lambda perm: perm is not None}),
                template("{x}.permute(*reversed(range({x}.ndim)))", when={"perm": None}),
                support_layer("Permute", "*dims", maps={"dims": "perm"}),
            ],
            "tensorflow": [
                *_transpose_layers("tf.keras", "tf.transpose"),
                tensorflow(
                    "transpose",
                    "a, perm=None, conjugate=False, name='transpose'",
                    maps={"a": "x"},
                    fixed={"conjugate": False},
                    positional=2,
                ),
                *_permute_layers("tf.keras", "tf"),
            ],
            "keras": [
                keras("transpose", "x, axes=None", maps={"axes": "perm"}, positional=2),
                *_permute_layers("keras", "keras.ops"),
            ],
        },
        cases=[
            Case({"x": (2, 3)}, {"perm": (1, 0)}),
            Case({"x": (2, 3, 4)}, {"perm": (2, 0, 1)}),
            Case({"x": (2, 3, 4)}, {"perm": (0, -1, -2)}),
        ],
    )
)
register_support(
    Support(
        "Permute",
        {
            "torch": '''
class Permute(torch.nn.Module):
    """Reorders the axes of a tensor."""

    def __init__(self, *dims):
        super().__init__()
        self.dims = dims

    def forward(self, x):
        return x.permute(self.dims)
'''
        },
    )
)
register_support(
    Support(
        "swap_axes",
        {
            "tensorflow": '''
def swap_axes(x, axis1, axis2):
    """Exchange two axes of a tensor of any rank."""
    perm = list(range(len(x.shape)))
    perm[axis1], perm[axis2] = perm[axis2], perm[axis1]
    return tf.transpose(x, perm)
'''
        },
    )
)
register(
    OpDef(
        "swap_axes",
        "x, *, axis1, axis2, rank=...",
        "Exchanges two axes.",
        layout="swap",
        reference=lambda x, axis1, axis2, rank=None: np.swapaxes(x, axis1, axis2),
        spellings={
            "torch": [
                *torch_both(
                    "transpose", "dim0, dim1", prefer="method", positional=3, maps={"dim0": "axis1", "dim1": "axis2"}
                ),
                *(
                    spelling
                    for name, one, two in (("swapaxes", "axis0", "axis1"), ("swapdims", "dim0", "dim1"))
                    for spelling in torch_both(name, f"{one}, {two}", prefer="none", maps={one: "axis1", two: "axis2"})
                ),
                torch_attribute("mT", implies={"axis1": -2, "axis2": -1}, write=False),
            ],
            "tensorflow": [
                *(
                    template("tf.linalg.matrix_transpose({x})", when={"axis1": axis1, "axis2": axis2})
                    for axis1, axis2 in ((-2, -1), (-1, -2))
                ),
                supported("swap_axes", "x, axis1, axis2", positional=3),
            ],
            "keras": [keras("swapaxes", "x, axis1, axis2", positional=3)],
        },
        cases=[
            Case({"x": (2, 3, 4)}, {"axis1": 1, "axis2": 2}),
            Case({"x": (2, 3, 4, 5)}, {"axis1": -1, "axis2": -2}),
            Case({"x": (2, 3, 4)}, {"axis1": 0, "axis2": -1}),
        ],
    )
)
register_support(
    Support(
        "move_axis",
        {
            "tensorflow": '''
def move_axis(x, source, destination):
    """Move axes of a tensor to new positions; the others keep their order."""
    rank = len(x.shape)
    source = [axis % rank for axis in tf.nest.flatten(source)]
    destination = [axis % rank for axis in tf.nest.flatten(destination)]
    perm = [axis for axis in range(rank) if axis not in source]
    for target, axis in sorted(zip(destination, source)):
        perm.insert(target, axis)
    return tf.transpose(x, perm)
'''
        },
    )
)
register(
    OpDef(
        "moveaxis",
        "x, *, source, destination, rank=...",
        "Moves axes to new positions; the others keep their order.",
        reference=lambda x, source, destination, rank=None: np.moveaxis(x, source, destination),
        spellings={
            "torch": [
                *torch_both("movedim", "source, destination", positional=3),
                *torch_both("moveaxis", "source, destination", prefer="none"),
            ],
            "tensorflow": [supported("move_axis", "x, source, destination", positional=3)],
            "keras": [keras("moveaxis", "x, source, destination", positional=3)],
        },
        cases=[
            Case({"x": (2, 3, 4)}, {"source": 1, "destination": -1}),
            Case({"x": (2, 3, 4, 5)}, {"source": (0, 1), "destination": (-1, 0)}),
        ],
    )
)
register_support(
    Support(
        "squeeze",
        {
            framework: f'''
def squeeze(x, axis):
    """Remove the given axes where their size is 1; leave the others."""
    axes = (axis,) if isinstance(axis, int) else axis
    axes = [axis for axis in axes if x.shape[axis] == 1]
    return {call}(x, axes) if axes else x
'''
            for framework, call in (("tensorflow", "tf.squeeze"), ("keras", "keras.ops.squeeze"))
        },
    )
)
register(
    OpDef(
        "squeeze",
        "x, *, axis=None, exact=...",
        "Removes axes of size 1: the given ones where they have size 1, or all; exact when they are known to have it.",
        layout="squeeze",
        reference=lambda x, axis=None, exact=None: _squeeze(x, axis),
        spellings={
            "torch": [
                *torch_both("squeeze", "dim=None", prefer="method", positional=2, maps={"dim": "axis"}),
                torch_method("squeeze_", "dim=None", maps={"dim": "axis"}, inplace=True, write=False),
            ],
            "tensorflow": [
                tensorflow("squeeze", "input, axis=None, name=None", maps={"input": "x"}, when={"axis": None}),
                tensorflow(
                    "squeeze", "input, axis=None, name=None", maps={"input": "x"}, when={"exact": True}, read=False
                ),
                supported("squeeze", "x, axis", positional=2),
            ],
            "keras": [
                keras("squeeze", "x, axis=None", when={"axis": None}),
                keras("squeeze", "x, axis=None", when={"exact": True}, read=False),
                supported("squeeze", "x, axis", positional=2),
            ],
        },
        cases=[
            Case({"x": (2, 1, 3, 1)}),
            Case({"x": (2, 1, 3)}, {"axis": 1}),
            Case({"x": (2, 1, 3, 1)}, {"axis": -1}),
            Case({"x": (2, 1, 3)}, {"axis": 2}),
            Case({"x": (2, 1, 3, 1)}, {"axis": (1, 2)}),
        ],
    )
)
register(
    OpDef(
        "unsqueeze",
        "x, *, axis",
        "Inserts an axis of size 1.",
        layout="unsqueeze",
        reference=lambda x, axis: np.expand_dims(x, axis),
        spellings={
            "torch": [
                *torch_both("unsqueeze", "dim", prefer="method", positional=2, maps={"dim": "axis"}),
                torch_method("unsqueeze_", "dim", maps={"dim": "axis"}, inplace=True, write=False),
            ],
            "tensorflow": [tensorflow("expand_dims", "input, axis, name=None", maps={"input": "x"})],
            "keras": [keras("expand_dims", "x, axis")],
        },
        cases=[Case({"x": (2, 3)}, {"axis": axis}) for axis in (0, 1, 2, -1, -2)],
    )
)
register_support(
    Support(
        "expand",
        {
            "tensorflow": '''
def expand(x, shape):
    """Broadcast a tensor to a shape in which -1 keeps the size of that axis."""
    old = (1,) * (len(shape) - len(x.shape)) + tuple(x.shape)
    return tf.broadcast_to(x, [o if n == -1 else n for n, o in zip(shape, old)])
''',
            "keras": '''
def expand(x, shape):
    """Broadcast a tensor to a shape in which -1 keeps the size of that axis."""
    old = (1,) * (len(shape) - len(x.shape)) + keras.ops.shape(x)
    return keras.ops.broadcast_to(x, [o if n == -1 else n for n, o in zip(shape, old)])
''',
        },
    )
)
register(
    OpDef(
        "expand",
        "x, *, shape",
        "Broadcasts to a shape in which -1 keeps the size of that axis.",
        layout="expand",
        reference=_expand,
        spellings={
            "torch": [
                torch_method("expand", "*size", maps={"size": "shape"}),
                torch_method("broadcast_to", "size", maps={"size": "shape"}, write=False),
                torch_function("broadcast_to", "size", maps={"size": "shape"}, write=False),
            ],
            "tensorflow": [
                tensorflow(
                    "broadcast_to",
                    "input, shape, name=None",
                    maps={"input": "x"},
                    positional=2,
                    when={"shape": lambda shape: -1 not in shape},
                ),
                supported("expand", "x, shape", positional=2),
            ],
            "keras": [
                keras("broadcast_to", "x, shape", positional=2, when={"shape": lambda shape: -1 not in shape}),
                supported("expand", "x, shape", positional=2),
            ],
        },
        cases=[
            Case({"x": (2, 1, 3)}, {"shape": (2, 4, 3)}),
            Case({"x": (2, 1, 3)}, {"shape": (-1, 4, -1)}),
            Case({"x": (1, 3)}, {"shape": (2, 5, -1)}),
        ],
    )
)
register(
    OpDef(
        "expand_as",
        "x, other",
        "Broadcasts x to the shape of other.",
        layout="elementwise",
        reference=lambda x, other: np.broadcast_to(x, other.shape),
        spellings={
            "torch": [torch_method("expand_as", "other")],
            "tensorflow": [template("tf.broadcast_to({x}, {other}.shape)")],
            "keras": [template("keras.ops.broadcast_to({x}, keras.ops.shape({other}))")],
        },
        cases=[Case({"x": (2, 1, 4), "other": (2, 3, 4)})],
    )
)
