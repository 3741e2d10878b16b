"""Ops that join tensors, take them apart, or repeat and move their slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling, Support, values
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


def _join(name: str, rest: str = "", **options: Any) -> Spelling:
    """``torch.name(tensors, rest)``."""
    return Spelling(
        f"torch.{name}",
        ", ".join(filter(None, ("tensors", rest, "*, out=None"))),
        maps={"tensors": "xs", "dim": "axis", "axis": "axis"},
        ignore=("out",),
        **options,
    )


register(
    OpDef(
        "concat",
        "xs, *, axis=0",
        "Joins tensors along an axis.",
        layout="concat",
        reference=lambda xs, axis=0: np.concatenate(xs, axis),
        spellings={
            "torch": [_join("cat", "dim=0"), _join("concat", "dim=0", write=False), _join("concatenate", "dim=0", write=False)],
            "tensorflow": [tensorflow("concat", "values, axis, name='concat'", maps={"values": "xs"})],
            "keras": [keras("concatenate", "xs, axis=0")],
        },
        cases=[
            Case({"xs": [(2, 3), (4, 3)]}),
            Case({"xs": [(2, 3, 5), (2, 4, 5), (2, 1, 5)]}, {"axis": 1}),
            Case({"xs": [(2, 3), (2, 4)]}, {"axis": -1}),
        ],
    )
)
register(
    OpDef(
        "stack",
        "xs, *, axis=0",
        "Joins tensors along a new axis.",
        layout="stack",
        reference=lambda xs, axis=0: np.stack(xs, axis),
        spellings={
            "torch": [_join("stack", "dim=0")],
            "tensorflow": [tensorflow("stack", "values, axis=0, name='stack'", maps={"values": "xs"})],
            "keras": [keras("stack", "x, axis=0", maps={"x": "xs"})],
        },
        cases=[Case({"xs": [(2, 3)] * 4}, {"axis": axis}) for axis in (0, 1, -1)],
    )
)


def _register_numpy_stacks() -> None:
    """hstack, vstack and dstack, whose axis depends on the rank."""
    for name, axis, low_rank, low_text in (
        ("hstack", 1, 1, "concat({xs}, axis=0)"),
        ("vstack", 0, 1, "stack({xs})"),
        ("dstack", 2, 2, "stack({xs}, axis=-1)"),
    ):
        np_function = getattr(np, name)
        register(
            OpDef(
                name,
                "xs, *, rank=...",
                f"NumPy's {name} of tensors of one rank.",
                reference=lambda xs, rank=None, np_function=np_function: np_function(xs),
                spellings={
                    "torch": [_join(name)],
                    "tensorflow": [
                        template(f"tf.{low_text}", when={"rank": low_rank}),
                        template(f"tf.concat({{xs}}, axis={axis})"),
                    ],
                    "keras": [
                        template(f"keras.ops.{low_text.replace('concat', 'concatenate')}", when={"rank": low_rank}),
                        template(f"keras.ops.concatenate({{xs}}, axis={axis})"),
                    ],
                },
                cases=[
                    Case({"xs": [(2, 3, 4), (2, 3, 4)]}, {"rank": 3}),
                    Case({"xs": [(2, 3)[-low_rank:]] * 2}, {"rank": low_rank}),
                ],
            )
        )


_register_numpy_stacks()


def _split(x: Any, sections: Sequence[int], axis: int = 0) -> Any:
    return np.split(x, np.cumsum(sections)[:-1], axis)


register_support(
    Support(
        "split_sections",
        {
            "keras": '''
def split_sections(x, sizes, axis=0):
    """Split a tensor into consecutive pieces of the given sizes."""
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]
    return keras.ops.split(x, ends, axis)
'''
        },
    )
)
register_support(
    Support(
        "split_size",
        {
            "tensorflow": '''
def split_size(x, size, axis=0):
    """Split a tensor into pieces of one size; the last may be smaller."""
    total = x.shape[axis]
    return tf.split(x, [min(size, total - start) for start in range(0, total, size)], axis)
''',
            "keras": '''
def split_size(x, size, axis=0):
    """Split a tensor into pieces of one size; the last may be smaller."""
    ends = list(range(size, x.shape[axis], size))
    return keras.ops.split(x, ends, axis) if ends else [x]
''',
        },
    )
)
register_support(
    Support(
        "chunk",
        {
            "tensorflow": '''
def chunk(x, chunks, axis=0):
    """Split a tensor into at most ``chunks`` pieces of one size; the last may be smaller."""
    total = x.shape[axis]
    size = -(-total // chunks)
    return tf.split(x, [min(size, total - start) for start in range(0, total, size)], axis)
''',
            "keras": '''
def chunk(x, chunks, axis=0):
    """Split a tensor into at most ``chunks`` pieces of one size; the last may be smaller."""
    total = x.shape[axis]
    size = -(-total // chunks)
    ends = list(range(size, total, size))
    return keras.ops.split(x, ends, axis) if ends else [x]
''',
        },
    )
)
register(
    OpDef(
        "split",
        "x, *, sections, axis=0",
        "Splits into consecutive pieces of the given sizes.",
        layout="split",
        reference=_split,
        spellings={
            "torch": [
                spelling
                for name, kinds in (("split", {"split_size_or_sections": "sequence"}), ("split_with_sizes", {}))
                for spelling in torch_both(
                    name,
                    f"{'split_size_or_sections' if kinds else 'split_sizes'}, dim=0",
                    prefer="method" if kinds else "none",
                    kinds=kinds,
                    maps={**_AXIS, "split_size_or_sections": "sections", "split_sizes": "sections"},
                    positional=2,
                )
            ]
            + [
                torch_method(
                    "split",
                    "split_size, dim=0",
                    kinds={"split_size": "sequence"},
                    maps={**_AXIS, "split_size": "sections"},
                    write=False,
                )
            ],
            "tensorflow": [
                tensorflow(
                    "split",
                    "value, num_or_size_splits, axis=0, num=None, name='split'",
                    maps={"value": "x", "num_or_size_splits": "sections"},
                    ignore=("num",),
                    kinds={"num_or_size_splits": "sequence"},
                    positional=2,
                )
            ],
            "keras": [supported("split_sections", "x, sizes, axis=0", maps={"sizes": "sections"}, positional=2)],
        },
        cases=[
            Case({"x": (6, 3)}, {"sections": (1, 2, 3)}),
            Case({"x": (2, 7)}, {"sections": (3, 4), "axis": 1}),
            Case({"x": (2, 7, 3)}, {"sections": (3, 2, 2), "axis": -2}),
        ],
    )
)
register(
    OpDef(
        "split_equal",
        "x, *, sections, axis=0",
        "Splits into a number of equal pieces.",
        layout="split",
        reference=lambda x, sections, axis=0: np.split(x, sections, axis),
        spellings={
            "torch": [
                torch_method("chunk", "chunks, dim=0", maps={"chunks": "sections", **_AXIS}, positional=2, read=False)
            ],
            "tensorflow": [
                tensorflow(
                    "split",
                    "value, num_or_size_splits, axis=0, num=None, name='split'",
                    maps={"value": "x", "num_or_size_splits": "sections"},
                    ignore=("num",),
                    kinds={"num_or_size_splits": "int"},
                    positional=2,
                )
            ],
            "keras": [
                keras(
                    "split",
                    "x, indices_or_sections, axis=0",
                    maps={"indices_or_sections": "sections"},
                    kinds={"indices_or_sections": "int"},
                    positional=2,
                )
            ],
        },
        cases=[Case({"x": (6, 4)}, {"sections": 3}), Case({"x": (3, 8)}, {"sections": 4, "axis": -1})],
    )
)
register(
    OpDef(
        "split_size",
        "x, *, size, axis=0",
        "Splits into pieces of one size; the last may be smaller.",
        layout="split",
        reference=lambda x, size, axis=0: np.split(x, list(range(size, x.shape[axis], size)), axis),
        spellings={
            "torch": [
                torch_method(
                    "split", "split_size, dim=0", kinds={"split_size": "int"}, maps={**_AXIS, "split_size": "size"}, positional=2
                ),
                *torch_both(
                    "split",
                    "split_size_or_sections, dim=0",
                    prefer="none",
                    kinds={"split_size_or_sections": "int"},
                    maps={**_AXIS, "split_size_or_sections": "size"},
                ),
            ],
            "tensorflow": [supported("split_size", "x, size, axis=0", positional=2)],
            "keras": [supported("split_size", "x, size, axis=0", positional=2)],
        },
        cases=[
            Case({"x": (6, 3)}, {"size": 2}),
            Case({"x": (2, 7)}, {"size": 3, "axis": 1}),
            Case({"x": (2, 7, 3)}, {"size": 9, "axis": -2}),
        ],
    )
)


def _chunk(x: Any, chunks: int, axis: int = 0) -> Any:
    size = -(-x.shape[axis] // chunks)
    return np.split(x, list(range(size, x.shape[axis], size)), axis)


register(
    OpDef(
        "chunk",
        "x, *, chunks, axis=0",
        "Splits into at most chunks pieces of one size; the last may be smaller.",
        layout="split",
        reference=_chunk,
        spellings={
            "torch": torch_both("chunk", "chunks, dim=0", prefer="method", maps=_AXIS, positional=2),
            "tensorflow": [supported("chunk", "x, chunks, axis=0", positional=2)],
            "keras": [supported("chunk", "x, chunks, axis=0", positional=2)],
        },
        cases=[
            Case({"x": (6, 3)}, {"chunks": 3}),
            Case({"x": (2, 7)}, {"chunks": 3, "axis": -1}),
            Case({"x": (2, 5, 3)}, {"chunks": 4, "axis": 1}),
        ],
    )
)
register_support(
    Support(
        "array_split",
        {
            "tensorflow": '''
def array_split(x, sections, axis=0):
    """Split a tensor into a number of pieces whose sizes differ by at most one."""
    small, larger = divmod(x.shape[axis], sections)
    return tf.split(x, [small + 1] * larger + [small] * (sections - larger), axis)
'''
        },
    )
)
register_support(
    Support(
        "split_at",
        {
            "tensorflow": '''
def split_at(x, indices, axis=0):
    """Split a tensor in front of the given positions."""
    bounds = [0, *indices, x.shape[axis]]
    return tf.split(x, [end - start for start, end in zip(bounds, bounds[1:])], axis)
'''
        },
    )
)


def _tensor_split(kind: str, attribute: str) -> list[Spelling]:
    """``tensor_split`` by a number of sections or at indices, which share one argument."""
    return [
        *torch_both(
            "tensor_split",
            "indices_or_sections, dim=0",
            prefer="method",
            maps={**_AXIS, "indices_or_sections": attribute},
            kinds={"indices_or_sections": kind},
            positional=2,
        ),
        *torch_both("tensor_split", f"{attribute}, dim=0", prefer="none", maps=_AXIS, kinds={attribute: kind}),
    ]


register(
    OpDef(
        "array_split",
        "x, *, sections, axis=0",
        "Splits into a number of pieces whose sizes differ by at most one.",
        layout="split",
        reference=lambda x, sections, axis=0: np.array_split(x, sections, axis),
        spellings={
            "torch": _tensor_split("int", "sections"),
            "tensorflow": [supported("array_split", "x, sections, axis=0", positional=2)],
            "keras": [
                keras("array_split", "x, indices_or_sections, axis=0", maps={"indices_or_sections": "sections"}, positional=2)
            ],
        },
        cases=[Case({"x": (7, 3)}, {"sections": 3}), Case({"x": (2, 7)}, {"sections": 4, "axis": -1})],
    )
)
register(
    OpDef(
        "split_at",
        "x, *, indices, axis=0",
        "Splits in front of the given positions.",
        layout="split",
        reference=lambda x, indices, axis=0: np.split(x, indices, axis),
        spellings={
            "torch": _tensor_split("sequence", "indices"),
            "tensorflow": [supported("split_at", "x, indices, axis=0", positional=2)],
            "keras": [
                keras(
                    "split",
                    "x, indices_or_sections, axis=0",
                    maps={"indices_or_sections": "indices"},
                    kinds={"indices_or_sections": "sequence"},
                    positional=2,
                )
            ],
        },
        cases=[Case({"x": (7, 3)}, {"indices": (2, 3)}), Case({"x": (2, 7)}, {"indices": (1, 4), "axis": -1})],
    )
)
register(
    OpDef(
        "unbind",
        "x, *, axis=0",
        "The slices along an axis, without that axis.",
        layout="split",
        reference=lambda x, axis=0: [np.take(x, i, axis) for i in range(x.shape[axis])],
        spellings={
            "torch": torch_both("unbind", "dim=0", prefer="method", maps=_AXIS, positional=2),
            "tensorflow": [
                tensorflow("unstack", "value, num=None, axis=0, name='unstack'", maps={"value": "x"}, ignore=("num",))
            ],
            "keras": [keras("unstack", "x, num=None, axis=0", ignore=("num",))],
        },
        cases=[Case({"x": (2, 3, 4)}), Case({"x": (2, 3, 4)}, {"axis": 1}), Case({"x": (2, 3, 4)}, {"axis": -1})],
    )
)
register(
    OpDef(
        "meshgrid",
        "xs, *, indexing='ij'",
        "The coordinates of a grid, one tensor per axis.",
        layout="none",
        reference=lambda xs, indexing="ij": np.meshgrid(*xs, indexing=indexing),
        spellings={
            "torch": [
                Spelling(
                    "torch.meshgrid",
                    "*tensors, indexing=None",
                    maps={"tensors": "xs", "indexing": values("indexing", {None: "ij", "ij": "ij", "xy": "xy"})},
                )
            ],
            "tensorflow": [Spelling("tf.meshgrid", "*args, indexing='xy'", maps={"args": "xs"})],
            "keras": [keras("meshgrid", "*x, indexing='xy'", maps={"x": "xs"})],
        },
        cases=[Case({"xs": [(2,), (3,)]}), Case({"xs": [(2,), (3,), (4,)]}, {"indexing": "xy"})],
    )
)
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
            "tensorflow": [supported("tile", "x, repeats", positional=2)],
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
            "tensorflow": [tensorflow("repeat", "input, repeats, axis=None, name=None", maps={"input": "x"}, positional=2)],
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
            "torch": torch_both("roll", "shifts, dims=None", maps={"shifts": "shift", "dims": "axis"}, positional=2),
            "tensorflow": [
                tensorflow(
                    "roll",
                    "input, shift, axis, name=None",
                    maps={"input": "x"},
                    positional=2,
                    when={"axis": lambda axis: axis is not None},
                ),
                template("tf.reshape(tf.roll(tf.reshape({x}, (-1,)), {shift}, axis=0), {x}.shape)", when={"axis": None}),
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
                "x, *, axis",
                f"NumPy's {name} along an axis.",
                layout="axis",
                reference=lambda x, axis, np_function=np_function: np_function(x, axis),
                spellings={
                    "torch": torch_both(name, "dim, *, dtype=None", out=True, maps=_AXIS, fixed={"dtype": None}),
                    "tensorflow": [
                        tensorflow(
                            path,
                            "x, axis=0, exclusive=False, reverse=False, name=None",
                            fixed={"exclusive": False, "reverse": False},
                        )
                    ],
                    "keras": [keras(name, "x, axis=None, dtype=None", fixed={"dtype": None})],
                },
                cases=[Case({"x": (2, 3, 4)}, {"axis": 1}), Case({"x": (2, 3, 4)}, {"axis": -1})],
            )
        )


_register_scans()


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
