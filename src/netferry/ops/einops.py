"""Rearrangements by patterns of named axes, which targets spell as reshape, transpose, reduce and tile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from netferry.ops.core import Case, Conversion, OpDef, Spelling, Support
from netferry.ops.forms import supported
from netferry.ops.patterns import Algebra, expand_rearrange
from netferry.ops.registry import register, register_support

_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "mean": np.mean,
    "sum": np.sum,
    "max": np.max,
    "min": np.min,
    "prod": np.prod,
}


def _rearrange(x: Any, pattern: str, sizes: Mapping[str, int] | None = None, reduction: str = "") -> Any:
    algebra = Algebra[int](
        literal=lambda value: value,
        axis=lambda axis: x.shape[axis],
        product=lambda values: int(np.prod(values)),
        quotient=lambda one, other: one // other,
        cost=lambda value: 0,
    )
    for step in expand_rearrange(pattern, sizes or {}, algebra, x.ndim):
        match step.kind:
            case "reshape":
                x = x.reshape(step.sizes)
            case "transpose":
                x = x.transpose(step.axes)
            case "reduce":
                x = _REDUCTIONS[reduction](x, step.axes, keepdims=step.keep)
            case "unsqueeze":
                x = np.expand_dims(x, step.axes[0])
            case "tile":
                x = np.tile(x, step.sizes)
    return x


def _read(path: str, signature: str, maps: Mapping[str, str], **options: Any) -> dict[str, list[Spelling]]:
    """einops works on tensors of every framework; generated code never needs it."""
    made = Spelling(path, signature, maps={**maps, "tensor": "x"}, write=False, **options)
    return {"torch": [made], "flax": [made]}


def _layer(name: str, signature: str, maps: Mapping[str, str]) -> Spelling:
    return Spelling(
        f"einops.layers.torch.{name}", signature, maps={**maps, "input": "x"}, call="input", layer=True, write=False
    )


def _case(shape: tuple[int, ...], pattern: str, reduction: str = "", **sizes: int) -> Case:
    options: dict[str, Any] = {"pattern": pattern}
    options |= {"reduction": reduction} if reduction else {}
    return Case({"x": shape}, options | ({"sizes": sizes} if sizes else {}))


def _einsum(count: int) -> Spelling:
    """``einsum`` of a number of tensors; the pattern is the last argument."""
    names = ["tensor"] if count == 1 else [f"tensor{i + 1}" for i in range(count)]
    maps = {name: f"x{i + 1}" for i, name in enumerate(names)}
    return Spelling("einops.einsum", ", ".join([*names, "pattern"]), maps=maps, write=False)


_SIZES = {"axes_lengths": "sizes"}

register(
    OpDef(
        "rearrange",
        "x, *, pattern, sizes=None",
        "Splits, reorders and merges axes as the pattern says.",
        layout="pattern",
        reference=_rearrange,
        spellings={
            "torch": [
                *_read("einops.rearrange", "tensor, pattern, **axes_lengths", _SIZES)["torch"],
                _layer("Rearrange", "pattern, **axes_lengths", _SIZES),
            ],
            "flax": _read("einops.rearrange", "tensor, pattern, **axes_lengths", _SIZES)["flax"],
        },
        cases=[
            _case((2, 3, 4, 5), "b c h w -> b h w c"),
            _case((2, 3, 4, 5), "b c h w -> b (h w) c"),
            _case((2, 12, 5), "b (n d) c -> b n c d", n=3),
            _case((2, 3, 8, 12), "b c (h p1) (w p2) -> b (h w) (p1 p2 c)", p1=4, p2=3),
            _case((2, 5, 12), "b n (h d) -> b h n d", h=3),
            _case((2, 3, 5, 4), "b h n d -> b n (h d)"),
            _case((2, 3, 4, 5), "b ... d -> b (...) d"),
            _case((2, 3), "... i -> ... i 1"),
            _case((1, 3, 1, 5), "1 n () d -> n d"),
            _case((6, 5), "(b n) d -> n b d", b=2),
            _case((2, 3, 4), "b n d -> b n d"),
        ],
    )
)
register(
    OpDef(
        "rearrange_reduce",
        "x, *, pattern, reduction, sizes=None",
        "Reduces the axes that only the pattern's left side has, and rearranges the others.",
        layout="pattern",
        reference=_rearrange,
        spellings={
            "torch": [
                *_read("einops.reduce", "tensor, pattern, reduction, **axes_lengths", _SIZES)["torch"],
                _layer("Reduce", "pattern, reduction, **axes_lengths", _SIZES),
            ],
            "flax": _read("einops.reduce", "tensor, pattern, reduction, **axes_lengths", _SIZES)["flax"],
        },
        cases=[
            _case((2, 3, 4), "b n d -> b d", reduction="mean"),
            _case((2, 3, 4, 5), "b c h w -> b c 1 1", reduction="sum"),
            _case((2, 3, 4, 6), "b c (h p) (w q) -> b c h w", reduction="max", p=2, q=3),
            _case((2, 3, 4), "b n d -> d b", reduction="min"),
        ],
    )
)
register(
    OpDef(
        "rearrange_repeat",
        "x, *, pattern, sizes=None",
        "Repeats along the axes that only the pattern's right side has, and rearranges the others.",
        layout="pattern",
        reference=_rearrange,
        spellings=_read("einops.repeat", "tensor, pattern, **axes_lengths", _SIZES),
        cases=[
            _case((3,), "d -> b d", b=2),
            _case((1, 1, 3), "1 1 d -> b 1 d", b=2),
            _case((2, 3), "n d -> b n d", b=4),
            _case((2, 3, 4), "h w c -> (h 2) (w r) c", r=3),
            _case((2, 3), "b d -> d (b r)", r=2),
        ],
    )
)
register(
    OpDef(
        "named_einsum",
        "x1, x2=None, x3=None, x4=None, *, pattern",
        "Einstein's summation by a pattern of axis names.",
        layout="einsum",
        spellings={name: [_einsum(count) for count in range(1, 5)] for name in ("torch", "flax")},
    )
)

_BEFORE = Conversion("pattern", "{}", "{}.split().index('*')")
_AFTER = Conversion("pattern", "{}", "{}.split()[::-1].index('*')")


def _pack_code(prefix: str, concatenate: str, axis: str) -> str:
    return f'''
def pack(tensors, before, after):
    """Merge all axes but the first ``before`` and last ``after`` and join along them; also give the merged sizes."""
    shapes = [tuple(x.shape[before : len(x.shape) - after]) for x in tensors]
    merged = [
        {prefix}.reshape(x, (*x.shape[:before], -1, *x.shape[len(x.shape) - after :])) for x in tensors
    ]
    return {prefix}.{concatenate}(merged, {axis}=before), shapes
'''


_UNPACK_HEAD = '''
def unpack(x, shapes, axis):
    """Split an axis into pieces that ``pack`` has merged, and give each its axes back."""
    sizes = [math.prod(shape) for shape in shapes]
'''
_UNPACK_BODIES = {
    "torch": "    pieces = torch.split(x, sizes, dim=axis)\n",
    "tensorflow": "    pieces = tf.split(x, sizes, axis=axis)\n",
    "keras": "    pieces = keras.ops.split(x, [sum(sizes[:i]) for i in range(1, len(sizes))], axis=axis)\n",
}
_PREFIXES = {
    "torch": ("torch", "cat", "dim"),
    "tensorflow": ("tf", "concat", "axis"),
    "keras": ("keras.ops", "concatenate", "axis"),
}

register_support(Support("pack", {framework: _pack_code(*names) for framework, names in _PREFIXES.items()}))
register_support(
    Support(
        "unpack",
        {
            framework: _UNPACK_HEAD
            + _UNPACK_BODIES[framework]
            + f"    return [{prefix}.reshape(p, (*x.shape[:axis], *s, *x.shape[axis + 1 :])) for p, s in zip(pieces, shapes)]\n"
            for framework, (prefix, *_) in _PREFIXES.items()
        },
    )
)


def _supported_everywhere(read: Spelling, written: Spelling) -> dict[str, list[Spelling]]:
    return {"torch": [read, written], **{framework: [written] for framework in _PREFIXES if framework != "torch"}}


def _pack(xs: Any, pattern: str) -> Any:
    before, after = pattern.split().index("*"), pattern.split()[::-1].index("*")
    shapes = [x.shape[before : x.ndim - after] for x in xs]
    merged = [x.reshape(*x.shape[:before], -1, *x.shape[x.ndim - after :]) for x in xs]
    return np.concatenate(merged, before), [tuple(shape) for shape in shapes]


register(
    OpDef(
        "pack",
        "xs, *, pattern",
        "Joins tensors along one axis into which the axes at the pattern's star are merged; also their sizes.",
        reference=_pack,
        spellings=_supported_everywhere(
            Spelling("einops.pack", "tensors, pattern", maps={"tensors": "xs"}, write=False),
            supported(
                "pack",
                "tensors, before, after",
                maps={"tensors": "xs", "before": _BEFORE, "after": _AFTER},
                positional=3,
            ),
        ),
        cases=[
            Case({"xs": [(2, 1, 5), (2, 3, 5)]}, {"pattern": "b * d"}),
            Case({"xs": [(2, 5), (2, 3, 4, 5)]}, {"pattern": "b * d"}),
        ],
    )
)


def _unpack(x: Any, shapes: Any, pattern: str) -> Any:
    axis = pattern.split().index("*")
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
    pieces = np.split(x, ends, axis)
    return [p.reshape(*x.shape[:axis], *s, *x.shape[axis + 1 :]) for p, s in zip(pieces, shapes, strict=True)]


register(
    OpDef(
        "unpack",
        "x, *, shapes, pattern",
        "Takes apart what pack has joined.",
        reference=_unpack,
        spellings=_supported_everywhere(
            Spelling(
                "einops.unpack",
                "tensor, packed_shapes, pattern",
                maps={"tensor": "x", "packed_shapes": "shapes"},
                write=False,
            ),
            supported("unpack", "x, shapes, axis", maps={"axis": _BEFORE}, positional=3),
        ),
        cases=[
            Case({"x": (2, 4, 5)}, {"shapes": [(1,), (3,)], "pattern": "b * d"}),
            Case({"x": (2, 7, 5)}, {"shapes": [(), (2, 3)], "pattern": "b * d"}),
        ],
    )
)
