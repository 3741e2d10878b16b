"""Padding and cropping, as layers and as functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling, Support
from netferry.ops.forms import template
from netferry.ops.registry import register, register_support

KERAS = {"tensorflow": "tf.keras", "keras": "keras"}


def _each(value: Any, n: int) -> list[tuple[int, int]]:
    if isinstance(value, int):
        return [(value, value)] * n
    return [(v, v) if isinstance(v, int) else tuple(v) for v in value]


def _zero(n: int) -> None:
    register(OpDef(
        f"zero_pad{n}d", "x, *, padding", "Zeros around the spatial axes: one number, one per axis, or pairs.", layout="channels",
        reference=lambda x, *, padding: np.pad(x, [(0, 0), (0, 0), *_each(padding, n)]),
        spellings={f: [Spelling(f"{k}.layers.ZeroPadding{n}D", "padding=1" if n > 0 else "", {"inputs": "x"}, layer=True, call="inputs")] for f, k in KERAS.items()},
    ))  # fmt: skip
    register(OpDef(
        f"crop{n}d", "x, *, cropping", "Cuts the spatial axes on both sides.", layout="channels",
        spellings={f: [Spelling(f"{k}.layers.Cropping{n}D", "cropping", {"inputs": "x"}, layer=True, call="inputs")] for f, k in KERAS.items()},
    ))  # fmt: skip


_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pairs(pads: Any, rank: int) -> list[tuple[int, int]]:
    """PyTorch's flat list (last axis first) as one pair per axis in order."""
    given = [(pads[i], pads[i + 1]) for i in range(0, len(pads), 2)]
    return [(0, 0)] * (rank - len(given)) + given[::-1]


def _pad(x: Any, *, pads: Any, mode: str = "constant", value: float | None = 0.0, **_: Any) -> Any:
    chosen = pairs(pads, x.ndim)
    cut = tuple(slice(max(-a, 0), s - max(-b, 0)) for (a, b), s in zip(chosen, x.shape, strict=True))
    grown = [(max(a, 0), max(b, 0)) for a, b in chosen]
    options = {"constant_values": value or 0.0} if mode == "constant" else {}
    return np.pad(x[cut], grown, mode=_MODES[mode], **options)


register(OpDef(
    "pad", "x, *, pads, mode='constant', value=0.0, rank=..., order=...", "Pads axes; ``pads`` counts from the last axis: (left, right, top, bottom, ...).",
    layout="pad", reference=_pad,
    spellings={
        "torch": [Spelling("torch.nn.functional.pad", "input, pad, mode='constant', value=None", {"input": "x", "pad": "pads"})],
        "tensorflow": [template("tf.pad({x}, {pads})", when={"mode": "constant", "value": lambda v: not v}),
                       template("tf.pad({x}, {pads}, constant_values={value})", when={"mode": "constant"}),
                       template("tf.pad({x}, {pads}, mode='REFLECT')", when={"mode": "reflect"}),
                       template("edge_pad({x}, {pads})", when={"mode": "replicate"}, support="edge_pad")],
        "keras": [template("keras.ops.pad({x}, {pads})", when={"mode": "constant", "value": lambda v: not v}),
                  template("keras.ops.pad({x}, {pads}, constant_values={value})", when={"mode": "constant"}),
                  template("keras.ops.pad({x}, {pads}, mode='reflect')", when={"mode": "reflect"}),
                  template("edge_pad({x}, {pads})", when={"mode": "replicate"}, support="edge_pad")],
    },
    cases=[Case({"x": (2, 3, 5, 4)}, {"pads": (1, 2)}), Case({"x": (2, 3, 5, 4)}, {"pads": (1, 2, 0, 3)}),
           Case({"x": (2, 3, 5, 4)}, {"pads": (1, 2, 2, 1), "mode": "reflect"}), Case({"x": (2, 3, 5)}, {"pads": (1, 1), "value": 2.5})],
))  # fmt: skip


def _layers(n: int) -> None:
    for title, mode in (("Zero", "constant"), ("Constant", "constant"), ("Reflection", "reflect"), ("Replication", "replicate")):
        signature = "padding, value" if title == "Constant" else "padding"
        register(OpDef(
            f"{title.lower()}_pad{n}d_layer", f"x, *, padding{', value=0.0' if title == 'Constant' else ''}", f"A layer that pads the spatial axes ({mode}).", layout="channels",
            reference=lambda x, *, padding, value=0.0, mode=mode: _pad(x, pads=(padding,) * 2 * n if isinstance(padding, int) else padding, mode=mode, value=value),
            spellings={"torch": [Spelling(f"torch.nn.{title}Pad{n}d", signature, {"input": "x"}, layer=True, call="input")],
                       **_layer_templates(title, mode, n)},
            cases=[Case({"x": (2, 3, 6, 5, 4)[: n + 2]}, {"padding": p, **({"value": 1.5} if title == "Constant" else {})}) for p in (2, (1, 2, 0, 1, 1, 2)[: 2 * n])],
        ))  # fmt: skip


def _layer_templates(title: str, mode: str, n: int) -> dict[str, list[Spelling]]:
    made: dict[str, list[Spelling]] = {}
    one = {"padding": lambda p: isinstance(p, int)}
    each = ", ".join(["({padding}, {padding})"] * n)
    flat = "{padding}[0::2][::-1], {padding}[1::2][::-1]"
    for framework, prefix in KERAS.items():
        pad = "tf.pad" if framework == "tensorflow" else "keras.ops.pad"
        name = "REFLECT" if framework == "tensorflow" else "reflect"
        tail = {"Zero": "", "Constant": ", constant_values={value}", "Reflection": f", mode='{name}'", "Replication": ""}[title]
        function = "edge_pad" if title == "Replication" else pad
        support = "edge_pad" if title == "Replication" else ""
        made[framework] = [] if title != "Zero" else [
            Spelling(f"{prefix}.layers.ZeroPadding{n}D", "padding=1", {"inputs": "x"}, layer=True, call="inputs", read=False, when=one)]  # fmt: skip
        made[framework] += [
            template(f"{prefix}.layers.Lambda(lambda x: {function}(x, [(0, 0), {each}, (0, 0)]{tail}))", layer=True, when=one, support=support),
            template(f"{prefix}.layers.Lambda(lambda x: {function}(x, [(0, 0), *zip({flat}), (0, 0)]{tail}))", layer=True, support=support),
        ]
    return made


for _n in (1, 2, 3):
    _zero(_n)
    _layers(_n)

_EDGE = '''
def edge_pad(x, pads):
    """Pad every axis by repeating its first and last entries."""
    for axis, (before, behind) in enumerate(pads):
        if before or behind:
            index = (slice(None),) * axis
            first, last = x[(*index, slice(0, 1))], x[(*index, slice(-1, None))]
            x = keras.ops.concatenate([first] * before + [x] + [last] * behind, axis=axis)
    return x
'''
register_support(Support("edge_pad", {"keras": _EDGE, "tensorflow": _EDGE.replace("keras.ops.concatenate", "tf.concat")}))
