"""Padding and cropping: of spatial axes by layers, of any axes by functions."""

from __future__ import annotations

from collections.abc import Sequence
from string import Template
from typing import Any

import numpy as np

from netferry.ops.core import Case, Conversion, OpDef, Spelling
from netferry.ops.forms import supported, template
from netferry.ops.layer_forms import functional, keras_layer, on_keras, support_layer, torch_layer
from netferry.ops.registry import register
from netferry.ops.shared import keras_support

Array = np.ndarray[Any, Any]
Pairs = Sequence[tuple[int, int]]

_DEFAULTS: dict[int, Any] = {1: 1, 2: (1, 1), 3: ((1, 1),) * 3}
_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _pad(x: Array, pads: Pairs, mode: str = "constant", value: float | None = None) -> Array:
    options = {"constant_values": value or 0.0} if mode == "constant" else {}
    inside = tuple(slice(max(-a, 0), size - max(-b, 0)) for (a, b), size in zip(pads, x.shape, strict=True))
    outside = [(max(a, 0), max(b, 0)) for a, b in pads]
    return np.pad(x[inside], outside, mode=_MODES[mode], **options)  # type: ignore[no-any-return, call-overload]


def _from_last(x: Array, pads: Sequence[int], mode: str = "constant", value: float | None = None) -> Array:
    """PyTorch's flat list, which begins with the last axis."""
    pairs = list(zip(pads[::2], pads[1::2], strict=True))[::-1]
    return _pad(x, [(0, 0)] * (x.ndim - len(pairs)) + pairs, mode, value)


def _spatial(x: Array, padding: Any, mode: str = "constant", value: float = 0.0) -> Array:
    n = x.ndim - 2
    return _from_last(x, (padding,) * 2 * n if isinstance(padding, int) else padding, mode, value)


def _sides(x: Array, pads: Any, mode: str = "constant", value: float = 0.0) -> Array:
    n = x.ndim - 2
    listed = (pads,) * n if n == 1 or isinstance(pads, int) else pads
    return _pad(x, [(0, 0), (0, 0), *((p, p) if isinstance(p, int) else p for p in listed)], mode, value)


keras_support(
    "pad_edges",
    '''
def pad_edges(x, pads):
    """Pad every axis with copies of its first and its last entry."""
    for axis, (before, after) in enumerate(pads):
        index = (slice(None),) * axis
        first, last = x[(*index, slice(0, 1))], x[(*index, slice(-1, None))]
        x = keras.ops.concatenate([first] * before + [x] + [last] * after, axis=axis)
    return x
''',
)
keras_support(
    "pad_around",
    '''
def pad_around(x, pads):
    """Pad every axis with its other end, as if it were a circle."""
    for axis, (before, after) in enumerate(pads):
        index, size = (slice(None),) * axis, x.shape[axis]
        x = keras.ops.concatenate([x[(*index, slice(size - before, size))], x, x[(*index, slice(0, after))]], axis=axis)
    return x
''',
)
keras_support(
    "pad_from_last",
    '''
def pad_from_last(x, pads, mode="constant", value=None, order=None):
    """Pad axes by a flat list (before, after, ...) that begins with the last one; negative numbers crop.

    ``order`` tells which axis of the list's numbering each axis of x is, where they differ.
    """
    rank = len(x.shape)
    pairs = [(0, 0)] * (rank - len(pads) // 2) + list(zip(pads[::2], pads[1::2]))[::-1]
    pairs = pairs if order is None else [pairs[axis] for axis in order]
    x = x[tuple(slice(max(-a, 0), size - max(-b, 0)) for (a, b), size in zip(pairs, x.shape))]
    pairs = [(max(a, 0), max(b, 0)) for a, b in pairs]
    if mode == "replicate":
        return pad_edges(x, pairs)
    if mode == "circular":
        return pad_around(x, pairs)
    if mode == "reflect":
        return keras.ops.pad(x, pairs, mode="reflect")
    return keras.ops.pad(x, pairs, constant_values=value or 0)
''',
    requires=("pad_edges", "pad_around"),
)

