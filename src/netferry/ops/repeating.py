"""Ops that repeat, move or accumulate the slices of a tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from netferry.ops.core import Case, Ints, OpDef, Support
from netferry.ops.forms import (
    keras,
    supported,
    template,
    tensorflow,
    torch_both,
    torch_function,
    torch_method,
)
from netferry.ops.registry import register, register_support

_AXIS = {"dim": "axis"}


register_support(
    Support(
        "tile",
        {
            "tensorflow": '''
def tile(x, repeats):
    """Repeat a tensor along its axes; missing leading axes or counts are ones."""
    repeats = (1,) * (len(x.shape) - len(repeats)) + tuple(repeats)
    return tf.tile(tf.reshape(x, (1,) * (len(repeats) - len(x.shape)) + tuple(x.shape)), repeats)
'''
        },
    )
)
register(
    OpDef(
        "tile",
        "x, *, repeats, rank=...",
        "Repeats the whole tensor along its axes; missing leading axes or counts are ones.",
        reference=lambda x, repeats, rank=None: np.tile(x, repeats),
        spellings={
            "torch": [
                torch_method("repeat", "*repeats", when={"rank": lambda rank: isinstance(rank, int)}),
                torch_method("tile", "*dims", maps={"dims": "repeats"}),
                torch_function("tile", "dims", maps={"dims": "repeats"}, write=False),
            ],
            "tensorflow": [
                supported("tile", "x, repeats", positional=2),
                tensorflow(
                    "tile", "input, multiples, name=None", maps={"input": "x", "multiples": "repeats"}, write=False
                ),
            ],
            "keras": [keras("tile", "x, repeats", positional=2)],
        },
        cases=[
            Case({"x": (2, 3)}, {"repeats": (1, 2)}),
            Case({"x": (2, 3)}, {"repeats": (4, 1, 2)}),
            Case({"x": (3,)}, {"repeats": (2, 1)}),
        ],
    )
)
register(
    OpDef(
        "repeat",
        "x, *, repeats, axis=None",
        "Repeats each slice along an axis, or each element of the flattened tensor.",
        layout="axis",
        reference=lambda x, repeats, axis=None: np.repeat(x, repeats, axis),
        spellings={
            "torch": torch_both(
                "repeat_interleave",
                "repeats, dim=None, *, output_size=None",
                prefer="method",
                maps=_AXIS,
                ignore=("output_size",),
                positional=2,
            ),
            "tensorflow": [
                tensorflow("repeat", "input, repeats, axis=None, name=None", maps={"input": "x"}, positional=2)
            ],
            "keras": [keras("repeat", "x, repeats, axis=None", positional=2)],
        },
        cases=[
            Case({"x": (2, 3)}, {"repeats": 2, "axis": 1}),
            Case({"x": (2, 3)}, {"repeats": 3, "axis": -2}),
            Case({"x": (2, 3)}, {"repeats": 2}),
        ],
    )
)
register(
    OpDef(
        "roll",
        "x, *, shift, axis=None",
        "Moves elements along axes with wrap-around; without axis, in the flattened tensor.",
        layout="axis",
        reference=lambda x, shift, axis=None: np.roll(x, shift, axis),
        spellings={
            "torch": [
                *torch_both(
                    "roll",
                    "shifts, dims=()",
                    maps={"shifts": "shift"},
                    fixed={"dims": ()},
                    when={"axis": None},
                    positional=2,
                ),
                *torch_both("roll", "shifts, dims", maps={"shifts": "shift", "dims": "axis"}, positional=3),
            ],
            "tensorflow": [
                tensorflow(
                    "roll",
                    "input, shift, axis, name=None",
                    maps={"input": "x"},
                    positional=2,
                    when={"axis": lambda axis: axis is not None},
                ),
                template(
                    "tf.reshape(tf.roll(tf.reshape({x}, (-1,)), {shift}, axis=0), {x}.shape)", when={"axis": None}
                ),
                tensorflow("roll", "input, shift, axis, name=None", maps={"input": "x"}, positional=2, read=False),
            ],
            "keras": [keras("roll", "x, shift, axis=None", positional=2)],
        },
        cases=[
            Case({"x": (2, 5)}, {"shift": 2, "axis": 1}),
            Case({"x": (2, 5, 4)}, {"shift": (-1, 2), "axis": (1, 2)}),
            Case({"x": (2, 5)}, {"shift": 3}),
        ],
    )
)
register(
    OpDef(
        "flip",
        "x, *, axes",
        "Reverses the order along axes.",
        layout="axis",
        reference=lambda x, axes: np.flip(x, axes),
        spellings={
            "torch": [
                torch_method("flip", "*dims", maps={"dims": "axes"}),
                torch_function("flip", "dims", maps={"dims": "axes"}, write=False),
                *torch_both("fliplr", prefer="none", implies={"axes": (1,)}),
                *torch_both("flipud", prefer="none", implies={"axes": (0,)}),
            ],
            "tensorflow": [tensorflow("reverse", "tensor, axis, name=None", maps={"tensor": "x", "axis": "axes"})],
            "keras": [keras("flip", "x, axis=None", maps={"axis": "axes"})],
        },
        cases=[Case({"x": (2, 3, 4)}, {"axes": (1,)}), Case({"x": (2, 3, 4)}, {"axes": (0, -1)})],
    )
)


def _register_scans() -> None:
    for name, path in (("cumsum", "cumsum"), ("cumprod", "math.cumprod")):
        np_function = getattr(np, name)
        register(
            OpDef(
                name,
                "x, *, axis, dtype=None",
                f"NumPy's {name} along an axis, in the type of x unless another is given.",
                layout="axis",
                reference=lambda x, axis, dtype=None, np_function=np_function: np_function(x, axis, dtype),
                spellings={
                    "torch": torch_both(name, "dim, *, dtype=None", out=True, maps=_AXIS),
                    "tensorflow": [
                        tensorflow(
                            path,
                            "x, axis=0, exclusive=False, reverse=False, name=None",
                            fixed={"exclusive": False, "reverse": False},
                            when={"dtype": None},
                        ),
                        template(f"tf.{path}(tf.cast({{x}}, {{dtype}}), axis={{axis}})"),
                    ],
                    "keras": [keras(name, "x, axis=None, dtype=None")],
                },
                cases=[
                    Case({"x": (2, 3, 4)}, {"axis": 1}),
                    Case({"x": (2, 3, 4)}, {"axis": -1}),
                    Case({"x": Ints((2, 3), 5)}, {"axis": 1, "dtype": "float64"}, gradients=False),
                ],
            )
        )


_register_scans()

register(
    OpDef(
        "diff",
        "x, *, n=1, axis=-1",
        "Differences of neighbours along an axis, taken ``n`` times.",
        layout="axis",
        reference=lambda x, n=1, axis=-1: np.diff(x, n, axis),
        spellings={
            "torch": torch_both(
                "diff",
                "n=1, dim=-1, prepend=None, append=None",
                out=True,
                maps=_AXIS,
                fixed={"prepend": None, "append": None},
            ),
            "tensorflow": [tensorflow("experimental.numpy.diff", "a, n=1, axis=-1", maps={"a": "x"})],
            "keras": [keras("diff", "a, n=1, axis=-1", maps={"a": "x"})],
        },
        cases=[Case({"x": (2, 5, 4)}, {"axis": 1}), Case({"x": (2, 3, 5)}, {"n": 2})],
    )
)


def _sliding_windows(x: Any, axis: int, size: int, step: int) -> Any:
    axis %= x.ndim
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=axis)
    return np.take(windows, np.arange(0, x.shape[axis] - size + 1, step), axis)


register_support(
    Support(
        "sliding_windows",
        {
            "tensorflow": '''
def sliding_windows(x, axis, size, step):
    """All windows of an axis at a step; the positions inside a window become the last axis."""
    axis = axis % len(x.shape)
    starts = range(0, x.shape[axis] - size + 1, step)
    windows = tf.gather(x, [[start + i for i in range(size)] for start in starts], axis=axis)
    others = [i for i in range(len(windows.shape)) if i != axis + 1]
    return tf.transpose(windows, [*others, axis + 1])
''',
            "keras": '''
def sliding_windows(x, axis, size, step):
    """All windows of an axis at a step; the positions inside a window become the last axis."""
    axis = axis % len(x.shape)
    starts = range(0, x.shape[axis] - size + 1, step)
    windows = keras.ops.take(x, [[start + i for i in range(size)] for start in starts], axis=axis)
    return keras.ops.moveaxis(windows, axis + 1, -1)
''',
            "flax": '''
def sliding_windows(x, axis, size, step):
    """All windows of an axis at a step; the positions inside a window become the last axis."""
    starts = jax.numpy.arange(0, x.shape[axis] - size + 1, step)
    windows = jax.numpy.take(x, starts[:, None] + jax.numpy.arange(size), axis=axis)
    return jax.numpy.moveaxis(windows, axis % x.ndim + 1, -1)
''',
        },
    )
)
register(
    OpDef(
        "sliding_windows",
        "x, *, axis, size, step",
        "All windows of an axis at a step; the positions inside a window become the last axis.",
        reference=_sliding_windows,
        spellings={
            "torch": [torch_method("unfold", "dimension, size, step", maps={"dimension": "axis"}, positional=4)],
            "tensorflow": [
                template("tf.signal.frame({x}, {size}, {step})", when={"axis": -1}),
                supported("sliding_windows", "x, axis, size, step", positional=4),
            ],
            "keras": [supported("sliding_windows", "x, axis, size, step", positional=4)],
        },
        cases=[
            Case({"x": (2, 7)}, {"axis": -1, "size": 3, "step": 2}),
            Case({"x": (2, 7, 3)}, {"axis": 1, "size": 3, "step": 1}),
        ],
    )
)
