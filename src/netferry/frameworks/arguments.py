"""What legalisations ask about the attributes of an op: literal values, values per axis, values seen in the run."""

from __future__ import annotations

import ast
from typing import Any

from netferry.ops import registry
from netferry.ops.core import INFERRED, REQUIRED
from netferry.ops.lowering import is_simple
from netferry.pivot.nodes import Op, constant, is_literal, literal


def known(node: Op, name: str) -> Any:
    """The value of an attribute where it is a literal or left out; None where it is an expression."""
    given = node.attribute(name)
    if given is None:
        default = registry.get(node.name).parsed[name].default
        return None if default in (REQUIRED, INFERRED) else default
    return literal(given) if is_literal(given) else None


def per_axis(node: Op, name: str, n: int) -> list[ast.expr]:
    """The expression of an attribute for each of ``n`` axes."""
    given = node.attribute(name)
    if given is None:
        given = constant(known(node, name))
    return each(given, n)


def each(given: ast.expr, n: int) -> list[ast.expr]:
    """An expression for each of ``n`` axes: the elements of a display, or the same for all."""
    if isinstance(given, ast.Tuple | ast.List) and len(given.elts) == n:
        return list(given.elts)
    return [given] * n


def all_equal(node: Op, name: str, n: int, value: Any) -> bool:
    """Whether an attribute is literally ``value`` along every axis."""
    return all(is_literal(item) and literal(item) == value for item in per_axis(node, name, n))


def observed(node: Op, name: str) -> list[Any]:
    """The values of an attribute in the calls seen here (defaults left out)."""
    found = []
    for event in node.site.events if node.site else ():
        candidates = registry.find(event.path) if event.instance is None else []
        for _, spelling in candidates[:1]:
            given = dict(zip(spelling.parsed.names, event.args, strict=False)) | dict(event.kwargs)
            for argument, value in given.items():
                conversion = spelling.conversion(argument)
                if conversion is not None and conversion.attribute == name:
                    found.append(value)
    return found


def numbers(node: Op, name: str, n: int) -> list[ast.expr] | None:
    """An expression per axis: of a display, of one number for all, of a variable whose kind the run told; else None."""
    given = node.attribute(name)
    if given is None:
        return None if known(node, name) is None else each(constant(known(node, name)), n)
    if isinstance(given, ast.Constant) and given.value is None:
        return None
    if isinstance(given, ast.Tuple | ast.List | ast.Constant):
        return each(given, n)
    seen = observed(node, name)
    if seen and all(isinstance(v, int) for v in seen):
        return [given] * n
    if seen and is_simple(given) and all(isinstance(v, list | tuple) and len(v) == n for v in seen):
        return [ast.Subscript(given, constant(i), ast.Load()) for i in range(n)]
    return None


def sequence(node: Op, *layers: Op) -> Op:
    """The layers one after another, in the place of ``node``."""
    return Op("sequential", {"layers": ast.List(list(layers), ast.Load())}, layer=True, site=node.site)


def symmetric(node: Op, name: str, n: int) -> ast.expr:
    """Padding or cropping that is equal on both sides: one expression, or one per axis where they differ."""
    given = node.attribute(name)
    assert given is not None
    if (
        n == 1
        and any(isinstance(value, list | tuple) for value in observed(node, name))
        and not isinstance(given, ast.Tuple | ast.List)
    ):
        return ast.Subscript(given, constant(0), ast.Load())
    items = each(given, n)
    return items[0] if len({ast.unparse(item) for item in items}) == 1 else ast.Tuple(items, ast.Load())


def around(node: Op, name: str, n: int) -> ast.expr:
    """A pair of equal numbers for each spatial axis of channels-last data, zeros for the others."""
    given = node.attribute(name)
    assert given is not None
    items = each(given, n)
    if not isinstance(given, ast.Tuple | ast.List) and any(isinstance(v, list | tuple) for v in observed(node, name)):
        items = [ast.Subscript(given, constant(i), ast.Load()) for i in range(n)]
    pairs = [ast.Tuple([item, item], ast.Load()) for item in items]
    return ast.Tuple([constant((0, 0)), *pairs, constant((0, 0))], ast.Load())