_LAYER = Template('''
class $name(keras.layers.Layer):
    """Pads the spatial axes of channels-last data with $doc."""

    def __init__(self, padding$parameter, **kwargs):
        super().__init__(**kwargs)
        self.padding = padding$attribute

    def call(self, x):
        rank = len(x.shape) - 2
        padding = (self.padding,) * rank if rank == 1 or isinstance(self.padding, int) else self.padding
        pads = [(0, 0), *((p, p) if isinstance(p, int) else p for p in padding), (0, 0)]
        return $body
''')
_LAYERS = (
    ("ConstantPadding", "constant", "a constant", "keras.ops.pad(x, pads, constant_values=self.value)", ()),
    ("ReflectionPadding", "reflect", "their mirror image", 'keras.ops.pad(x, pads, mode="reflect")', ()),
    ("ReplicationPadding", "replicate", "copies of their border", "pad_edges(x, pads)", ("pad_edges",)),
    ("CircularPadding", "circular", "their other end", "pad_around(x, pads)", ("pad_around",)),
)
for _name, _mode, _doc, _body, _requires in _LAYERS:
    _valued = _mode == "constant"
    keras_support(
        _name,
        _LAYER.substitute(
            name=_name,
            doc=_doc,
            body=_body,
            parameter=", value" if _valued else "",
            attribute="\n        self.value = value" if _valued else "",
        ),
        _requires,
    )


def _support_layers() -> list[Spelling]:
    return [
        support_layer(
            name,
            "padding, value" if mode == "constant" else "padding",
            maps={"padding": "pads"},
            when={"mode": mode},
            positional=2,
        )
        for name, mode, *_ in _LAYERS
    ]


def _zero_padding(n: int, package: str, attribute: str, **options: Any) -> Spelling:
    """Keras's own layer; a number means the same to all."""
    return keras_layer(
        package,
        f"ZeroPadding{n}D",
        f"padding={_DEFAULTS[n]}, data_format=None",
        maps={"padding": attribute},
        implies={"mode": "constant", "value": 0.0},
        when={"padding": lambda padding: isinstance(padding, int)} if attribute == "padding" else {},
        **options,
    )


def _register_layers(n: int) -> None:
    """PyTorch's layers (a number, or a flat list from the last axis), and Keras's (a number or pair per axis)."""
    shape = (2, 3, 7, 6, 5)[: n + 2]
    uneven = (1, 2, 0, 1, 3, 1)[: 2 * n]
    fills: list[dict[str, Any]] = [{}, {"value": 1.5}, *({"mode": mode} for mode in _MODES if mode != "constant")]
    torch = [
        torch_layer(f"{name}Pad{n}d", "padding, value" if name == "Constant" else "padding", implies=implied)
        for name, implied in (
            ("Zero", {"mode": "constant", "value": 0.0}),
            ("Constant", {"mode": "constant"}),
            ("Reflection", {"mode": "reflect"}),
            ("Replication", {"mode": "replicate"}),
            ("Circular", {"mode": "circular"}),
        )
    ]
    register(
        OpDef(
            f"pad{n}d",
            "x, *, padding, mode='constant', value=0.0",
            "Pads the spatial axes: by one number, or by a flat list (before, after, ...) that begins with the last axis.",
            layout="channels",
            reference=_spatial,
            spellings={"torch": torch, **on_keras(lambda package: [_zero_padding(n, package, "padding", read=False)])},
            cases=[Case({"x": shape}, {"padding": padding, **more}) for padding in (2, uneven) for more in fills],
        )
    )
    register(
        OpDef(
            f"spatial_pad{n}d",
            "x, *, pads, mode='constant', value=0.0",
            "Pads the spatial axes: by one number, or by a number or pair for each of them in order.",
            layout="channels",
            reference=_sides,
            spellings=on_keras(lambda package: [_zero_padding(n, package, "pads"), *_support_layers()]),
            cases=[
                Case({"x": shape}, {"pads": 2, "value": -1.5}),
                Case({"x": shape}, {"pads": 1, "mode": "replicate"}),
                Case({"x": shape}, {"pads": ((1, 2), (0, 3), (1, 1))[:n] if n > 1 else (1, 2), "mode": "circular"}),
                Case({"x": shape}, {"pads": (1, 2, 0)[:n] if n > 1 else (0, 2)}),
            ],
        )
    )
    cropped = {1: (1, 1), 2: ((0, 0), (0, 0)), 3: ((1, 1),) * 3}[n]
    register(
        OpDef(
            f"crop{n}d",
            "x, *, cropping",
            "Cuts off the spatial axes: one number, or a number or pair for each of them in order.",
            layout="channels",
            reference=lambda x, cropping: _sides(x, _negative(cropping)),
            spellings=on_keras(
                lambda package: [
                    keras_layer(package, f"Cropping{n}D", f"cropping={cropped}{'' if n == 1 else ', data_format=None'}")
                ]
            ),
            cases=[
                Case({"x": shape}, {"cropping": 1}),
                Case({"x": shape}, {"cropping": ((1, 2), (0, 3), (1, 1))[:n] if n > 1 else (1, 2)}),
            ],
        )
    )


