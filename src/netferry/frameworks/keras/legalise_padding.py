"""Padding for Keras targets: flat lists from the last axis become pairs per axis in the data's own order."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from netferry.frameworks.arguments import known, observed
from netferry.frameworks.keras.legalise_shape import rank_of
from netferry.ops.lowering import is_simple
from netferry.pivot.nodes import Op, constant, is_literal, literal

Legalise = Callable[[Op, str], ast.expr]


def _entries(node: Op, name: str) -> list[ast.expr] | None:
    """The entries of a flat list: written out, or subscripts of a variable whose length the run told, or None."""
    given = node.attribute(name)
    if isinstance(given, ast.Tuple | ast.List):
        return None if any(isinstance(item, ast.Starred) for item in given.elts) else list(given.elts)
    lengths = {len(value) for value in observed(node, name) if isinstance(value, list | tuple)}
    if given is None or len(lengths) != 1 or not is_simple(given):
        return None
    return [ast.Subscript(given, constant(i), ast.Load()) for i in range(lengths.pop())]


def _pairs(entries: list[ast.expr]) -> list[ast.expr]:
    """Pairs in the order of the axes; a pair of equal literals stays a pair."""
    found: list[ast.expr] = [ast.Tuple(entries[i : i + 2], ast.Load()) for i in range(0, len(entries), 2)]
    return found[::-1]


def _compact(pairs: list[ast.expr]) -> ast.expr:
    """One number where all are literally equal, a number per axis where both sides are."""
    if not all(is_literal(pair) for pair in pairs):
        return pairs[0] if len(pairs) == 1 else ast.Tuple(pairs, ast.Load())
    values: list[Any] = [literal(pair) for pair in pairs]
    if all(before == after for before, after in values):
        values = [before for before, _ in values]
        return constant(values[0] if len(set(values)) == 1 else tuple(values))
    return constant(values[0] if len(values) == 1 else tuple(values))


def _layer(n: int) -> Legalise:
    def legalise(node: Op, framework: str) -> ast.expr:
        padding = node.attribute("padding")
        numbers = isinstance(known(node, "padding"), int) or all(isinstance(v, int) for v in observed(node, "padding"))
        entries = _entries(node, "padding")
        if padding is None or (entries is None and not numbers):
            return node
        if entries and all(is_literal(e) and literal(e) <= 0 for e in entries) and _crops(entries, []):
            sizes = [constant(-literal(e)) for e in entries]
            return Op(f"crop{n}d", {}, {"cropping": _compact(_pairs(sizes))}, layer=True, site=node.site)
        pads = padding if entries is None else _compact(_pairs(entries))
        options = {k.arg: k.value for k in node.attributes if k.arg in ("mode", "value")}
        return Op(f"spatial_pad{n}d", {}, {"pads": pads, **options}, layer=True, site=node.site)

    return legalise


def _crops(entries: list[ast.expr], seen: list[Any]) -> bool:
    """Whether a number is, or was, negative."""
    written = any(is_literal(item) and literal(item) < 0 for item in entries)
    return written or any(number < 0 for value in seen for number in value if isinstance(number, int))


def _function(node: Op, framework: str) -> ast.expr:
    """The general definition is left for lists of unknown length and for negative numbers."""
    entries, order, rank, x = _entries(node, "pads"), known(node, "order"), rank_of(node), node.operand("x")
    rank = len(order) if order is not None else rank
    seen = [value for value in observed(node, "pads") if isinstance(value, list | tuple)]
    if entries is None or rank is None or x is None or len(entries) % 2 or _crops(entries, seen):
        return node
    pairs = [constant((0, 0))] * (rank - len(entries) // 2) + _pairs(entries)
    if order is not None:
        pairs = [pairs[axis] for axis in order]
    options = {k.arg: k.value for k in node.attributes if k.arg in ("mode", "value")}
    return Op("pad_axes", {"x": x}, {"pads": ast.Tuple(pairs, ast.Load()), **options}, site=node.site)


LEGALISATIONS: dict[str, Legalise] = {"pad": _function, **{f"pad{n}d": _layer(n) for n in (1, 2, 3)}}
