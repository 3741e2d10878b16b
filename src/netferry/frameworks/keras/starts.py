"""How a layer's parameters start, where the source says so: its initialisers, as the instances hold them."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from typing import Any, Final

from netferry.ops import registry
from netferry.pivot.nodes import Op, constant
from netferry.reader import Reader

_ENDING: Final = "_initializer"
_PLAIN: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "Zeros": ("zeros", {}),
    "Ones": ("ones", {}),
    "Constant": ("constant", {"value": "value"}),
    "RandomNormal": ("normal", {"mean": "mean", "stddev": "std"}),
    "RandomUniform": ("uniform", {"minval": "low", "maxval": "high"}),
    "Orthogonal": ("orthogonal", {"gain": "gain"}),
}
"""Class of an initialiser -> the op, and its attributes by the names of the instance's."""


def note(reader: Reader, node: ast.Call, path: str) -> None:
    """Remember for the site of a layer how its parameters start, where its arguments say so, always the same."""
    given = {k.arg.removesuffix(_ENDING) for k in node.keywords if k.arg and k.arg.endswith(_ENDING)}
    names = {
        name: text.partition(":")[0].strip()
        for _, s in registry.find(path)
        if s.layer
        for name, text in s.params.items()
    }
    found: dict[str, Op] = {}
    for name in (n for n in names if n in given):
        held = [said(getattr(layer, f"{name}{_ENDING}", None)) for layer in reader.values(node)]
        first = next(iter(held), None)
        if first is not None and all(h is not None and ast.dump(h) == ast.dump(first) for h in held):
            first.site = reader.site(node)
            found[names[name]] = first
    if found:
        reader.facts.starts[getattr(node, "nf_id", -1)] = found


def said(initialiser: Any) -> Op | None:
    """The initialisation that an instance stands for; None for one without a word."""
    name = type(initialiser).__name__
    if name in _PLAIN:
        op, attributes = _PLAIN[name]
        values = {own: getattr(initialiser, theirs, None) for theirs, own in attributes.items()}
        return _op(op, values) if all(isinstance(v, int | float) for v in values.values()) else None
    if name == "TruncatedNormal":
        mean, std = initialiser.mean, initialiser.stddev
        return _op("trunc_normal", {"mean": mean, "std": std, "a": mean - 2 * std, "b": mean + 2 * std})
    return _scaled(initialiser.scale, initialiser) if hasattr(initialiser, "distribution") else None


def _scaled(scale: float, initialiser: Any) -> Op | None:
    """Variances that scale with how many values a layer takes or gives; a cut normal distribution has the same."""
    kind = "uniform" if initialiser.distribution == "uniform" else "normal"
    if initialiser.mode == "fan_avg":
        return _op(f"xavier_{kind}", {"gain": math.sqrt(scale)})
    mode = {"mode": initialiser.mode}
    if scale in (1.0, 2.0):
        return _op(f"kaiming_{kind}", {**mode, "nonlinearity": "linear" if scale == 1 else "relu"})
    return _op(f"kaiming_{kind}", {**mode, "a": math.sqrt(2 / scale - 1)}) if scale < 2 else None


def _op(name: str, values: Mapping[str, Any]) -> Op:
    """The op, without attributes that have their defaults."""
    declared = registry.get(f"init_{name}").parsed
    kept = {k: v for k, v in values.items() if v != declared[k].default}
    return Op(f"init_{name}", {}, {k: constant(v) for k, v in kept.items()})