def _negative(value: Any) -> Any:
    return -value if isinstance(value, int) else tuple(map(_negative, value))


for _n in (1, 2, 3):
    _register_layers(_n)

register(
    OpDef(
        "pad",
        "x, *, pads, mode='constant', value=None, order=...",
        "Pads axes by a flat list (before, after, ...) that begins with the last axis; negative numbers crop.",
        layout="pad",
        reference=_from_last,
        spellings={
            "torch": [functional("pad", "pad, mode='constant', value=None", maps={"pad": "pads"}, positional=2)],
            **on_keras(
                lambda package: [
                    supported("pad_from_last", "x, pads, mode='constant', value=None, order=None", positional=2)
                ]
            ),
        },
        cases=[
            Case({"x": (2, 3, 5)}, {"pads": (1, 2)}),
            Case({"x": (2, 3, 6, 5)}, {"pads": (1, 2, 0, 3), "value": 1.5}),
            Case({"x": (2, 3, 6, 5)}, {"pads": (-1, 2, 3, -2)}),
            Case({"x": (2, 3, 6, 5)}, {"pads": (1, 2, 3, 0), "mode": "reflect"}),
            Case({"x": (2, 3, 6, 5)}, {"pads": (1, 2, 3, 0), "mode": "replicate"}),
            Case({"x": (2, 3, 6, 5)}, {"pads": (1, 2, 3, 0), "mode": "circular"}),
            Case({"x": (2, 3)}, {"pads": (0, 0, 1, 0)}),
        ],
    )
)


def _named_modes(path: str, signature: str, constant: str, value: str) -> list[Spelling]:
    """The target's own padding, and support for the modes that it lacks; ``value`` writes the constant."""
    maps = {
        "tensor": "x",
        "paddings": "pads",
        "pad_width": "pads",
        "constant_values": Conversion("value", "{} or None", value),
    }
    options: dict[str, Any] = {"maps": maps, "positional": 2}
    reflect = "REFLECT" if constant.isupper() else "reflect"
    return [
        Spelling(path, signature, ignore=("name",), implies={"mode": "constant"}, fixed={"mode": constant}, **options),
        Spelling(
            path,
            signature,
            ignore=("name", "constant_values"),
            implies={"mode": "reflect"},
            fixed={"mode": reflect},
            **options,
        ),
        *(
            supported(name, "x, pads", when={"mode": mode}, positional=2)
            for name, mode in (("pad_edges", "replicate"), ("pad_around", "circular"))
        ),
    ]


def _jax_layers() -> list[Spelling]:
    """The function of JAX with all but its array given."""
    made = "functools.partial(jax.numpy.pad, pad_width={pads}"
    options: dict[str, Any] = {"layer": True, "call": "x"}
    return [
        template(f"{made})", when={"mode": "constant", "value": lambda value: value in (None, 0)}, **options),
        template(f"{made}, constant_values={{value}})", when={"mode": "constant"}, **options),
        *(template(f"{made}, mode='{name}')", when={"mode": mode}, **options) for mode, name in _MODES.items()),
    ]


register(
    OpDef(
        "pad_axes",
        "x, *, pads, mode='constant', value=None",
        "Pads every axis by its pair of numbers.",
        layout="pads",
        reference=_pad,
        spellings={
            "tensorflow": _named_modes(
                "tf.pad",
                "tensor, paddings, mode='CONSTANT', constant_values=0, name=None",
                "CONSTANT",
                "0 if {} is None else {}",
            ),
            "keras": _named_modes(
                "keras.ops.pad", "x, pad_width, mode='constant', constant_values=None", "constant", "{}"
            ),
            "flax": [
                *_jax_layers(),
                template("jax.numpy.pad({x}, {pads})", when={"mode": "constant", "value": lambda v: v in (None, 0)}),
                template("jax.numpy.pad({x}, {pads}, constant_values={value})", when={"mode": "constant"}),
                *(
                    template(f"jax.numpy.pad({{x}}, {{pads}}, mode='{name}')", when={"mode": mode})
                    for mode, name in _MODES.items()
                ),
            ],
        },
        cases=[
            Case({"x": (4, 3)}, {"pads": ((0, 1), (2, 3))}),
            Case({"x": (4, 3)}, {"pads": ((0, 0), (2, 3)), "value": 1.5}),
            *(Case({"x": (4, 3)}, {"pads": ((0, 0), (2, 1)), "mode": m}) for m in ("reflect", "replicate", "circular")),
        ],
    )
)
