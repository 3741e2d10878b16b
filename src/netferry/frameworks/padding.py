"""Padding of any axes: flat lists from the last axis become pairs per axis in the data's own order."""

from __future__ import annotations

import ast

from netferry.frameworks.arguments import each, known, numbers, observed
from netferry.frameworks.shapes import rank_of
from netferry.ops.lowering import is_simple
from netferry.pivot.nodes import Op, constant, is_literal, literal


def entries(node: Op, name: str) -> list[ast.expr] | None:
    """The entries of a flat list: written out, or subscripts of a variable whose length the run told, or None."""
    given = node.attribute(name)
    if isinstance(given, ast.Tuple | ast.List):
        return None if any(isinstance(item, ast.Starred) for item in given.elts) else list(given.elts)
    lengths = {len(value) for value in observed(node, name) if isinstance(value, list | tuple)}
    if given is None or len(lengths) != 1 or not is_simple(given):
        return None
    return [ast.Subscript(given, constant(i), ast.Load()) for i in range(lengths.pop())]


def pairs(items: list[ast.expr]) -> list[ast.expr]:
    """Pairs in the order of the axes; a pair of equal literals stays a pair."""
    found: list[ast.expr] = [ast.Tuple(items[i : i + 2], ast.Load()) for i in range(0, len(items), 2)]
    return found[::-1]


def sides(node: Op, name: str, n: int) -> list[ast.expr] | None:
    """A pair for each of ``n`` spatial axes, of a number, a number per axis or a pair per axis; None where it is computed."""
    given = node.attribute(name)
    if n == 1 and isinstance(given, ast.Tuple | ast.List) and len(given.elts) == 2:
        return [ast.Tuple(given.elts, ast.Load())]
    if isinstance(given, ast.Tuple | ast.List | ast.Constant):
        return [_pair(item) for item in each(given, n)]
    if given is None or any(isinstance(part, list | tuple) for value in observed(node, name) for part in _parts(value)):
        return None
    found = numbers(node, name, n)
    return None if found is None else [_pair(item) for item in found]


def _parts(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _pair(item: ast.expr) -> ast.expr:
    return ast.Tuple(item.elts if isinstance(item, ast.Tuple | ast.List) else [item, item], ast.Load())


def crops(items: list[ast.expr], seen: list[object]) -> bool:
    """Whether a number is, or was, negative."""
    written = any(is_literal(item) and literal(item) < 0 for item in items)
    lists = [value for value in seen if isinstance(value, list | tuple)]
    return written or any(number < 0 for value in lists for number in value if isinstance(number, int))


def of_any_axes(node: Op, framework: str) -> ast.expr:
    """The general definition is left for lists of unknown length and for negative numbers."""
    items, order, rank, x = entries(node, "pads"), known(node, "order"), rank_of(node), node.operand("x")
    rank = len(order) if order is not None else rank
    if items is None or rank is None or x is None or len(items) % 2 or crops(items, observed(node, "pads")):
        return node
    made = [constant((0, 0))] * (rank - len(items) // 2) + pairs(items)
    if order is not None:
        made = [made[axis] for axis in order]
    options = {k.arg: k.value for k in node.attributes if k.arg in ("mode", "value")}
    return Op("pad_axes", {"x": x}, {"pads": ast.Tuple(made, ast.Load()), **options}, site=node.site)
