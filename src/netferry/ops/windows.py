"""Pooling with a size, a stride and a pair of pads for each axis, as JAX and NNX say it."""

from __future__ import annotations

from netferry.ops.core import Conversion, OpDef, Spelling
from netferry.ops.forms import template
from netferry.ops.registry import extend, register

_GIVEN = "x, *, window_shape, strides, padding='VALID'"


def _call(name: str, padding: str, *more: str) -> str:
    return (
        f"flax.nnx.{name}("
        + ", ".join(["{x}", "window_shape={window_shape}", "strides={strides}", *padding.split(), *more])
        + ")"
    )


def _both(name: str, *more: str) -> list[Spelling]:
    plain = template(_call(name, "", *more), when={"padding": "VALID"})
    return [plain, template(_call(name, "padding={padding}", *more))]


register(OpDef(
    "max_windows", _GIVEN, "The largest value of each window; what is padded never wins.", layout="opaque",
    spellings={"flax": _both("max_pool")},
))  # fmt: skip
register(OpDef(
    "mean_windows", f"{_GIVEN}, count_include_pad=True", "The mean of each window.", layout="opaque",
    spellings={
        "flax": [
            *(s for s in _both("avg_pool")[:1]),
            template(_call("avg_pool", "padding={padding}"), when={"count_include_pad": True}),
            template(_call("avg_pool", "padding={padding}", "count_include_pad={count_include_pad}")),
        ]
    },
))  # fmt: skip

_WORDS = Conversion("padding", "dict(SAME='same', VALID=0).get({}, {})", "{}")


def _read(name: str, n: int) -> Spelling:
    """The function, for windows of ``n`` axes; its padding comes in canonical words."""
    return Spelling(
        f"flax.nnx.{name}",
        "inputs, window_shape, strides=None, padding='VALID'" + (", count_include_pad=True" if "avg" in name else ""),
        maps={"inputs": "x", "window_shape": "kernel_size", "strides": "stride", "padding": _WORDS},
        kinds={"window_shape": f"axes{n}"},
        write=False,
    )


for _n in (1, 2, 3):
    extend(f"max_pool{_n}d", "flax", _read("max_pool", _n))
    extend(f"avg_pool{_n}d", "flax", _read("avg_pool", _n))
