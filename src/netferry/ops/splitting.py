"""Ops that take a tensor apart along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling, Support
from netferry.ops.forms import (
    keras,
    supported,
    tensorflow,
    torch_both,
    torch_method,
)
from netferry.ops.registry import register, register_support

_AXIS = {"dim": "axis"}


def _split_spellings(attribute: str, kind: str) -> list[Spelling]:
    """``split`` by a size or by a list of sizes, which share one argument."""
    options: dict[str, Any] = {"positional": 2}
    return [
        torch_method(
            "split", "split_size, dim=0", maps={**_AXIS, "split_size": attribute}, kinds={"split_size": kind}, **options
        ),
        Spelling(
            "torch.split",
            "tensor, split_size_or_sections, dim=0",
            maps={**_AXIS, "tensor": "x", "split_size_or_sections": attribute},
            kinds={"split_size_or_sections": kind},
            write=False,
        ),
    ]


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
                *_split_spellings("sections", "sequence"),
                *torch_both(
                    "split_with_sizes", "split_sizes, dim=0", prefer="none", maps={**_AXIS, "split_sizes": "sections"}
                ),
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
            "torch": _split_spellings("size", "int"),
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
    return torch_both(
        "tensor_split", f"{attribute}, dim=0", prefer="method", maps=_AXIS, kinds={attribute: kind}, positional=2
    )


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
                keras(
                    "array_split",
                    "x, indices_or_sections, axis=0",
                    maps={"indices_or_sections": "sections"},
                    positional=2,
                )
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
