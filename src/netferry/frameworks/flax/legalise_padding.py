"""Padding for JAX: a pair of numbers for every axis."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.frameworks.arguments import known, observed
from netferry.frameworks.padding import crops, entries, of_any_axes, pairs, sides
from netferry.pivot.nodes import Op, constant, is_literal, literal

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


def _spatial(n: int) -> Legalise:
    """All axes, those of the batch and of the channels as they are."""

    def legalise(node: Op, framework: str) -> ast.expr:
        found, given = sides(node, "pads", n), node.attribute("pads")
        none = constant((0, 0))
        if found is not None:
            pads = ast.Tuple([none, *found, none], ast.Load())
        elif given is not None and all(_are_pairs(v, n) for v in observed(node, "pads")):
            pads = ast.Tuple([none, ast.Starred(given, ast.Load()), none], ast.Load())
        else:
            return node
        options = {k.arg: k.value for k in node.attributes if k.arg in ("mode", "value")}
        operands = {k.arg: k.value for k in node.operands if k.arg}
        return Op("pad_axes", operands, {"pads": pads, **options}, layer=node.layer, site=node.site)

    return legalise


def _are_pairs(value: object, n: int) -> bool:
    return isinstance(value, list | tuple) and len(value) == n and all(isinstance(v, list | tuple) for v in value)


def _crop(n: int) -> Legalise:
    """A slice of every spatial axis."""

    def legalise(node: Op, framework: str) -> ast.expr:
        found, x = sides(node, "cropping", n), node.operand("x")
        if found is None or not all(is_literal(pair) for pair in found):
            return node
        whole = ast.Slice(None, None)
        parts: list[ast.expr] = [whole, *(_slice(*literal(pair)) for pair in found)]
        if not node.layer and x is not None:
            return ast.Subscript(x, ast.Tuple(parts, ast.Load()), ast.Load())
        taken = ast.Subscript(ast.Name("x", ast.Load()), ast.Tuple(parts, ast.Load()), ast.Load())
        return ast.Lambda(ast.arguments([], [ast.arg("x")], None, [], [], None, []), taken)

    return legalise


def _slice(before: int, after: int) -> ast.Slice:
    return ast.Slice(constant(before) if before else None, constant(-after) if after else None)


LEGALISATIONS: dict[str, Legalise] = {
    "pad": of_any_axes,
    **{f"pad{n}d": _layer(n) for n in (1, 2, 3)},
    **{f"spatial_pad{n}d": _spatial(n) for n in (1, 2, 3)},
    **{f"crop{n}d": _crop(n) for n in (1, 2, 3)},
}
