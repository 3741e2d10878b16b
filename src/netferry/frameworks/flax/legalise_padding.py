"""Padding for JAX: a pair of numbers for every axis."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.frameworks.arguments import known, observed
from netferry.frameworks.padding import crops, entries, of_any_axes, pairs
from netferry.pivot.nodes import Op, constant

Legalise = Callable[[Op, str], ast.expr]


def _layer(n: int) -> Legalise:
    """All axes of channels-last data, of which only the spatial ones are padded."""

    def legalise(node: Op, framework: str) -> ast.expr:
        padding, seen = node.attribute("padding"), observed(node, "padding")
        single = isinstance(known(node, "padding"), int) or (bool(seen) and all(isinstance(v, int) for v in seen))
        items = [padding] * 2 * n if single and padding is not None else entries(node, "padding")
        if items is None or len(items) != 2 * n or crops(items, seen):
            return node
        none = constant((0, 0))
        pads = ast.Tuple([none, *pairs(items), none], ast.Load())
        options = {k.arg: k.value for k in node.attributes if k.arg in ("mode", "value")}
        return Op("pad_axes", {}, {"pads": pads, **options}, layer=True, site=node.site)

    return legalise


LEGALISATIONS: dict[str, Legalise] = {"pad": of_any_axes, **{f"pad{n}d": _layer(n) for n in (1, 2, 3)}}
