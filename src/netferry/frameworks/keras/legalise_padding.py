"""Padding for Keras targets: flat lists from the last axis become pairs per axis in the data's own order."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from netferry.frameworks.arguments import known, observed
from netferry.frameworks.padding import crops, entries, of_any_axes, pairs
from netferry.pivot.nodes import Op, constant, is_literal, literal

Legalise = Callable[[Op, str], ast.expr]


def _compact(found: list[ast.expr]) -> ast.expr:
    """One number where all are literally equal, a number per axis where both sides are."""
    if not all(is_literal(pair) for pair in found):
        return found[0] if len(found) == 1 else ast.Tuple(found, ast.Load())
    values: list[Any] = [literal(pair) for pair in found]
    if all(before == after for before, after in values):
        values = [before for before, _ in values]
        return constant(values[0] if len(set(values)) == 1 else tuple(values))
    return constant(values[0] if len(values) == 1 else tuple(values))


def _layer(n: int) -> Legalise:
    def legalise(node: Op, framework: str) -> ast.expr:
        padding = node.attribute("padding")
        numbers = isinstance(known(node, "padding"), int) or all(isinstance(v, int) for v in observed(node, "padding"))
        items = entries(node, "padding")
        if padding is None or (items is None and not numbers):
            return node
        if items and all(is_literal(e) and literal(e) <= 0 for e in items) and crops(items, []):
            sizes = [constant(-literal(e)) for e in items]
            return Op(f"crop{n}d", {}, {"cropping": _compact(pairs(sizes))}, layer=True, site=node.site)
        pads = padding if items is None else _compact(pairs(items))
        options = {k.arg: k.value for k in node.attributes if k.arg in ("mode", "value")}
        return Op(f"spatial_pad{n}d", {}, {"pads": pads, **options}, layer=True, site=node.site)

    return legalise


LEGALISATIONS: dict[str, Legalise] = {"pad": of_any_axes, **{f"pad{n}d": _layer(n) for n in (1, 2, 3)}}
